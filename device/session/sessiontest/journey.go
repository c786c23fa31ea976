// Package sessiontest drives visits through their states with an invented
// person, for the tests of what is made of scenes: screens, speech, words.
package sessiontest

import (
	"slices"
	"strings"
	"time"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/drivers/signer"
	"kosk/offline"
)

// when is the moment of every invented answer.
var when = time.Date(2026, 11, 22, 10, 20, 0, 0, time.UTC)

// Kiosk is a machine in good order, with the shipped catalogue.
func Kiosk() session.Kiosk {
	c, err := catalogue.Load()
	if err != nil {
		panic(err)
	}
	return session.Kiosk{
		Catalogue: c, Test: true,
		Office: catalogue.Names{Az: "ASAN xidmət mərkəzi", Ru: "Центр ASAN xidmət", En: "ASAN service centre"},
	}
}

// Holder is the invented person.
func Holder() identity.Holder {
	return identity.Holder{FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün", DocumentNumber: "AA1234567", Assurance: identity.Genuine}
}

// Found is what the register of employment knows of the person.
func Found() session.LookedUp {
	return session.LookedUp{For: "workplace_cert", At: when, Found: []session.Found{
		{ID: "employer", Value: "“Xəzər Gəmiçilik” ASC", Lang: "az"},
		{ID: "position", Value: "mühasib", Lang: "az"},
		{ID: "since", Value: "2019-09-02"},
	}}
}

// Certificate are the events of a visit for a certificate, up to the result.
func Certificate(lang text.Lang) []session.Event {
	events := []session.Event{
		session.LanguageChosen{Lang: lang}, session.WithCard{}, session.CardIn{},
	}
	for _, r := range "123456" {
		events = append(events, session.Typed{Rune: r})
	}
	events = append(events,
		session.Entered{}, session.NameRead{GivenNames: "Aygün"}, session.HolderRead{Holder: Holder()},
		session.ServicePicked{ID: "workplace_cert"})
	events = append(events, PIN(1)...)
	return append(events,
		session.Answered{Field: "purpose", Value: "bank"}, Found(),
		session.Confirmed{}, session.Agreed{},
		session.PutDone{ID: "01KAMQ0000000000000000TEST", Number: "482913507264", At: when, Token: "6BF5Z"},
		session.OutcomeCame{Outcome: request.Outcome{
			Kind: request.KindCertificate, Number: "482913507264", Service: "workplace_cert", IssuedAt: when,
			Data: []request.Datum{
				{ID: "employer", Value: "“Xəzər Gəmiçilik” ASC", Lang: "az"},
				{ID: "position", Value: "mühasib", Lang: "az"},
				{ID: "since", Value: "2019-09-02"},
				{ID: "purpose", Value: "bank"},
			},
		}, Token: "6BF5Z"},
		session.SlipPrinted{Outcome: printer.Confirmed}, session.Finished{}, session.CardOut{},
	)
}

// PIN are the events by which the card proves something, from the claim with the
// number on.
func PIN(claim int) []session.Event {
	events := []session.Event{session.KeysOpened{Claim: claim, PIN: signer.PIN{Tries: 3, Min: 4, Max: 12}}}
	for _, r := range "8642" {
		events = append(events, session.Typed{Rune: r})
	}
	return append(events, session.Entered{}, session.Proved{Claim: claim + 1, Proof: Proof(), Subject: Subject()})
}

// Proof is one that nobody checks.
func Proof() identity.Proof {
	return identity.Proof{Means: "card", Statement: []byte("{}"), Certificate: []byte{1}, Signature: []byte{2}}
}

// Subject is the invented person as a certificate names them.
func Subject() identity.Subject {
	return identity.Subject{FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün"}
}

// Application are the events of a visit in which the card signs what will be
// sent, up to the result.
func Application(lang text.Lang) []session.Event {
	events := []session.Event{session.LanguageChosen{Lang: lang}, session.WithCard{}, session.CardIn{}}
	for _, r := range "123456" {
		events = append(events, session.Typed{Rune: r})
	}
	events = append(events, session.Entered{}, session.HolderRead{Holder: Holder()}, session.ServicePicked{ID: application})
	events = append(events, PIN(1)...)
	events = append(events, session.Answered{Field: "payer", Value: "employer"}, Sheet(), session.Confirmed{}, session.Agreed{})
	events = append(events, PIN(3)...)
	return append(events,
		session.PutDone{ID: "01KAMQ0000000000000000TEST", Number: "482913507264", At: when, Token: "6BF5Z"},
		session.OutcomeCame{Outcome: request.Outcome{
			Kind: request.KindApplication, Number: "482913507264", Service: application, IssuedAt: when, ValidUntil: when.AddDate(0, 0, 15),
			Data: []request.Datum{
				{ID: "employee", Value: "Səlimova Nərgiz Fərhad qızı", Lang: "az"},
				{ID: "child", Value: "Səlimov Tural Rüfət oğlu", Lang: "az"},
				{ID: "amount", Value: "30"},
			},
		}, Token: "6BF5Z"},
		session.SlipPrinted{Outcome: printer.Confirmed}, session.Finished{}, session.CardOut{},
	)
}

// application is the shipped service that has to be signed for.
const application = "childcare_sheet"

// Sheet is what the fund's register knows of the person's employer.
func Sheet() session.LookedUp {
	return session.LookedUp{For: application, At: when, Found: []session.Found{
		{ID: "insurer", Value: "“Xəzər Gəmiçilik” ASC", Lang: "az"},
		{ID: "insurer_no", Value: "1402557"},
		{ID: "employee", Value: "Səlimova Nərgiz Fərhad qızı", Lang: "az"},
		{ID: "child", Value: "Səlimov Tural Rüfət oğlu", Lang: "az"},
		{ID: "born", Value: "2025-09-14"},
		{ID: "amount", Value: "30"},
	}}
}

// Signing is a machine whose certificate has to be signed for.
func Signing() session.Kiosk {
	k := Kiosk()
	c := *k.Catalogue
	c.Services = slices.Clone(c.Services)
	c.Service("workplace_cert").Sign = true
	k.Catalogue = &c
	return k
}

// Phone are the events of a visit without a card, by approval on a phone: with
// what is typed for the means, up to the choice of a service.
func Phone(lang text.Lang, means catalogue.MeansID, qr string, typed ...string) []session.Event {
	events := []session.Event{
		session.LanguageChosen{Lang: lang}, session.WithCard{}, session.OtherMeans{}, session.MeansPicked{ID: means},
	}
	for _, field := range typed {
		for _, r := range field {
			events = append(events, session.Typed{Rune: r})
		}
		events = append(events, session.Entered{})
	}
	return append(events,
		session.Prompted{Claim: 1, Prompt: identity.Prompt{Code: "4821", QR: qr}},
		session.Proved{Claim: 1, Proof: Proof(), Subject: Subject()})
}

// Check are the events of a visit without a card.
func Check(lang text.Lang) []session.Event {
	events := []session.Event{
		session.LanguageChosen{Lang: lang}, session.WithoutCard{}, session.ServicePicked{ID: "imei_check"},
	}
	for _, r := range "490154203237518" {
		events = append(events, session.Typed{Rune: r})
	}
	return append(events, session.Entered{}, session.LookedUp{For: "imei_check", At: when, Found: []session.Found{
		{ID: "status", Value: "registered"}, {ID: "model", Value: "Nokia 3310", Lang: "en"},
	}}, session.Finished{})
}

// Faults are the errors that have a scene of their own.
var Faults = []error{
	card.ErrWrongCAN, card.ErrRemoved, card.ErrMute, card.ErrForeign, card.ErrNoReader, card.ErrProtocol,
	identity.ErrTampered, identity.ErrClone, identity.ErrUnknownSigner, identity.ErrRevoked, identity.ErrStale,
	identity.ErrForeignState, identity.ErrExpired, card.ErrWrongMRZ, card.ErrWantsMRZ,
	signer.ErrWrongPIN, signer.ErrPINLength, signer.ErrCancelled, signer.ErrNoKeys, identity.ErrOtherPerson, identity.ErrProof,
	identity.ErrDeclined, identity.ErrLapsed, identity.ErrCredentials, identity.ErrNoMeans, identity.ErrLocked,
	offline.ErrFull, offline.ErrUnknown, offline.ErrBusIdentity, offline.ErrLineDown, offline.ErrAgency, offline.ErrRefused,
	offline.ErrStopped, offline.ErrConflict, offline.ErrNotFound,
}

// Refusals are the reasons that have a scene of their own.
var Refusals = []string{
	"no_contract", "unknown_person", "not_entitled", "already_applied", "agency_refused", "holder_mismatch", "bad_imei", "evidence_missing", "busy", "expired", "operator", "damaged", "bad_id",
}

// Journey is every different scene that a person can meet, in one language:
// both visits, with the line up and down, and what can go wrong on the way.
func Journey(lang text.Lang) []scene.Scene { return JourneyAt(lang, scene.TextNormal) }

// JourneyAt is Journey as it is met with a size of text.
func JourneyAt(lang text.Lang, size scene.TextSize) []scene.Scene {
	var all []scene.Scene
	walk := func(suffix string, k session.Kiosk, events []session.Event) {
		v := session.New(k)
		v.Lang, v.TextSize = lang, size
		all = append(all, named(v, suffix))
		last := v.State
		for _, e := range events {
			v.Step(e)
			if v.State != last || v.State == session.AskingCAN || v.State == session.AskingPIN || v.State == session.Crediting ||
				v.State == session.Approving || v.State == session.Ending || v.State == session.Reading {
				all = append(all, named(v, suffix))
			}
			last = v.State
		}
	}
	walk("", Kiosk(), Certificate(lang))
	walk("-open", Kiosk(), Check(lang))
	walk("-sign", Kiosk(), Application(lang))
	walk("-sima", Kiosk(), Phone(lang, "sima", "sima:01KAMQ0000000000000000TEST:b5ARPXK2")[:5])
	walk("-imza", Kiosk(), Phone(lang, "imza", "", "501234567", "123456"))
	walk("-code", Kiosk(), Phone(lang, "code", "", "12345678", "864208")[:18])
	all = append(all, zones(lang, size)...)
	all = append(all, refusedPINs(lang, size)...)
	all = append(all, unsigned(lang, size)...)
	down := Kiosk()
	down.Line = offline.ErrLineDown
	walk("-down", down, Down(lang))
	for _, err := range Faults {
		all = append(all, Fault(lang, err))
	}
	for _, reason := range Refusals {
		all = append(all, refused(lang, reason))
	}
	all = append(all, papers(lang, size)...)
	untrusting := Kiosk()
	untrusting.NoTrust = true
	walk("-no-trust", untrusting, []session.Event{session.LanguageChosen{Lang: lang}, session.CardIn{}})
	v := session.New(Kiosk())
	v.Step(session.LanguageChosen{Lang: lang})
	v.Step(session.HelpToggled{})
	all = append(all, named(v, ""))
	v.Step(session.HelpToggled{})
	v.Step(session.Idled{})
	all = append(all, named(v, ""))
	return unique(all)
}

// refusedPINs are what a wrong PIN and the reader's own pad look like.
func refusedPINs(lang text.Lang, size scene.TextSize) []scene.Scene {
	asked := func(pin signer.PIN) *session.Visit {
		v := session.New(Kiosk())
		v.TextSize = size
		for _, e := range Certificate(lang) {
			if _, opened := e.(session.KeysOpened); opened {
				v.Step(session.KeysOpened{Claim: 1, PIN: pin})
				break
			}
			v.Step(e)
		}
		return v
	}
	wrong := asked(signer.PIN{Tries: 3, Min: 4, Max: 12})
	for _, r := range "8640" {
		wrong.Step(session.Typed{Rune: r})
	}
	wrong.Step(session.Entered{})
	wrong.Step(session.ProofFailed{Claim: 2, Err: &signer.PINError{Tries: 2}})
	return []scene.Scene{
		named(wrong, "-wrong"),
		named(asked(signer.PIN{Tries: 3, Min: 4, Max: 12, Pad: true}), "-pad"),
		named(asked(signer.PIN{Tries: 1, Min: 4, Max: 12}), "-last-try"),
		named(asked(signer.PIN{}), "-blocked"),
	}
}

// unsigned are what happens instead of a signature: a wrong PIN2, a blocked one and
// the ways that are left, a phone, the card pulled out, the line down.
func unsigned(lang text.Lang, size scene.TextSize) []scene.Scene {
	asked := func(line error, pin signer.PIN) *session.Visit {
		k := Kiosk()
		k.Line = line
		v := session.New(k)
		v.TextSize = size
		for _, e := range Application(lang) {
			if o, opened := e.(session.KeysOpened); opened && o.Claim == 3 {
				v.Step(session.KeysOpened{Claim: 3, PIN: pin})
				break
			}
			v.Step(e)
		}
		return v
	}
	var all []scene.Scene
	wrong := asked(nil, signer.PIN{Tries: 3, Min: 5, Max: 12})
	for _, r := range "86420" {
		wrong.Step(session.Typed{Rune: r})
	}
	wrong.Step(session.Entered{})
	all = append(all, named(wrong, "-sign"))
	wrong.Step(session.ProofFailed{Claim: wrong.Proving.Claim, Err: &signer.PINError{Tries: 2}})
	all = append(all, named(wrong, "-sign-wrong"))
	wrong.Step(session.CardOut{})
	all = append(all, named(wrong, "-unsigned"))
	down := asked(offline.ErrLineDown, signer.PIN{Tries: 3, Min: 4, Max: 12})
	for _, e := range PIN(3)[1:] {
		down.Step(e)
	}
	for _, e := range []session.Event{session.PutDone{ID: "01KAMQ0000000000000000TEST", Number: "482913507264", At: when, Token: "6BF5Z"}, session.WaitEnded{}} {
		down.Step(e)
	}
	all = append(all, named(down, "-sign-down"))
	blocked := asked(nil, signer.PIN{})
	all = append(all, named(blocked, "-sign-blocked"), named(asked(nil, signer.PIN{Tries: 1}), "-sign-last-try"))
	blocked.Step(session.Retried{})
	all = append(all, named(blocked, "-sign"))
	blocked.Step(session.MeansPicked{ID: "sima"})
	blocked.Step(session.Prompted{Claim: blocked.Proving.Claim, Prompt: identity.Prompt{Code: "4821", QR: "sima:01KAMQ0000000000000000TEST:b5ARPXK2"}})
	return append(all, named(blocked, "-sign"))
}

// Down are the events of a visit for a certificate with the line down and no paper.
func Down(lang text.Lang) []session.Event {
	var events []session.Event
	for _, e := range Certificate(lang) {
		switch e.(type) {
		case session.LookedUp, session.Finished, session.CardOut, session.SlipPrinted:
		case session.OutcomeCame:
			events = append(events, session.WaitEnded{}, session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrNoPaper})
		default:
			events = append(events, e)
		}
	}
	return events
}

// Fault is the scene of an error, as it meets somebody who sent a request.
func Fault(lang text.Lang, err error) scene.Scene {
	v := session.New(Kiosk())
	for _, e := range Certificate(lang) {
		if _, sent := e.(session.PutDone); sent {
			break
		}
		v.Step(e)
	}
	v.Step(session.PutFailed{Err: err, Number: "482913507264"})
	return named(v, "-"+string(v.Fault.Key))
}

// refused is the scene of a request that was said no to.
func refused(lang text.Lang, reason string) scene.Scene {
	v := session.New(Kiosk())
	for _, e := range Certificate(lang) {
		if _, came := e.(session.OutcomeCame); came {
			break
		}
		v.Step(e)
	}
	v.Step(session.RefusedCame{Reason: reason})
	return named(v, "-"+string(v.Fault.Key))
}

// papers are what can become of page and slip.
func papers(lang text.Lang, size scene.TextSize) []scene.Scene {
	var all []scene.Scene
	for name, events := range map[string][]session.Event{
		"-presented": {session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}},
		"-asked":     {session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}, session.SlipNotTaken{}},
		"-taken":     {session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}, session.SlipTaken{}},
		"-retracted": {session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}, session.SlipRetracted{}},
		"-left": {
			session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}, session.SlipNotTaken{}, session.SlipNotTaken{}, session.Finished{},
		},
		"-gone": {
			session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}, session.SlipNotTaken{}, session.Finished{}, session.CardOut{},
		},
		"-paging":       {},
		"-page":         {session.PagePrinted{Outcome: printer.Confirmed}, session.SlipPrinted{Outcome: printer.Confirmed}},
		"-page-unknown": {session.PagePrinted{Outcome: printer.Unknown}, session.SlipPrinted{Outcome: printer.Confirmed}},
		"-page-failed":  {session.PagePrinted{Outcome: printer.Failed}, session.SlipPresented{}, session.SlipPrinted{Outcome: printer.Confirmed}},
		"-page-unknown-no-slip": {
			session.PagePrinted{Outcome: printer.Unknown}, session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrJammed},
		},
	} {
		k := Kiosk()
		k.Pages = strings.HasPrefix(name, "-pag")
		v := session.New(k)
		v.Lang, v.TextSize = lang, size
		for _, e := range Certificate(lang) {
			if _, printed := e.(session.SlipPrinted); printed {
				break
			}
			v.Step(e)
		}
		for _, e := range events {
			v.Step(e)
		}
		all = append(all, named(v, name))
	}
	slices.SortFunc(all, func(a, b scene.Scene) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func named(v *session.Visit, suffix string) scene.Scene {
	s := v.Scene()
	s.ID += suffix
	return s
}

// unique keeps the last scene of each name.
func unique(all []scene.Scene) []scene.Scene {
	at := map[string]int{}
	var kept []scene.Scene
	for _, s := range all {
		if i, ok := at[s.ID]; ok {
			kept[i] = s
			continue
		}
		at[s.ID] = len(kept)
		kept = append(kept, s)
	}
	return kept
}
