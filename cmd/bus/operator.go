package main

import (
	"bufio"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kosk/cmd/bus/registry"
)

type operatorCommand struct {
	Add operatorAdd `cmd:"" help:"Let somebody into the operator's page, or give them a new password."`
	Rm  operatorRm  `cmd:"" help:"Shut somebody out of the operator's page."`
	Ls  operatorLs  `cmd:"" help:"List who may open the operator's page."`
	CA  operatorCA  `cmd:"" name:"ca" help:"Print the bus's CA certificate in PEM, for browsers to know the page by."`
}

type operatorAdd struct {
	folder
	Name          string        `arg:"" help:"Name: letters a-z, A-Z, digits, - . ="`
	Role          registry.Role `enum:"operator,auditor" required:"" help:"operator acts, auditor only reads."`
	PasswordStdin bool          `help:"Read the password from the first line of standard input, instead of making one."`
}

// Run prints the password that it made, alone on its line; nothing when it was
// given one.
func (c operatorAdd) Run(out io.Writer) error {
	reg, err := c.found()
	if err != nil {
		return err
	}
	password := rand.Text()
	if c.PasswordStdin {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read password: %w", err)
		}
		password = strings.TrimRight(line, "\r\n")
	}
	if err := reg.AddOperator(c.Name, c.Role, password, time.Now()); err != nil || c.PasswordStdin {
		return err
	}
	_, err = fmt.Fprintln(out, password)
	return err
}

type operatorRm struct {
	folder
	Name string `arg:"" help:"Name of the operator."`
}

// Run prints nothing when it is done.
func (c operatorRm) Run() error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	return reg.RemoveOperator(c.Name)
}

type operatorLs struct{ folder }

// Run prints a line for each.
func (c operatorLs) Run(out io.Writer) error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	all, err := reg.Operators()
	if err != nil {
		return err
	}
	for _, o := range all {
		if _, err := fmt.Fprintf(out, "%s\t%s\tsince %s\n", o.Name, o.Role, o.Added.Format(time.DateOnly)); err != nil {
			return err
		}
	}
	return nil
}

type operatorCA struct{ folder }

// Run prints the certificate.
func (c operatorCA) Run(out io.Writer) error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	return pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: reg.Keys().CA.Raw})
}
