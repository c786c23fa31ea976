package request

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"kosk/device/seal/sealtest"
)

func whole(t testing.TB, use string) (Statement, []byte) {
	t.Helper()
	s := NewStatement(use, "K-1", time.Date(2026, 11, 22, 10, 20, 0, 0, time.UTC))
	s.Request, s.Service, s.Lang = NewID(s.At), "workplace_cert", "az"
	s.Answers = map[string]string{"purpose": "bank"}
	s.Shown = []Line{{ID: "review/title", Name: "Cavablarınızı yoxlayın"}, {ID: "consent/consent.person", Name: "Kim", Value: "Aygün Məmmədova"}}
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func TestStatementReadsBack(t *testing.T) {
	s, b := whole(t, UseSign)
	got, err := ParseStatement(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, got) {
		t.Error("another one came back")
	}
	_, again := whole(t, UseSign)
	if bytes.Equal(b, again) {
		t.Error("two statements are the same: a signature would be good twice")
	}
}

// What is signed has one reading: nothing else is a statement.
func TestParseStatementRefuses(t *testing.T) {
	_, b := whole(t, UseSign)
	for name, spoilt := range map[string][]byte{
		"nothing":            nil,
		"no object":          []byte("[]"),
		"a space":            append([]byte(" "), b...),
		"something behind":   append(bytes.Clone(b), '{', '}'),
		"an unknown field":   bytes.Replace(b, []byte(`{"answers"`), []byte(`{"amount":"1","answers"`), 1),
		"a field twice":      bytes.Replace(b, []byte(`"lang":"az"`), []byte(`"lang":"az","lang":"az"`), 1),
		"another order":      bytes.Replace(b, []byte(`"v":1}`), []byte(`"v":1,"a":1}`), 1),
		"another version":    bytes.Replace(b, []byte(`"v":1}`), []byte(`"v":2}`), 1),
		"an escape too many": bytes.Replace(b, []byte(`"az"`), []byte(`"\u0061z"`), 1),
		"no nonce":           []byte(`{"at":"2026-11-22T10:20:00Z","nonce":"","station":"K-1","use":"login","v":1}`),
	} {
		if name != "nothing" && bytes.Equal(spoilt, b) {
			t.Fatalf("%s: not spoilt", name)
		}
		if _, err := ParseStatement(spoilt); !errors.Is(err, ErrStatement) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The proofs travel in the envelope, byte for byte.
func TestProofsTravel(t *testing.T) {
	key := sealtest.Key(t)
	box, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s, b := whole(t, UseSign)
	d := Draft{
		ID: s.Request, Station: "K-1", Service: "workplace_cert", CreatedAt: s.At, Clock: ClockUnset, BootID: "b", Lang: "az",
		Login:            Proof{Means: "code", Statement: []byte("l"), Certificate: []byte{1}, Signature: []byte{2}, Word: []byte{3}},
		CitizenSignature: Proof{Means: "card", Statement: b, Certificate: []byte{4}, Signature: []byte{5}},
	}
	sealed, err := Seal(d, key, box.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(sealed, box, func(string) ([]crypto.PublicKey, error) { return []crypto.PublicKey{&key.PublicKey}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(wireProof(d.Login), wireProof(got.Login)) || !cmp.Equal(wireProof(d.CitizenSignature), wireProof(got.CitizenSignature)) {
		t.Error("another proof came out")
	}
	if bytes.Contains(sealed, b) {
		t.Error("the statement is in the clear")
	}
}

func TestStatementsKeepQuiet(t *testing.T) {
	s, b := whole(t, UseSign)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{s, s.Shown[1], Proof{Statement: b}, []Line(s.Shown), struct{ S Statement }{s}} {
		log.Info("m", "v", v)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			fmt.Fprintf(&out, verb, v)
		}
	}
	for _, own := range []string{"Aygün", "bank"} {
		if strings.Contains(out.String(), own) {
			t.Errorf("%q comes out", own)
		}
	}
}

// Whatever is read as a statement is written the same.
func FuzzStatement(f *testing.F) {
	_, b := whole(f, UseSign)
	f.Add(b)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatement(b)
		if err != nil {
			return
		}
		if again, err := s.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q is read and written as %q, %v", b, again, err)
		}
	})
}

// signedDraft is a request and its statement, whose signature anybody may believe.
func signedDraft(t *testing.T) (Draft, Statement) {
	t.Helper()
	s, _ := whole(t, UseSign)
	c := Consent{Person: "P", Operator: "O", Purpose: "W", Operations: "D", Period: "T", Deletion: "X"}
	for item, v := range map[string]string{
		"person": c.Person, "operator": c.Operator, "purpose": c.Purpose, "operations": c.Operations, "period": c.Period, "deletion": c.Deletion,
	} {
		s.Shown = append(s.Shown, Line{ID: "consent/consent." + item, Value: v})
	}
	return Draft{
		ID: s.Request, Station: "K-1", Service: "workplace_cert", CreatedAt: s.At, Lang: "az", Answers: s.Answers, Consent: c,
		Holder: Holder{FIN: "5ARPXK2"},
	}, s
}

// A request is taken only when everything in it stood in what was signed.
func TestASignatureIsOfThisRequestOnly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Draft, *Statement)
		want   error
	}{
		"as it was signed":   {func(*Draft, *Statement) {}, nil},
		"another answer":     {func(d *Draft, _ *Statement) { d.Answers = Answers{"purpose": "school"} }, ErrStatement},
		"an answer more":     {func(d *Draft, _ *Statement) { d.Answers = Answers{"purpose": "bank", "copy": "yes"} }, ErrStatement},
		"another language":   {func(d *Draft, _ *Statement) { d.Lang = "ru" }, ErrStatement},
		"another service":    {func(d *Draft, _ *Statement) { d.Service = "imei_check" }, ErrStatement},
		"another request":    {func(d *Draft, _ *Statement) { d.ID = NewID(d.CreatedAt) }, ErrStatement},
		"another consent":    {func(d *Draft, _ *Statement) { d.Consent.Operations = "everything" }, ErrStatement},
		"a consent left out": {func(d *Draft, _ *Statement) { d.Consent.Deletion = "" }, ErrStatement},
		"a consent left out of both": {func(d *Draft, s *Statement) {
			d.Consent.Deletion = ""
			s.Shown = slices.DeleteFunc(s.Shown, func(l Line) bool { return l.ID == "consent/consent.deletion" })
		}, ErrStatement},
		"a consent that was moved": {func(d *Draft, _ *Statement) { d.Consent.Operator, d.Consent.Purpose = "W", "O" }, ErrStatement},
		"a consent not shown":      {func(_ *Draft, s *Statement) { s.Shown = s.Shown[:3] }, ErrStatement},
		"of another person":        {func(d *Draft, _ *Statement) { d.Holder.FIN = "1QK8M3T" }, ErrSignature},
		"a login":                  {func(_ *Draft, s *Statement) { s.Use = UseLogin }, ErrStatement},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := signedDraft(t)
			c.change(&d, &s)
			b, err := s.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			d.CitizenSignature = Proof{Means: "card", Statement: b}
			err = d.CheckProofs(false, true, func(use string, p Proof) (string, error) {
				if use != UseSign || !bytes.Equal(p.Statement, b) {
					t.Error("something else is verified")
				}
				return "5ARPXK2", nil
			})
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
