package request

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/device/seal/sealtest"
)

var issued = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func sampleReceipt() Receipt {
	return Receipt{
		ID: NewID(issued), Hash: sha256.Sum256([]byte("sealed")), Seq: 1 << 40,
		ReceivedAt: issued.Add(123 * time.Millisecond), Previous: sha256.Sum256([]byte("before")),
	}
}

func sampleOutcome(t testing.TB) (Outcome, Certificate) {
	t.Helper()
	o := Outcome{
		Kind: KindCertificate, Number: "123456789012", Service: "workplace_cert",
		IssuedAt: issued, ValidUntil: issued.Add(30 * 24 * time.Hour),
		Data: []Datum{{ID: "employer", Value: "“Xəzər Gəmiçilik” ASC", Lang: "az", Register: "employment_contracts"}},
	}
	hash, err := HashData(o.Data)
	if err != nil {
		t.Fatal(err)
	}
	return o, Certificate{
		Kind: o.Kind, Number: o.Number, Service: o.Service, IssuedAt: o.IssuedAt, ValidUntil: o.ValidUntil,
		Holder: MaskName("GÜLÇÖHRƏ", "İSMAYILZADƏ"), Hash: hash,
	}
}

func TestReceipt(t *testing.T) {
	key, other := sealtest.Key(t), sealtest.Key(t)
	r := sampleReceipt()
	b, err := SignReceipt(r, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyReceipt(b, &key.PublicKey); err != nil || got != r {
		t.Errorf("got %+v %v, want %+v", got, err, r)
	}
	if again, err := SignReceipt(r, key); err != nil || !bytes.Equal(again, b) {
		t.Errorf("signed again it isn't the same: %v", err)
	}
	if _, err := VerifyReceipt(b, &other.PublicKey); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v, want ErrKey", err)
	}
	if err := CheckReceipt(b, &key.PublicKey, string(r.ID), r.Hash); err != nil {
		t.Error(err)
	}
	if err := CheckReceipt(b, &key.PublicKey, string(NewID(issued)), r.Hash); !errors.Is(err, ErrOther) {
		t.Errorf("another id: %v, want ErrOther", err)
	}
	if err := CheckReceipt(b, &key.PublicKey, string(r.ID), r.Previous); !errors.Is(err, ErrOther) {
		t.Errorf("another envelope: %v, want ErrOther", err)
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if _, err := VerifyReceipt(bad, &key.PublicKey); err == nil {
				t.Fatalf("bit %d of byte %d flipped, and it verifies", bit, i)
			}
		}
	}
	t.Logf("receipt: %d bytes, %d in base45", len(b), len(Base45(b)))
}

func TestCertificate(t *testing.T) {
	key := sealtest.Key(t)
	o, c := sampleOutcome(t)
	b, err := SignCertificate(c, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyCertificate(b, &key.PublicKey, issued)
	if err != nil || got != c {
		t.Errorf("got %+v %v, want %+v", got, err, c)
	}
	if err := got.Check(o); err != nil {
		t.Error(err)
	}
	late, err := VerifyCertificate(b, &key.PublicKey, c.ValidUntil.Add(time.Second))
	if !errors.Is(err, ErrExpired) || late != c {
		t.Errorf("too late: %+v %v, want ErrExpired and the certificate", late, err)
	}
	changes := map[string]func(*Outcome){
		"value":  func(o *Outcome) { o.Data = []Datum{{ID: "employer", Value: "“Xezer” ASC"}} },
		"number": func(o *Outcome) { o.Number = "123456789013" },
		"end":    func(o *Outcome) { o.ValidUntil = o.ValidUntil.Add(time.Hour) },
	}
	for name, change := range changes {
		forged := o
		change(&forged)
		if err := got.Check(forged); !errors.Is(err, ErrOther) {
			t.Errorf("another %s: %v, want ErrOther", name, err)
		}
	}
	if len(b) > 230 {
		t.Errorf("%d bytes, want at most 230", len(b))
	}
	t.Logf("certificate: %d bytes, %d in base45", len(b), len(Base45(b)))
}

func TestProvisional(t *testing.T) {
	key := sealtest.Key(t)
	p := Provisional{Number: "123456789012", Service: "workplace_cert", Station: "KIOSK-001", CreatedAt: issued}
	b, err := SignProvisional(p, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyProvisional(b, &key.PublicKey); err != nil || got != p {
		t.Errorf("got %+v %v, want %+v", got, err, p)
	}
	t.Logf("provisional: %d bytes, %d in base45", len(b), len(Base45(b)))
}

func TestOneWordIsNotAnother(t *testing.T) {
	key := sealtest.Key(t)
	_, c := sampleOutcome(t)
	receipt, err := SignReceipt(sampleReceipt(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := SignCertificate(c, key)
	if err != nil {
		t.Fatal(err)
	}
	provisional, err := SignProvisional(Provisional{Number: "1", CreatedAt: issued}, key)
	if err != nil {
		t.Fatal(err)
	}
	verify := map[string]func([]byte) error{
		"receipt":     func(b []byte) error { _, err := VerifyReceipt(b, &key.PublicKey); return err },
		"certificate": func(b []byte) error { _, err := VerifyCertificate(b, &key.PublicKey, issued); return err },
		"provisional": func(b []byte) error { _, err := VerifyProvisional(b, &key.PublicKey); return err },
	}
	for is, b := range map[string][]byte{"receipt": receipt, "certificate": certificate, "provisional": provisional} {
		for as, check := range verify {
			if err := check(b); (err == nil) != (is == as) || err != nil && !errors.Is(err, ErrToken) {
				t.Errorf("a %s as a %s: %v", is, as, err)
			}
		}
	}
}

func TestMaskName(t *testing.T) {
	for _, tt := range []struct{ given, surname, want string }{
		{"AYGÜN", "MƏMMƏDOVA", "AY*** MƏ***"},
		{"ƏLİ", "LU", "ƏL*** L***"},
		{"", "QARA", "*** QA***"},
	} {
		if got := MaskName(tt.given, tt.surname); got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.given, tt.surname, got, tt.want)
		}
	}
}

func TestStream(t *testing.T) {
	a := Stream([]byte("key"), "5ARPXK2", "workplace_cert")
	if len(a) != 32 || strings.Contains(a, "5ARPXK2") {
		t.Errorf("stream %q", a)
	}
	for _, b := range []string{
		Stream([]byte("yek"), "5ARPXK2", "workplace_cert"),
		Stream([]byte("key"), "5ARPXK2w", "orkplace_cert"),
		Stream([]byte("key"), "1QK8M3T", "workplace_cert"),
	} {
		if a == b {
			t.Error("two streams are one")
		}
	}
}

func TestBase45(t *testing.T) {
	for text, want := range map[string]string{ // RFC 9285, section 4.3
		"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": "",
	} {
		if got := Base45([]byte(text)); got != want {
			t.Errorf("Base45(%q) = %q, want %q", text, got, want)
		}
	}
	for _, bad := range []string{"A", "AAAA", "aa", "::", ":::", "GGW", "é0"} {
		if b, err := ParseBase45(bad); !errors.Is(err, ErrBase45) {
			t.Errorf("ParseBase45(%q) = %x, %v", bad, b, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		if got, err := ParseBase45(Base45(b)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x came back as %x, %v", b, got, err)
		}
	})
}

func FuzzParseBase45(f *testing.F) {
	for _, s := range []string{"", "BB8", "%69 VD92EX0", "GGW", "::", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBase45(s); err == nil && Base45(b) != s {
			t.Errorf("%q has another spelling, %q", s, Base45(b))
		}
	})
}

func FuzzVerifyReceipt(f *testing.F) {
	key := sealtest.Key(f)
	r := sampleReceipt()
	good, err := SignReceipt(r, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:60])
	f.Add([]byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := VerifyReceipt(b, &key.PublicKey); err == nil && got != r {
			t.Errorf("a receipt that was never signed verifies: %+v", got)
		}
	})
}

func FuzzTokens(f *testing.F) {
	key := sealtest.Key(f)
	_, c := sampleOutcome(f)
	p := Provisional{Number: "123456789012", Service: "s", Station: "k", CreatedAt: issued}
	certificate, err := SignCertificate(c, key)
	if err != nil {
		f.Fatal(err)
	}
	provisional, err := SignProvisional(p, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(certificate)
	f.Add(provisional)
	f.Add([]byte{0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0x41, 0xa0, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := VerifyCertificate(b, &key.PublicKey, issued); err == nil && got != c {
			t.Errorf("a certificate that was never signed verifies: %+v", got)
		}
		if got, err := VerifyProvisional(b, &key.PublicKey); err == nil && got != p {
			t.Errorf("a provisional that was never signed verifies: %+v", got)
		}
	})
}

// An application's code is no certificate's, and doesn't expire.
func TestAnApplicationIsNoCertificate(t *testing.T) {
	key := sealtest.Key(t)
	o, c := sampleOutcome(t)
	o.Kind, c.Kind = KindApplication, KindApplication
	b, err := SignCertificate(c, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyCertificate(b, &key.PublicKey, c.ValidUntil.AddDate(1, 0, 0))
	if err != nil || got != c || got.Check(o) != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	o.Kind = KindCertificate
	if err := got.Check(o); !errors.Is(err, ErrOther) {
		t.Errorf("an application passes for a certificate: %v", err)
	}
	o.Token = b
	code, err := PackDocument(o, Look{"az", "2026.11", "1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyDocument(code, &key.PublicKey, issued); !errors.Is(err, ErrToken) {
		t.Errorf("a page of an application: %v", err)
	}
}
