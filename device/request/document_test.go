package request

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/device/seal/sealtest"
)

var documentDay = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

// aDocument is the outcome of a request, signed by key.
func aDocument(t testing.TB, key *ecdsa.PrivateKey) Outcome {
	t.Helper()
	o := Outcome{
		Kind: KindCertificate, Number: "12345678903", Service: "workplace_cert",
		IssuedAt: documentDay, ValidUntil: documentDay.AddDate(0, 1, 0),
		Data: []Datum{
			{ID: "employer", Value: "“Xəzər Logistika” MMC", Lang: "az", Register: "employment"},
			{ID: "position", Value: "Baş mühəndis", Lang: "az", Register: "employment"},
			{ID: "since", Value: "2019-03-01", Register: "employment"},
			{ID: "purpose", Value: "bank"},
		},
	}
	sum, err := HashData(o.Data)
	if err != nil {
		t.Fatal(err)
	}
	o.Token, err = SignCertificate(Certificate{
		Number: o.Number, Service: o.Service, IssuedAt: o.IssuedAt, ValidUntil: o.ValidUntil,
		Holder: MaskName("AYTƏN", "MƏMMƏDOVA"), Hash: sum,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestDocumentSaysWhatWasSigned(t *testing.T) {
	key := sealtest.Key(t)
	o := aDocument(t, key)
	code, err := PackDocument(o, Look{"az", "2026.11", "1"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := VerifyDocument(code, &key.PublicKey, documentDay)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o.Data, d.Outcome.Data); diff != "" || d.Look.Lang != "az" || d.Certificate.Number != o.Number {
		t.Errorf("document differs:\n%s", diff)
	}
	if len(code) > 1400 {
		t.Errorf("code has %d characters", len(code))
	}
	t.Logf("%d characters", len(code))
}

func TestDocumentIsRefused(t *testing.T) {
	key := sealtest.Key(t)
	o := aDocument(t, key)
	pack := func(change func(*Outcome)) string {
		c := o
		c.Data = append([]Datum(nil), o.Data...)
		change(&c)
		code, err := PackDocument(c, Look{"az", "2026.11", "1"})
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	for _, c := range []struct {
		name string
		code string
		now  time.Time
		want error
	}{
		{"another employer", pack(func(o *Outcome) { o.Data[0].Value = "Özəl" }), documentDay, ErrAltered},
		{"a datum more", pack(func(o *Outcome) { o.Data = append(o.Data, Datum{ID: "x", Value: "y"}) }), documentDay, ErrAltered},
		{"no datum", pack(func(o *Outcome) { o.Data = nil }), documentDay, ErrAltered},
		{"another's key", pack(func(x *Outcome) { *x = aDocument(t, sealtest.Key(t)) }), documentDay, ErrKey},
		{"no token", pack(func(o *Outcome) { o.Token = nil }), documentDay, ErrToken},
		{"a receipt's letters", "ABC", documentDay, ErrToken},
		{"no base45", "abc", documentDay, ErrBase45},
		{"too late", pack(func(*Outcome) {}), documentDay.AddDate(1, 0, 0), ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := VerifyDocument(c.code, &key.PublicKey, c.now)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if genuine := errors.Is(err, ErrExpired); genuine != (d.Certificate.Number != "") {
				t.Errorf("document returned: %v", d.Certificate.Number != "")
			}
		})
	}
}

func TestDocumentIsNotLogged(t *testing.T) {
	key := sealtest.Key(t)
	code, _ := PackDocument(aDocument(t, key), Look{"az", "2026.11", "1"})
	d, err := VerifyDocument(code, &key.PublicKey, documentDay)
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprint(d); strings.Contains(said, "Xəzər") {
		t.Errorf("said %q", said)
	}
}

func TestRevocations(t *testing.T) {
	key := sealtest.Key(t)
	list := Revocations{Seq: 3, IssuedAt: documentDay, NextUpdate: documentDay.AddDate(0, 0, 7)}
	for _, n := range []string{"12345678903", "00000000000", "98765432100", "12345678903"} {
		list.Revoke(n)
	}
	signed, err := SignRevocations(list, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyRevocations(signed, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != 3 || !got.Revoked("98765432100") || got.Revoked("11111111111") || got.Seq != 3 ||
		!got.NextUpdate.Equal(list.NextUpdate) {
		t.Errorf("list differs: %+v", got)
	}
	for i := range signed {
		bad := append([]byte(nil), signed...)
		bad[i] ^= 1
		if _, err := VerifyRevocations(bad, &key.PublicKey); err == nil {
			t.Fatalf("byte %d of %d changed, and believed", i, len(signed))
		}
	}
	if _, err := VerifyRevocations(signed, &sealtest.Key(t).PublicKey); !errors.Is(err, ErrKey) {
		t.Errorf("another's key: %v", err)
	}
}

func FuzzDocument(f *testing.F) {
	key := sealtest.Key(f)
	code, err := PackDocument(aDocument(f, key), Look{"ru", "2026.11", "1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := VerifyDocument(text, &key.PublicKey, documentDay); err == nil {
			if _, err := PackDocument(d.Outcome, d.Look); err != nil {
				t.Fatal(err)
			}
		}
	})
}
