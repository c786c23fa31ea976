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
	{card.ErrWrongMRZ, Fault{"fault.wrong_mrz", AskingCard, false}},
	{card.ErrRemoved, Fault{"fault.removed", AskingCard, true}},
	{card.ErrNoCard, Fault{"fault.removed", AskingCard, true}},
	{card.ErrMute, Fault{"fault.mute", AskingCard, false}},
	{card.ErrForeign, Fault{"fault.foreign", AskingCard, false}},
	{card.ErrNoReader, Fault{"fault.no_reader", Home, false}},
	{identity.ErrTampered, Fault{"fault.tampered", "", false}},
	{identity.ErrClone, Fault{"fault.clone", "", false}},
	{identity.ErrUnknownSigner, Fault{"fault.unknown_signer", "", false}},
	{identity.ErrRevoked, Fault{"fault.revoked", "", false}},
	{identity.ErrStale, Fault{"fault.stale", Home, false}},
	{identity.ErrForeignState, Fault{"fault.unknown_signer", "", false}},
	{identity.ErrExpired, Fault{"fault.expired", "", false}},
	{identity.ErrUnreadable, Fault{"fault.mute", AskingCard, false}},
	{card.ErrProtocol, Fault{"fault.mute", AskingCard, false}},
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
	{offline.ErrBusIdentity, Fault{"fault.bus_identity", Home, false}},
	{offline.ErrLineDown, Fault{"fault.line_down", Home, false}},
	{offline.ErrAgency, Fault{"fault.agency", Filling, true}},
	{offline.ErrRefused, Fault{"fault.refused", Home, false}},
}

// faultOf finds the words for an error. An error that nobody foresaw has words too.
func faultOf(err error) Fault {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.fault
		}
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
	{printer.ErrJammed, "paper.fault"},
	{printer.ErrCutter, "paper.fault"},
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

// reasons are the bus's and the agencies' words for no that have words here.
var reasons = []string{"no_contract", "unknown_person"}

func refusal(reason string) Fault {
	if slices.Contains(reasons, reason) {
		return Fault{text.Key("refusal." + reason), Home, true}
	}
	return faultOf(offline.ErrRefused)
}
