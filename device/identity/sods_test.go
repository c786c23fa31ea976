package identity_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card/icao"
)

// foreign is where the public files of other states are kept.
const foreign = "../../drivers/card/icao/testdata"

func readForeign(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(foreign, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// germanList is the authorities that Germany lists.
func germanList(t *testing.T) *identity.Anchors {
	t.Helper()
	root, err := icao.ParseCertificate(readForeign(t, "masterlist/DE_ROOT_CA_CSCA07.cer"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := icao.ParseMasterList(readForeign(t, "masterlist/DE_ML_2026-05-28-08-28-45.ml"), root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b := identity.Bundle{Version: 1, Issued: list.Signer.Time}
	for _, c := range list.Certificates {
		if c.CA { // eight don't say that they are
			b.Anchors = append(b.Anchors, c.Raw)
		}
	}
	a, err := identity.NewAnchors(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// believeSOD goes from a real EF.SOD to an authority of the list.
func believeSOD(file []byte, anchors *identity.Anchors) (icao.Signer, error) {
	sod, err := icao.ParseSOD(file)
	if err != nil {
		return icao.Signer{}, err
	}
	signer, err := sod.Verify()
	if err != nil {
		return icao.Signer{}, err
	}
	return signer, anchors.Trust(signer, time.Now())
}

// Four states' real security objects lead to authorities of a real master list,
// and each byte that the state or its authority signed is covered: the content,
// the attributes and the signer's certificate. Every byte is flipped, but of the
// German one, whose curve takes 28 ms a try, every 17th; all of them, for minutes,
// with KOSK_LONG=1.
func TestRealSecurityObjectsLeadToTheMasterList(t *testing.T) {
	anchors := germanList(t)
	for _, name := range []string{"DE1", "FR1", "MY1", "NZ1"} {
		t.Run(name, func(t *testing.T) {
			file := readForeign(t, name+".sod")
			signer, err := believeSOD(file, anchors)
			if err != nil {
				t.Fatalf("genuine: %v", err)
			}
			begun, flips, stride := time.Now(), 0, 1
			if name == "DE1" && os.Getenv("KOSK_LONG") == "" {
				stride = 17
			}
			for what, part := range signedParts(t, file, signer) {
				at := bytes.Index(file, part)
				if at < 0 {
					t.Fatalf("%s: not in one piece in the file", what)
				}
				for i := 0; i < len(part); i += stride {
					file[at+i] ^= 0x55
					if _, err := believeSOD(file, anchors); err == nil {
						t.Errorf("%s: byte %d of %d: the flip went unnoticed", what, i, len(part))
					}
					file[at+i] ^= 0x55
					flips++
				}
			}
			t.Logf("%d of %d bytes flipped in %v", flips, len(file), time.Since(begun))
		})
	}
}

// signedParts are the octets of a security object that signatures cover.
func signedParts(t *testing.T, file []byte, signer icao.Signer) map[string][]byte {
	t.Helper()
	content, attributes, err := parts(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := icao.Unwrap(signer.Certificate.Raw, 0x30)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err := icao.ReadTLV(body)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"content": content, "attributes": attributes, "certificate": certificate.Raw}
}

// parts walks through SignedData, RFC 5652, 5.1, by its tags alone.
func parts(file []byte) (content, attributes []byte, err error) {
	body, err := icao.Unwrap(file, 0x77)
	if err != nil {
		return nil, nil, err
	}
	der, err := icao.Definite(body)
	if err != nil {
		return nil, nil, err
	}
	data, err := descend(der, 1, 0) // ContentInfo, its content, SignedData
	if err != nil {
		return nil, nil, err
	}
	signed, err := icao.Children(data.Value)
	if err != nil || len(signed) < 4 {
		return nil, nil, fmt.Errorf("signed data of %d parts: %w", len(signed), err)
	}
	inner, err := descend(signed[2].Raw, 1, 0) // encapsulated content
	if err != nil {
		return nil, nil, err
	}
	info, err := descend(signed[len(signed)-1].Raw, 0) // the first signer
	if err != nil {
		return nil, nil, err
	}
	fields, err := icao.Children(info.Value)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range fields {
		if f.Tag == 0xA0 {
			return inner.Value, f.Value, nil
		}
	}
	return nil, nil, fmt.Errorf("no signed attributes")
}

// descend takes the n-th child, and of it the next, and so on.
func descend(der []byte, path ...int) (icao.TLV, error) {
	t, _, err := icao.ReadTLV(der)
	for _, n := range path {
		if err != nil {
			return icao.TLV{}, err
		}
		all, childErr := icao.Children(t.Value)
		if childErr != nil || n >= len(all) {
			return icao.TLV{}, fmt.Errorf("no child %d: %w", n, childErr)
		}
		t = all[n]
	}
	return t, err
}
