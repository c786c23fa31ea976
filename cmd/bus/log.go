package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/identity"
)

type logCommand struct {
	Verify logVerify `cmd:"" help:"Check the message log offline: edits, gaps, order, what was cut off."`
	Show   logShow   `cmd:"" help:"Show the messages about an id, as JSON lines."`
	Head   logHead   `cmd:"" help:"Print the newest signed head, to be kept elsewhere."`
	Key    logKey    `cmd:"" help:"Print the public key that verifies heads, in PEM."`
	Prune  logPrune  `cmd:"" help:"Remove the months before one, of a bus that is stopped."`
}

func (f folder) messages() string { return filepath.Join(f.Dir, server.MessageFolder) }

// publicKey is the bus's own, or that of a file: then nothing else of the bus is
// needed.
func (f folder) publicKey(path string) (*ecdsa.PublicKey, error) {
	if path != "" {
		return identity.LoadTrustKey(path)
	}
	reg, err := registry.OpenExisting(f.Dir)
	if err != nil {
		return nil, err
	}
	return &reg.Keys().Receipt.PublicKey, nil
}

type logVerify struct {
	folder
	Files string `type:"path" help:"Folder of the log's files, where it is not the bus's own."`
	Key   string `type:"path" help:"Public key in PEM, from bus log key; the bus's own when absent."`
	Head  string `type:"path" help:"A head that was kept, from bus log head: finds a log that was cut together with its heads."`
	TSA   string `type:"path" help:"Root certificates of time-stamping authorities in PEM: checks the stamps."`
	JSON  bool   `help:"Print JSON."`
}

// Run prints what was found, or fails with what is wrong.
func (c logVerify) Run(out io.Writer) error {
	key, err := c.publicKey(c.Key)
	if err != nil {
		return err
	}
	known, err := c.known(key)
	if err != nil {
		return err
	}
	roots, err := c.roots()
	if err != nil {
		return err
	}
	dir := c.messages()
	if c.Files != "" {
		dir = c.Files
	}
	r, err := msglog.Verify(dir, key, known, roots)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(r)
	}
	_, err = fmt.Fprintf(out, "whole: entries %d to %d, signed up to %d by %d heads, %d stamps\n", r.First, r.Last, r.Signed, r.Heads, r.Stamps)
	return err
}

func (c logVerify) known(key *ecdsa.PublicKey) (*msglog.Head, error) {
	if c.Head == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.Head)
	if err != nil {
		return nil, err
	}
	h, err := msglog.ParseHead(bytes.TrimSpace(b), key)
	return &h, err
}

func (c logVerify) roots() (*x509.CertPool, error) {
	if c.TSA == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.TSA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, errors.New("no certificate in " + c.TSA)
	}
	return roots, nil
}

type logShow struct {
	folder
	ID string `arg:"" help:"Id of a submission, or X-Road-Id, X-Road-Request-Id, X-Road-Issue."`
}

// Run prints the entries.
func (c logShow) Run(out io.Writer) error {
	all, err := msglog.Find(c.messages(), c.ID)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := json.NewEncoder(out).Encode(e); err != nil {
			return err
		}
	}
	return nil
}

type logHead struct{ folder }

// Run prints the head's line.
func (c logHead) Run(out io.Writer) error {
	key, err := c.publicKey("")
	if err != nil {
		return err
	}
	line, _, err := msglog.LastHead(c.messages(), key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

type logKey struct{ folder }

// Run prints the key.
func (c logKey) Run(out io.Writer) error {
	key, err := c.publicKey("")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return pem.Encode(out, &pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

type logPrune struct {
	folder
	Before string `arg:"" help:"Month, as 2025-01: it and what follows stay."`
}

// Run prints how many months went.
func (c logPrune) Run(ctx context.Context, out io.Writer) error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	if _, err := (server.Control{Socket: c.socket()}).Status(ctx); err == nil {
		return errors.New("the bus is serving: stop it first")
	}
	n, err := msglog.Prune(c.messages(), c.Before, msglog.Options{Key: reg.Keys().Receipt})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d months removed\n", n)
	return err
}
