package identity

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"kosk/drivers/card/icao"
)

// A Subject is who a certificate or a provider says that a person is. Like a
// Holder it can't be logged.
type Subject struct {
	FIN            string // seven characters
	Surname        string // as titles are written: "Məmmədova"
	GivenNames     string
	DocumentNumber string // from providers only
}

// String implements fmt.Stringer.
func (Subject) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Subject) GoString() string { return hidden }

// Format implements fmt.Formatter, for all verbs and flags.
func (Subject) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (Subject) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, for handlers and encoders.
func (Subject) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Attributes of a subject's name, X.520.
var (
	oidSurname = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidSerial  = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidGiven   = asn1.ObjectIdentifier{2, 5, 4, 42}
)

// personal numbers stand in serialNumber bare, or behind one of these:
// EN 319 412-1, 5.1.3.
var semantics = []string{"PNOAZ-", "IDCAZ-"}

// subjectOf reads a person's name and number from a certificate.
func subjectOf(cert *icao.Certificate) (Subject, error) {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.Subject.Raw, &name); err != nil || len(rest) > 0 {
		return Subject{}, fmt.Errorf("%w: its subject", ErrUnreadable)
	}
	var s Subject
	for _, set := range name {
		for _, a := range set {
			value, _ := a.Value.(string)
			switch {
			case a.Type.Equal(oidSurname):
				s.Surname = title(value)
			case a.Type.Equal(oidGiven):
				s.GivenNames = title(value)
			case a.Type.Equal(oidSerial) && s.FIN != "":
				return Subject{}, fmt.Errorf("%w: two numbers", ErrUnreadable)
			case a.Type.Equal(oidSerial):
				s.FIN = value
			}
		}
	}
	for _, prefix := range semantics {
		s.FIN = strings.TrimPrefix(s.FIN, prefix)
	}
	var err error
	if s.FIN, err = icao.ParseFIN(s.FIN); err != nil {
		return Subject{}, fmt.Errorf("%w: its number", ErrUnreadable)
	}
	return s, nil
}

// trustPerson says whether an authority of persons issued the certificate, which
// is valid now, isn't taken back, and has its key for the use.
func (a *Anchors) trustPerson(cert *icao.Certificate, use Use, now time.Time) error {
	want := icao.KeyUsageDigitalSignature
	if use == Sign {
		want = icao.KeyUsageCommitment
	}
	switch {
	case cert.CA:
		return fmt.Errorf("%w: an authority's own certificate", ErrUnknownSigner)
	case cert.Usage&want == 0:
		return fmt.Errorf("%w: its key has another use", ErrUnknownSigner)
	case !cert.ValidAt(now):
		return fmt.Errorf("%w: certificate", ErrExpired)
	}
	last := fmt.Errorf("%w: no authority of persons has its name", ErrUnknownSigner)
	for _, authority := range a.persons {
		if !authority.Subject.Equal(cert.Issuer) {
			continue
		}
		if err := cert.CheckSignatureFrom(authority); err != nil {
			last = fmt.Errorf("%w: %w", ErrUnknownSigner, err)
			continue
		}
		if !authority.ValidAt(now) {
			last = fmt.Errorf("%w: its authority was not valid", ErrUnknownSigner)
			continue
		}
		return a.current(cert, authority, now)
	}
	return last
}
