package identity_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/device/identity/identitytest"
	"kosk/device/seal/sealtest"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/offline"
)

// persons is a state with an authority of persons, and one person's card.
type persons struct {
	anchors   *identity.Anchors
	authority *identitytest.Authority
	stranger  *identitytest.Authority
	keys      *identitytest.Keys
	provider  *ecdsa.PrivateKey
	word      []byte // the provider's certificate
	pki       *vcard.PKI
}

func newPersons(t testing.TB) *persons {
	t.Helper()
	p := &persons{}
	now := time.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	p.pki, err = vcard.NewPKI()
	must(err)
	p.authority, err = identitytest.NewAuthority("Persons", now)
	must(err)
	p.stranger, err = identitytest.NewAuthority("Persons", now) // the same name, another key
	must(err)
	p.provider, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	p.word, err = p.authority.Issue(&p.provider.PublicKey, "", "", "provider", x509.KeyUsageDigitalSignature, nil)
	must(err)
	p.keys, err = identitytest.NewKeys(p.authority, "MƏMMƏDOVA", "AYGÜN", "PNOAZ-5ARPXK2")
	must(err)
	p.anchors, err = identity.NewAnchors(identity.Bundle{
		Version: 1, Issued: now, Anchors: p.pki.Bundle(), Persons: [][]byte{p.authority.Certificate}, Providers: [][]byte{p.word},
	})
	must(err)
	return p
}

func (p *persons) token() identity.Token { return identity.Token{Keys: p.keys, Anchors: p.anchors} }

func claim(use identity.Use) identity.Claim {
	return identity.Claim{Use: use, Statement: []byte(`{"use":"` + string(use) + `"}`), FIN: "5ARPXK2"}
}

func pin(digits string) identity.Typed { return identity.Typed{identity.PINField: []byte(digits)} }

// Both uses, each with its own key: an EC and an RSA key.
func TestTheCardProves(t *testing.T) {
	p := newPersons(t)
	for use, digits := range map[identity.Use]string{identity.Login: "8642", identity.Sign: "97531"} {
		typed := pin(digits)
		proof, err := p.token().Prove(t.Context(), claim(use), typed, nil)
		if err != nil {
			t.Fatalf("%s: %v", use, err)
		}
		s, err := proof.Check(use, p.anchors, time.Now())
		if err != nil || s.FIN != "5ARPXK2" || s.Surname != "Məmmədova" || s.GivenNames != "Aygün" {
			t.Errorf("%s: of another person, or %v", use, err)
		}
		if want := identity.KeyFor(use); p.keys.Signing != want {
			t.Errorf("%s: signed with the key %v", use, p.keys.Signing)
		}
		if !bytes.Equal(typed[identity.PINField], make([]byte, len(digits))) {
			t.Errorf("%s: the pin is still there", use)
		}
		other := identity.Login
		if use == identity.Login {
			other = identity.Sign
		}
		if _, err := proof.Check(other, p.anchors, time.Now()); !errors.Is(err, identity.ErrUnknownSigner) {
			t.Errorf("%s passes as %s: %v", use, other, err)
		}
		for i := range proof.Statement {
			spoilt := proof
			spoilt.Statement = bytes.Clone(proof.Statement)
			spoilt.Statement[i] ^= 1
			if _, err := spoilt.Check(use, p.anchors, time.Now()); !errors.Is(err, identity.ErrProof) {
				t.Errorf("%s: byte %d can be changed: %v", use, i, err)
			}
		}
	}
	if len(p.keys.Broken) > 0 {
		t.Error(p.keys.Broken)
	}
}

// A card whose certificate isn't believed gets no PIN.
func TestNoPINForACardThatIsNotBelieved(t *testing.T) {
	key := sealtest.Key(t)
	for name, c := range map[string]struct {
		issue func(p *persons) ([]byte, error)
		want  error
	}{
		"of a stranger with the authority's name": {func(p *persons) ([]byte, error) {
			return p.stranger.Issue(&key.PublicKey, "A", "B", "5ARPXK2", x509.KeyUsageDigitalSignature, nil)
		}, identity.ErrUnknownSigner},
		"for another use": {func(p *persons) ([]byte, error) {
			return p.authority.Issue(&key.PublicKey, "A", "B", "5ARPXK2", x509.KeyUsageContentCommitment, nil)
		}, identity.ErrUnknownSigner},
		"without a use": {func(p *persons) ([]byte, error) {
			return p.authority.Issue(&key.PublicKey, "A", "B", "5ARPXK2", 0, nil)
		}, identity.ErrUnknownSigner},
		"expired": {func(p *persons) ([]byte, error) {
			return p.authority.Issue(&key.PublicKey, "A", "B", "5ARPXK2", x509.KeyUsageDigitalSignature, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().Add(-time.Hour)
			})
		}, identity.ErrExpired},
		"an authority itself":       {func(p *persons) ([]byte, error) { return p.authority.Certificate, nil }, identity.ErrUnknownSigner},
		"an authority of documents": {func(p *persons) ([]byte, error) { return p.pki.Bundle()[0], nil }, identity.ErrUnknownSigner},
		"of another person": {func(p *persons) ([]byte, error) {
			return p.authority.Issue(&key.PublicKey, "A", "B", "PNOAZ-1QK8M3T", x509.KeyUsageDigitalSignature, nil)
		}, identity.ErrOtherPerson},
		"of nobody": {func(p *persons) ([]byte, error) {
			return p.authority.Issue(&key.PublicKey, "A", "B", "x", x509.KeyUsageDigitalSignature, nil)
		}, identity.ErrUnreadable},
		"noise": {func(*persons) ([]byte, error) { return []byte{0x30, 1}, nil }, identity.ErrUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPersons(t)
			cert, err := c.issue(p)
			if err != nil {
				t.Fatal(err)
			}
			p.keys.Certs[signer.Authentication] = cert
			if _, err := p.token().Prove(t.Context(), claim(identity.Login), pin("0000"), nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := p.keys.Tries[signer.Authentication]; n != 3 {
				t.Errorf("%d tries left", n)
			}
		})
	}
}

// A person's key signs no document, and a document signer proves no person.
func TestAuthoritiesStandApart(t *testing.T) {
	p := newPersons(t)
	for _, b := range []identity.Bundle{
		{Version: 1, Issued: time.Now(), Anchors: p.pki.Bundle(), Providers: [][]byte{p.authority.Certificate}},
		{Version: 1, Issued: time.Now(), Anchors: p.pki.Bundle(), Persons: [][]byte{p.word}},
	} {
		if _, err := identity.NewAnchors(b); !errors.Is(err, identity.ErrBundle) {
			t.Errorf("taken: %v", err)
		}
	}
	apart, err := identity.NewAnchors(identity.Bundle{
		Version: 1, Issued: time.Now(), Anchors: append(p.pki.Bundle(), p.authority.Certificate),
	})
	if err != nil {
		t.Fatal(err)
	}
	token := identity.Token{Keys: p.keys, Anchors: apart}
	if _, err := token.Prove(t.Context(), claim(identity.Login), pin("8642"), nil); !errors.Is(err, identity.ErrUnknownSigner) {
		t.Errorf("an authority of documents vouches for a person: %v", err)
	}
}

// bus is a provider behind a line; answer is what it says to a question.
type bus struct {
	asked  []string
	answer func(service string, question []byte) (identity.ApprovalAnswer, error)
}

func (b *bus) Lookup(_ context.Context, service string, question any) (json.RawMessage, error) {
	b.asked = append(b.asked, service)
	q, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	a, err := b.answer(service, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

// signed is what a phone makes of a statement.
func (p *persons) signed(t *testing.T, statement []byte, number string, usage x509.KeyUsage) identity.ApprovalAnswer {
	t.Helper()
	key := sealtest.Key(t)
	cert, err := p.authority.Issue(&key.PublicKey, "MƏMMƏDOVA", "AYGÜN", number, usage, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(statement)
	der, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	plain, err := identitytest.Plain(&key.PublicKey, der)
	if err != nil {
		t.Fatal(err)
	}
	return identity.ApprovalAnswer{State: identity.ApprovalGiven, Certificate: cert, Signature: plain}
}

// The bus's yes is worth what its signature is worth.
func TestApproval(t *testing.T) {
	p := newPersons(t)
	for name, c := range map[string]struct {
		last func(statement []byte) identity.ApprovalAnswer
		want error
	}{
		"approved": {func(s []byte) identity.ApprovalAnswer {
			return p.signed(t, s, "5ARPXK2", x509.KeyUsageDigitalSignature)
		}, nil},
		"a bare yes": {func([]byte) identity.ApprovalAnswer {
			return identity.ApprovalAnswer{State: identity.ApprovalGiven}
		}, identity.ErrUnreadable},
		"a yes to something else": {func([]byte) identity.ApprovalAnswer {
			return p.signed(t, []byte("earlier"), "5ARPXK2", x509.KeyUsageDigitalSignature)
		}, identity.ErrProof},
		"another person's yes": {func(s []byte) identity.ApprovalAnswer {
			return p.signed(t, s, "1QK8M3T", x509.KeyUsageDigitalSignature)
		}, identity.ErrOtherPerson},
		"with a key for signatures": {func(s []byte) identity.ApprovalAnswer {
			return p.signed(t, s, "5ARPXK2", x509.KeyUsageContentCommitment)
		}, identity.ErrUnknownSigner},
		"declined":          {func([]byte) identity.ApprovalAnswer { return identity.ApprovalAnswer{State: identity.ApprovalDeclined} }, identity.ErrDeclined},
		"lapsed":            {func([]byte) identity.ApprovalAnswer { return identity.ApprovalAnswer{State: identity.ApprovalLapsed} }, identity.ErrLapsed},
		"in no known state": {func([]byte) identity.ApprovalAnswer { return identity.ApprovalAnswer{State: "fine"} }, offline.ErrAgency},
	} {
		t.Run(name, func(t *testing.T) {
			want := claim(identity.Login)
			waits := 0
			b := &bus{answer: func(service string, q []byte) (identity.ApprovalAnswer, error) {
				if service == identity.ApprovalBegin {
					var question identity.ApprovalQuestion
					if err := json.Unmarshal(q, &question); err != nil || !bytes.Equal(question.Statement, want.Statement) || question.Phone != "501234567" {
						t.Errorf("asked %s: %v", q, err)
					}
					return identity.ApprovalAnswer{ID: "7", State: identity.ApprovalWaiting}, nil
				}
				switch waits++; waits {
				case 1:
					return identity.ApprovalAnswer{State: identity.ApprovalWaiting}, nil
				case 2:
					return identity.ApprovalAnswer{}, fmt.Errorf("a moment: %w", offline.ErrLineDown)
				}
				return c.last(want.Statement), nil
			}}
			var shown []identity.Prompt
			typed := identity.Typed{identity.FieldPhone: []byte("501234567")}
			means := identity.Approval{ID: "sima", Lookup: b, Anchors: p.anchors, Scanned: true}
			proof, err := means.Prove(t.Context(), want, typed, func(p identity.Prompt) { shown = append(shown, p) })
			if !errors.Is(err, c.want) || err == nil && proof.Means != "sima" {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if len(shown) != 1 || shown[0].Code != identity.ControlCode(want.Statement) || !strings.HasPrefix(shown[0].QR, "sima:7:") {
				t.Errorf("shown %v", shown)
			}
			if string(typed[identity.FieldPhone]) != strings.Repeat("\x00", 9) {
				t.Error("what was typed is still there")
			}
		})
	}
}

// A provider's word counts for logins, over this statement, from the provider.
func TestWord(t *testing.T) {
	p := newPersons(t)
	statement := []byte("statement")
	sum := sha256.Sum256(statement)
	good := identity.Word{Statement: sum[:], Use: identity.Login, FIN: "5ARPXK2", Surname: "MƏMMƏDOVA", GivenNames: "AYGÜN", DocumentNumber: "AA1234567"}
	prove := func(w identity.Word) identity.Proof {
		b, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		der, err := ecdsa.SignASN1(rand.Reader, p.provider, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		plain, err := identitytest.Plain(&p.provider.PublicKey, der)
		if err != nil {
			t.Fatal(err)
		}
		return identity.Proof{Means: "code", Statement: statement, Certificate: p.word, Signature: plain, Word: b}
	}
	s, err := prove(good).Check(identity.Login, p.anchors, time.Now())
	if err != nil || s.FIN != "5ARPXK2" || s.DocumentNumber != "AA1234567" || s.NewHolder(identity.HolderVerified).Surname != "Məmmədova" {
		t.Errorf("%v", err)
	}
	if _, err := prove(good).Check(identity.Sign, p.anchors, time.Now()); !errors.Is(err, identity.ErrUnknownSigner) {
		t.Errorf("a word signs: %v", err)
	}
	other, stale := good, good
	other.Use, stale.Statement = identity.Sign, make([]byte, 32)
	for _, w := range []identity.Word{other, stale} {
		if _, err := prove(w).Check(identity.Login, p.anchors, time.Now()); !errors.Is(err, identity.ErrProof) {
			t.Errorf("got %v", err)
		}
	}
	forged := prove(good)
	forged.Certificate = p.keys.Certs[signer.Authentication] // a person vouches for another
	if _, err := forged.Check(identity.Login, p.anchors, time.Now()); !errors.Is(err, identity.ErrUnknownSigner) {
		t.Errorf("got %v", err)
	}
}

// Nothing of what means handle can be printed or logged.
func TestMeansKeepQuiet(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{
		pin("8642"),
		identity.Proof{Statement: []byte("8642"), Word: []byte("8642")},
		identity.Subject{FIN: "8642", Surname: "8642"},
		identity.ApprovalQuestion{Phone: "8642", Password: "8642"},
	} {
		log.Info("m", "v", v)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			fmt.Fprintf(&out, verb, v)
		}
	}
	if s := out.String(); strings.Contains(s, "8642") || strings.Contains(s, "56 54 52 50") || strings.Contains(s, "ODY0Mg") {
		t.Error(s)
	}
}

func FuzzWord(f *testing.F) {
	p := newPersons(f)
	f.Add([]byte(`{"statement":"","use":"login","fin":"5ARPXK2"}`), p.word)
	f.Add([]byte(`{}`), []byte{0x30})
	f.Fuzz(func(t *testing.T, word, cert []byte) {
		proof := identity.Proof{Statement: []byte("s"), Word: word, Certificate: cert, Signature: make([]byte, 64)}
		if _, err := proof.Check(identity.Login, p.anchors, time.Now()); err == nil {
			t.Error("believed")
		}
	})
}
