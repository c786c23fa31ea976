package main

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card/icao"
)

type trustCommand struct {
	Key   trustKeyCommand   `cmd:"" help:"Make the operator's pair of keys that bundles are signed with."`
	Build trustBuildCommand `cmd:"" help:"Make a signed trust bundle of a master list."`
	Show  trustShowCommand  `cmd:"" help:"Show what a trust bundle holds, and how old it is."`
}

type trustKeyCommand struct {
	Out string `required:"" type:"path" help:"File of the private key. The public key, for card.trust_key, is written beside it with .pub behind its name."`
}

// Run makes the pair. It never overwrites one: kiosks would refuse what a new
// key signs.
func (c trustKeyCommand) Run(out io.Writer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, errPrivate := x509.MarshalPKCS8PrivateKey(key)
	public, errPublic := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err := errors.Join(errPrivate, errPublic); err != nil {
		return err
	}
	if err := create(c.Out, 0o600, "PRIVATE KEY", private); err != nil {
		return err
	}
	if err := create(c.Out+".pub", 0o644, "PUBLIC KEY", public); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "keep %s where no kiosk is; every kiosk gets %s.pub\n", c.Out, c.Out)
	return err
}

// create writes a new file in PEM.
func create(path string, mode os.FileMode, kind string, der []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
}

type trustBuildCommand struct {
	Masterlist string   `required:"" type:"existingfile" help:"Master list of a state, CMS (ICAO 9303-12)."`
	Root       string   `required:"" type:"existingfile" help:"Certificate of that state's authority, got by another way."`
	Country    []string `default:"AZ" help:"States whose documents are taken, in two letters."`
	CRL        []string `name:"crl" type:"existingfile" help:"Revocation list of one of the authorities; may be given again."`
	Persons    []string `type:"existingfile" help:"Certificates (PEM, one or more in a file) of the authorities of persons' own certificates; may be given again."`
	Providers  []string `type:"existingfile" help:"Certificates (PEM, one or more in a file) of those whose word for a person is taken; may be given again."`
	Key        string   `required:"" type:"existingfile" help:"The operator's private key: P-256, PKCS#8 in PEM."`
	Out        string   `required:"" type:"path" help:"File of the bundle."`
	Version    int      `required:"" help:"Higher than that of every bundle before: kiosks refuse a lower one."`
}

// Run verifies the list, takes the authorities that are wanted, and signs.
func (c trustBuildCommand) Run(out io.Writer) error {
	now := time.Now().UTC().Truncate(time.Second)
	key, err := loadPrivate(c.Key)
	if err != nil {
		return err
	}
	list, err := c.list(now)
	if err != nil {
		return err
	}
	b := identity.Bundle{Version: c.Version, Issued: now}
	left := 0
	for _, cert := range list.Certificates {
		switch {
		case !slices.Contains(c.Country, cert.Subject.Country):
		case !cert.CA:
			left++
		default:
			b.Anchors = append(b.Anchors, cert.Raw)
		}
	}
	if len(b.Anchors) == 0 {
		return fmt.Errorf("none of %d certificates is of %s", len(list.Certificates), strings.Join(c.Country, ", "))
	}
	for _, path := range c.CRL {
		der, err := readDER(path)
		if err != nil {
			return err
		}
		b.Revocations = append(b.Revocations, der)
	}
	if b.Persons, err = readCertificates(c.Persons); err != nil {
		return err
	}
	if b.Providers, err = readCertificates(c.Providers); err != nil {
		return err
	}
	if err := identity.WriteSignedBundle(c.Out, b, key); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "version %d: %d of %d certificates, %d revocation lists; %d left out that don't say they are authorities\n",
		b.Version, len(b.Anchors), len(list.Certificates), len(b.Revocations), left)
	if err == nil && len(b.Persons)+len(b.Providers) > 0 {
		_, err = fmt.Fprintf(out, "%d authorities of persons, %d providers\n", len(b.Persons), len(b.Providers))
	}
	return err
}

// list reads the master list, believed by the root.
func (c trustBuildCommand) list(now time.Time) (*icao.MasterList, error) {
	der, err := readDER(c.Root)
	if err != nil {
		return nil, err
	}
	root, err := icao.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Root, err)
	}
	ber, err := os.ReadFile(c.Masterlist)
	if err != nil {
		return nil, err
	}
	list, err := icao.ParseMasterList(ber, root, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Masterlist, err)
	}
	return list, nil
}

// readCertificates reads all certificates of files in PEM, in their order.
func readCertificates(paths []string) (ders [][]byte, err error) {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		before := len(ders)
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				return nil, fmt.Errorf("%s: holds a %s, not certificates alone", path, strings.ToLower(block.Type))
			}
			ders = append(ders, block.Bytes)
		}
		if len(ders) == before {
			return nil, fmt.Errorf("%s: no certificate in pem", path)
		}
	}
	return ders, nil
}

// readDER reads a file in DER, or in PEM.
func readDER(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes, nil
	}
	return data, nil
}

// loadPrivate reads the key that signs bundles.
func loadPrivate(path string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	block, rest := pem.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%s: %w: not one private key in pem", path, identity.ErrKey)
	}
	if block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s: %w: holds a %s, not a private key in PKCS#8", path, identity.ErrKey, strings.ToLower(block.Type))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, identity.ErrKey, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: %w: not of p-256", path, identity.ErrKey)
	}
	return key, nil
}

type trustShowCommand struct {
	File string `arg:"" type:"existingfile" help:"The bundle."`
	Key  string `type:"existingfile" help:"The operator's public key: check the signature with it."`
}

// Run shows the bundle. Without a key it shows what the file says of itself.
func (c trustShowCommand) Run(out io.Writer) error {
	b, signed, err := identity.InspectBundle(c.File)
	if err != nil {
		return err
	}
	seal := "none"
	if signed {
		seal = "not checked: give --key"
	}
	if c.Key != "" {
		key, err := identity.LoadTrustKey(c.Key)
		if err != nil {
			return err
		}
		if _, err := identity.LoadBundle(c.File, key); err != nil {
			return err
		}
		seal = "good"
	}
	a, err := identity.NewAnchors(b)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := showAnchors(out, a, seal, now); err != nil {
		return err
	}
	return errors.Join(showOthers(out, "persons", b.Persons, now), showOthers(out, "provider", b.Providers, now))
}

// showOthers lists the authorities of persons' certificates, or providers.
func showOthers(out io.Writer, what string, ders [][]byte, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, der := range ders {
		c, err := icao.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		state := ""
		if !c.ValidAt(now) {
			state = "not valid now"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", what, commonName(c.Subject), c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly), state)
	}
	return w.Flush()
}

// commonName is a name's CN, "?" without one.
func commonName(n icao.Name) string {
	var parts pkix.RDNSequence
	var name pkix.Name
	if _, err := asn1.Unmarshal(n.Raw, &parts); err == nil {
		name.FillFromRDNSequence(&parts)
	}
	return cmp.Or(name.CommonName, "?")
}

// showAnchors lists authorities by state and expiry, and their revocation lists.
func showAnchors(out io.Writer, a *identity.Anchors, seal string, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%d\nissued\t%s, %d days ago\nsignature\t%s\nfor\t%s\n\n", a.Version,
		a.Issued.UTC().Format(time.DateOnly), a.Days(now), seal, map[bool]string{true: "development", false: "real cards"}[a.Development])
	all := a.Certificates()
	slices.SortFunc(all, func(x, y *icao.Certificate) int {
		if n := strings.Compare(x.Subject.Country, y.Subject.Country); n != 0 {
			return n
		}
		return x.NotAfter.Compare(y.NotAfter)
	})
	for _, c := range all {
		state := ""
		if !c.ValidAt(now) {
			state = "not valid now" // it still vouches for what was signed then
		}
		fmt.Fprintf(w, "%s\tanchor\t%s\t%s\t%s\n", c.Subject.Country, c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly), state)
	}
	for _, l := range a.RevocationLists() {
		state := ""
		if now.After(l.NextUpdate.Add(identity.Grace)) {
			state = "too old: its cards are refused"
		}
		fmt.Fprintf(w, "%s\tlist of %d\t%s\t%s\t%s\n", l.Issuer.Country, l.Len(), l.ThisUpdate.Format(time.DateOnly), l.NextUpdate.Format(time.DateOnly), state)
	}
	return w.Flush()
}
