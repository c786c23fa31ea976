package session

import (
	"errors"
	"slices"

	"kosk/device/identity"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/drivers/signer"
	"kosk/offline"
)

// Errors that arise in the visit itself.
var (
	errLevel = errors.New("card can't prove what the service needs")
	errFull  = offline.ErrFull
)

// A Fault is what a person is told of an error: the words under Key, and the
// way on. Its zero value is no fault.
type Fault struct {
	Key       text.Key // fault.<name>: .title, .lead; .next says what to do
	Again     State    // where "try again" leads; "": there is only leaving
	CardStays bool     // the card may stay in for the next try
}

// faults is the one table from errors to words. The first match counts.
var faults = []struct {
	err   error
	fault Fault
}{
	{card.ErrWrongCAN, Fault{"fault.wrong_can", AskingCard, false}},
	{card.ErrWrongMRZ, Fault{"fault.wrong_mrz", CheckingZone, true}},
	{card.ErrWantsMRZ, Fault{"fault.wants_mrz", AskingCard, false}},
	{card.ErrRemoved, Fault{"fault.removed", AskingCard, true}},
	{card.ErrNoCard, Fault{"fault.removed", AskingCard, true}},
	{card.ErrMute, Fault{"fault.mute", AskingCard, false}},
	{card.ErrProtocol, Fault{"fault.card", AskingCard, false}},
	{card.ErrForeign, Fault{"fault.foreign", AskingCard, false}},
	{card.ErrNoReader, Fault{"fault.no_reader", Home, false}},
	{identity.ErrTampered, Fault{"fault.tampered", "", false}},
	{identity.ErrClone, Fault{"fault.clone", "", false}},
	{identity.ErrUnknownSigner, Fault{"fault.unknown_signer", "", false}},
	{identity.ErrRevoked, Fault{"fault.revoked", "", false}},
	{identity.ErrStale, Fault{"fault.stale", Home, false}},
	{identity.ErrForeignState, Fault{"fault.unknown_signer", "", false}},
	{identity.ErrExpired, Fault{"fault.expired", "", false}},
	{identity.ErrUnreadable, Fault{"fault.card", AskingCard, false}},
	{signer.ErrLastTry, Fault{"fault.pin_last", ChoosingMeans, true}},
	{signer.ErrBlocked, Fault{"fault.pin_blocked", ChoosingMeans, true}},
	{signer.ErrWrongPIN, Fault{"fault.wrong_pin", ChoosingMeans, true}},
	{signer.ErrPINLength, Fault{"fault.pin_length", ChoosingMeans, true}},
	{signer.ErrCancelled, Fault{"fault.pin_cancelled", ChoosingMeans, true}},
	{signer.ErrNoKeys, Fault{"fault.no_keys", ChoosingMeans, true}},
	{identity.ErrOtherPerson, Fault{"fault.other_person", ChoosingMeans, true}},
	{identity.ErrProof, Fault{"fault.proof", ChoosingMeans, true}},
	{identity.ErrDeclined, Fault{"fault.declined", ChoosingMeans, true}},
	{identity.ErrLapsed, Fault{"fault.lapsed", ChoosingMeans, true}},
	{identity.ErrCredentials, Fault{"fault.credentials", ChoosingMeans, true}},
	{identity.ErrLocked, Fault{"fault.locked", ChoosingMeans, true}},
	{identity.ErrNoMeans, Fault{"fault.no_means", ChoosingMeans, true}},
	{errLevel, Fault{"fault.level", "", false}},
	{offline.ErrFull, Fault{"fault.full", Home, false}},
	{offline.ErrUnknown, Fault{"fault.unknown", "", false}},
	{offline.ErrStopped, Fault{"fault.stopped", Home, true}},
	{offline.ErrConflict, Fault{"fault.conflict", Home, true}},
	{offline.ErrNotFound, Fault{"fault.not_found", Home, true}},
	{offline.ErrBusIdentity, Fault{"fault.bus_identity", Home, false}},
	{offline.ErrLineDown, Fault{"fault.line_down", Home, false}},
	{offline.ErrAgency, Fault{"fault.agency", Filling, true}},
	{offline.ErrRefused, Fault{"fault.refused", Home, false}},
}

// faultOf finds the words for an error. A refusal with a reason that has words
// gets those; an error that nobody foresaw has words too.
func faultOf(err error) Fault {
	var refused *offline.Fault
	if errors.As(err, &refused) {
		if f, ok := refusals[refused.Reason]; ok {
			return f
		}
	}
	return ofKind(err)
}

// ofKind finds the words for an error by what it is.
func ofKind(err error) Fault {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.fault
		}
	}
	if status := (*card.StatusError)(nil); errors.As(err, &status) {
		return ofKind(card.ErrProtocol)
	}
	return Fault{"fault.other", Home, true}
}

// papers is the table from a printer's errors to words.
var papers = []struct {
	err error
	key text.Key
}{
	{printer.ErrNoPaper, "paper.none"},
	{printer.ErrCoverOpen, "paper.cover"},
	{printer.ErrJammed, "paper.jammed"},
	{printer.ErrCutter, "paper.fault"},
	{printer.ErrOffline, "paper.fault"}, // the head is up or hot, too
	{printer.ErrUnplugged, "paper.fault"},
	{printer.ErrMute, "paper.fault"},
	{printer.ErrTooLong, "paper.too_long"},
}

// paperWord is what the person is told of the slip, "" when it is out.
func paperWord(o printer.Outcome, err error) text.Key {
	switch o {
	case printer.Confirmed:
		return ""
	case printer.Unknown:
		return "paper.unknown"
	}
	for _, p := range papers {
		if errors.Is(err, p.err) {
			return p.key
		}
	}
	return "paper.fault"
}

// pageWord is what the person is told of the certificate's page, "" when it is
// out. Whatever kept it back, the slip is then the certificate.
func pageWord(o printer.Outcome) text.Key {
	switch o {
	case printer.Confirmed:
		return ""
	case printer.Unknown:
		return "page.unknown"
	}
	return "page.failed"
}

// The words of several reasons: the kiosk is at fault and not the person, the
// chip's proof didn't hold, the request has outlived its time, the system has too
// much to do.
var (
	kioskRefused = Fault{"refusal.kiosk", Home, true}
	evidence     = Fault{"refusal.evidence", AskingCard, false}
	otherHolder  = Fault{"refusal.other_holder", "", false}
	expired      = Fault{"refusal.expired", Home, true}
	busy         = Fault{"refusal.busy", Home, true}
)

// refusals is the table from the reasons of bus, agencies and queue to words. It
// holds every reason that they can give; a test compares.
var refusals = map[string]Fault{
	"no_contract":     {"refusal.no_contract", Home, true},
	"unknown_person":  {"refusal.unknown_person", Home, true},
	"agency_refused":  {"refusal.agency", Home, true},
	"not_entitled":    {"refusal.not_entitled", Home, true},
	"already_applied": {"refusal.already_applied", Home, true},
	"holder_mismatch": otherHolder,
	"bad_imei":        {"refusal.bad_imei", Filling, true},
	"bad_proof":       ofKind(identity.ErrProof),

	"wrong_credentials": ofKind(identity.ErrCredentials),
	"locked":            ofKind(identity.ErrLocked),

	"evidence_missing":       evidence,
	"evidence_unreadable":    evidence,
	"evidence_tampered":      ofKind(identity.ErrTampered),
	"evidence_clone":         ofKind(identity.ErrClone),
	"evidence_unknown":       ofKind(identity.ErrUnknownSigner),
	"evidence_revoked":       ofKind(identity.ErrRevoked),
	"evidence_foreign":       ofKind(identity.ErrForeignState),
	"evidence_expired":       ofKind(identity.ErrExpired),
	"evidence_stale":         ofKind(identity.ErrStale),
	"evidence_other_holder":  otherHolder,
	"evidence_less_assured":  ofKind(errLevel),
	"evidence_bad_assurance": kioskRefused,

	"busy":      busy,
	"in_flight": busy,

	"too_late":             expired,
	offline.ReasonExpired:  expired,
	offline.ReasonOperator: {"refusal.operator", Home, true},
	offline.ReasonDamaged:  {"refusal.damaged", Home, true},
	offline.ReasonBus:      kioskRefused,
	offline.ReasonConflict: kioskRefused,

	"bad_envelope": kioskRefused, "bad_fin": kioskRefused, "bad_id": kioskRefused, "bad_question": kioskRefused,
	"bad_report": kioskRefused, "bad_signature": kioskRefused, "bad_statement": kioskRefused, "no_trust_bundle": kioskRefused,
	"other_content": kioskRefused, "too_large": kioskRefused, "unknown_call": kioskRefused,
	"unknown_catalogue_version": kioskRefused, "unknown_service": kioskRefused, "unknown_submission": kioskRefused,
	"unknown_version": kioskRefused, "wrong_id": kioskRefused, "wrong_station": kioskRefused,
}

// RefusalTitle is what a reason for no is called, for those who look after a kiosk;
// false: it has no words of its own.
func RefusalTitle(reason string) (text.Key, bool) {
	f, ok := refusals[reason]
	return f.Key + ".title", ok
}

// denials are the reasons of a register that no request can change.
var denials = []string{"no_contract", "unknown_person", "not_entitled", "already_applied"}

// denied says that a register has refused what the person is about to ask for.
func denied(err error) bool {
	var f *offline.Fault
	return errors.As(err, &f) && slices.Contains(denials, f.Reason)
}

// refusal finds the words for a reason, be it unheard of.
func refusal(reason string) Fault {
	if f, ok := refusals[reason]; ok {
		return f
	}
	return faultOf(offline.ErrRefused)
}
