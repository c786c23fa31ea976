package identity

import (
	"errors"
	"fmt"
	"time"

	"kosk/drivers/card/icao"
)

// Grace is how long a revocation list is taken after the day on which its next
// was due. States issue one at least every 90 days, ICAO 9303-12, 7.1.4; a kiosk
// gets them with its bundle and may be without a line meanwhile.
const Grace = 30 * 24 * time.Hour

// clockSkew is how far the kiosk's clock may be behind the signer's.
const clockSkew = 24 * time.Hour

// trust finds an anchor that signed the signer's certificate, and makes sure that
// the authority has not taken the certificate back. An authority without a list
// in the bundle has taken nothing back.
func (a *Anchors) trust(s icao.Signer, now time.Time) error {
	at := s.Time
	if at.IsZero() {
		at = now
	}
	if at.After(now.Add(clockSkew)) || !s.Certificate.ValidAt(at) {
		return fmt.Errorf("%w: its certificate was not valid", ErrUnknownSigner)
	}
	last := errors.New("no anchor has its name")
	for _, anchor := range a.certificates {
		if !anchor.Subject.Equal(s.Certificate.Issuer) {
			continue
		}
		if last = s.Certificate.CheckSignatureFrom(anchor); last != nil {
			continue
		}
		if anchor.Subject.Country != s.Certificate.Subject.Country {
			return fmt.Errorf("%w: anchor of %s, signer of %s", ErrForeignState, anchor.Subject.Country, s.Certificate.Subject.Country)
		}
		if !anchor.ValidAt(at) {
			last = errors.New("its anchor was not valid") // one that links the key to another may be
			continue
		}
		return a.current(s.Certificate, anchor, now)
	}
	return fmt.Errorf("%w: %w", ErrUnknownSigner, last)
}

// current asks the revocation lists of the certificate's issuer. A list revokes
// however old it is; to say that something is not revoked it must be fresh. What
// the signer signed before it was revoked isn't believed either: only the signer
// says when that was.
func (a *Anchors) current(cert, anchor *icao.Certificate, now time.Time) error {
	asked, fresh := false, false
	for _, l := range a.lists {
		if !l.Issuer.Equal(cert.Issuer) {
			continue
		}
		if l.Revokes(cert) || l.Revokes(anchor) {
			return fmt.Errorf("%w: list of %s", ErrRevoked, l.ThisUpdate.Format(time.DateOnly))
		}
		asked = true
		fresh = fresh || !now.After(l.NextUpdate.Add(Grace))
	}
	if asked && !fresh {
		return ErrStale
	}
	return nil
}
