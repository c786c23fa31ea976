package main

import (
	"fmt"
	"io"

	"kosk/cmd/bus/registry"
	"kosk/device/identity"
)

type trustCommand struct {
	Set  trustSet  `cmd:"" help:"Take a bundle over: it is served to kiosks, and cards are checked with it."`
	Show trustShow `cmd:"" help:"Show the bundle that is in use."`
}

type trustSet struct {
	folder
	File string `arg:"" type:"path" help:"The bundle."`
	Key  string `type:"path" help:"Public key of its operator in PEM; that of the last time, or none for development, when absent."`
}

// Run prints the version that is in use from now on.
func (c trustSet) Run(out io.Writer) error {
	reg, err := c.found()
	if err != nil {
		return err
	}
	t, err := setTrust(reg, c.File, c.Key)
	if err != nil {
		return err
	}
	return describeTrust(out, t)
}

func setTrust(reg *registry.Registry, file, keyFile string) (*registry.Trust, error) {
	key, err := identity.LoadTrustKey(keyFile)
	if err != nil {
		return nil, err
	}
	return reg.SetTrust(file, key)
}

func describeTrust(out io.Writer, t *registry.Trust) error {
	kind := "signed"
	if t.Anchors.Development {
		kind = "development"
	}
	_, err := fmt.Fprintf(out, "version %d\t%s\t%d anchors\t%s\n", t.Anchors.Version, t.Anchors.Issued.UTC().Format("2006-01-02"), t.Anchors.Len(), kind)
	return err
}

type trustShow struct{ folder }

// Run prints the version in use.
func (c trustShow) Run(out io.Writer) error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	t, err := reg.Trust()
	if err != nil {
		return err
	}
	return describeTrust(out, t)
}
