package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"kosk/cmd/bus/registry"
	"kosk/device/identity"
	"kosk/device/request"
)

// The reasons why evidence isn't taken. A bus without a trust bundle gives none:
// it doesn't check.
const (
	reasonNoTrust              = "no_trust_bundle"
	reasonEvidenceMissing      = "evidence_missing"       // an assurance is claimed, and no chip was read
	reasonEvidenceUnreadable   = "evidence_unreadable"    // no ICAO 9303 structures
	reasonEvidenceTampered     = "evidence_tampered"      // not what the state signed
	reasonEvidenceClone        = "evidence_clone"         // the chip did not prove its key
	reasonEvidenceUnknown      = "evidence_unknown"       // no anchor leads to the signer
	reasonEvidenceRevoked      = "evidence_revoked"       // the state took the signer's certificate back
	reasonEvidenceForeign      = "evidence_foreign"       // another state's document
	reasonEvidenceExpired      = "evidence_expired"       // the document, when the request was made
	reasonEvidenceStale        = "evidence_stale"         // the bus's own revocation list is too old: come again
	reasonEvidenceOtherHolder  = "evidence_other_holder"  // the chip is not the holder's whom the request names
	reasonEvidenceLessAssured  = "evidence_less_assured"  // the chip proves less than is claimed
	reasonEvidenceBadAssurance = "evidence_bad_assurance" // no such assurance
)

// What was found out about the evidence, for the message log.
const evidenceUnchecked = "unchecked"

// evidenceReasons are in the order in which they are looked for.
var evidenceReasons = []struct {
	err    error
	reason string
}{
	{identity.ErrTampered, reasonEvidenceTampered},
	{identity.ErrClone, reasonEvidenceClone},
	{identity.ErrUnknownSigner, reasonEvidenceUnknown},
	{identity.ErrRevoked, reasonEvidenceRevoked},
	{identity.ErrForeignState, reasonEvidenceForeign},
	{identity.ErrExpired, reasonEvidenceExpired},
	{identity.ErrStale, reasonEvidenceStale},
	{identity.ErrUnreadable, reasonEvidenceUnreadable},
}

// backlog is how old a request may be: no kiosk is offline for longer.
const backlog = 400 * 24 * time.Hour

// examine checks the evidence of a request. says is how far the chip is believed,
// reason why the request is refused, or "".
func (s *Server) examine(d request.Draft, now time.Time) (says, reason string, err error) {
	t, err := s.Registry.Trust()
	if errors.Is(err, registry.ErrNoTrust) {
		return evidenceUnchecked, "", nil
	}
	if err != nil {
		return "", "", err
	}
	claimed := identity.Assurance(0)
	if d.Assurance != "" && d.Assurance != "none" {
		if claimed, err = identity.ParseAssurance(d.Assurance); err != nil {
			return "", reasonEvidenceBadAssurance, nil
		}
	}
	// A login verifies its holder, with a chip or without one: checkProofs looks at
	// every login that there is.
	verified := claimed == identity.HolderVerified && d.Login.Means != ""
	chip := d.Evidence.Chip()
	if chip == nil {
		switch {
		case verified:
			return claimed.String(), "", nil
		case claimed > 0:
			return "", reasonEvidenceMissing, nil
		}
		return "none", "", nil
	}
	h, err := identity.Believe(chip, t.Anchors, now)
	// A document may have ended while the request waited for the line. Only a clock
	// that had been set says when that was.
	if made := d.CreatedAt; errors.Is(err, identity.ErrExpired) && d.Clock == request.ClockTrusted && made.Before(now) && now.Sub(made) < backlog {
		h, err = identity.Believe(chip, t.Anchors, made)
	}
	for _, r := range evidenceReasons {
		if errors.Is(err, r.err) {
			return "", r.reason, nil
		}
	}
	if err != nil {
		return "", reasonEvidenceUnreadable, nil
	}
	if claimed > h.Assurance && !verified {
		return "", reasonEvidenceLessAssured, nil
	}
	if h.FIN != d.Holder.FIN || h.DocumentNumber != d.Holder.DocumentNumber {
		return "", reasonEvidenceOtherHolder, nil
	}
	return max(h.Assurance, claimed).String(), "", nil
}

// trust hands out the bundle as the operator signed it: who takes it checks that
// signature, and refuses an older one than it has.
func (s *Server) trust(m *message, _ string) {
	t, err := s.Registry.Trust()
	if errors.Is(err, registry.ErrNoTrust) {
		writeReason(m, http.StatusNotFound, reasonNoTrust)
		return
	}
	if err != nil {
		s.Log.Error("trust bundle failed", "err", err)
		s.xroadError(m, http.StatusInternalServerError, errInternal, "trust bundle")
		return
	}
	writeTagged(m, t.Tag, t.File)
}

// revocations hands out the list of certificates that were taken back.
func (s *Server) revocations(m *message, _ string) {
	l, err := s.Registry.RevocationList(time.Now())
	var b []byte
	if err == nil {
		b, err = json.Marshal(struct {
			Seq        uint64    `json:"seq"`
			NextUpdate time.Time `json:"next_update"`
			List       []byte    `json:"list"`
		}{l.Seq, l.NextUpdate, l.Signed})
	}
	if err != nil {
		s.Log.Error("revocations failed", "err", err)
		s.xroadError(m, http.StatusInternalServerError, errInternal, "revocations")
		return
	}
	a := tagged(b)
	writeTagged(m, a.tag, a.bytes)
}

// writeTagged answers with JSON under a strong ETag, or that it is known.
func writeTagged(m *message, tag string, body []byte) {
	tag = `"` + tag + `"`
	m.Header().Set("ETag", tag)
	m.Header().Set("Cache-Control", "no-cache")
	for known := range strings.SplitSeq(m.req.Header.Get("If-None-Match"), ",") {
		if strings.TrimSpace(known) == tag {
			m.WriteHeader(http.StatusNotModified)
			return
		}
	}
	m.Header().Set("Content-Type", "application/json; charset=utf-8")
	m.WriteHeader(http.StatusOK)
	_, _ = m.Write(body) // into memory
}

// A TrustState says whether chip evidence is checked, and against what.
type TrustState struct {
	Checked     bool      `json:"checked"`           // evidence is checked
	Version     int       `json:"version,omitempty"` // of the bundle
	Issued      time.Time `json:"issued,omitzero"`
	Development bool      `json:"development,omitempty"`
	Error       string    `json:"error,omitempty"`
}

func (s *Server) trustState() TrustState {
	t, err := s.Registry.Trust()
	switch {
	case errors.Is(err, registry.ErrNoTrust):
		return TrustState{}
	case err != nil:
		return TrustState{Error: err.Error()}
	}
	return TrustState{Checked: true, Version: t.Anchors.Version, Issued: t.Anchors.Issued, Development: t.Anchors.Development}
}
