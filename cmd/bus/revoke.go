package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	"kosk/cmd/bus/registry"
	"kosk/device/request"
)

type revokeCommand struct {
	folder
	Number string `arg:"" help:"Number of the certificate, as it stands on it."`
	Reason string `required:"" help:"Why, for other operators."`
}

// Run prints nothing when it is done.
func (c revokeCommand) Run() error {
	number, ok := request.ParseNumber(c.Number)
	if !ok {
		return fmt.Errorf("%s: no certificate has this number: compare its 12 digits with the certificate's", c.Number)
	}
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	return reg.Revoke(number, c.Reason, time.Now())
}

type revocationsCommand struct {
	folder
	Out string `required:"" type:"path" help:"File of the list, for 'kioskctl verify --revoked'."`
}

// Run signs the list anew, good for a week.
func (c revocationsCommand) Run() error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	b, err := reg.Revocations(time.Now())
	if err != nil {
		return err
	}
	return os.WriteFile(c.Out, b, 0o644)
}

type keyCommand struct{ folder }

// Run prints the key that receipts and certificates are verified with.
func (c keyCommand) Run(out io.Writer) error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(reg.Keys().Receipt.Public())
	if err != nil {
		return err
	}
	return pem.Encode(out, &pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
