package sessiontest

import (
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/card"
)

// Zone are the events of a visit in which the zone opens the chip: refused at first,
// then with another day of birth. What is typed is nobody's.
func Zone(lang text.Lang) []session.Event {
	events := []session.Event{session.LanguageChosen{Lang: lang}, session.WithCard{}, session.CardIn{}, session.NoCAN{}}
	for _, r := range "AB76543211305198009062031" {
		events = append(events, session.Typed{Rune: r})
	}
	events = append(events, session.ReadFailed{Err: card.ErrWrongMRZ}, session.ChangeAsked{Field: "birth"})
	for range 4 {
		events = append(events, session.Erased{})
	}
	for _, r := range "1990" {
		events = append(events, session.Typed{Rune: r})
	}
	return append(events, session.Confirmed{}, session.HolderRead{Holder: Holder()})
}

// zones are the scenes of opening a chip by its zone: each question empty, begun and
// wrong, the letters and the digits, and the check of what was typed.
func zones(lang text.Lang, size scene.TextSize) []scene.Scene {
	var all []scene.Scene
	v := session.New(Kiosk())
	keep := func(suffix string) { all = append(all, named(v, suffix)) }
	play := func(events ...session.Event) {
		for _, e := range events {
			v.Step(e)
		}
	}
	digits := func(s string) {
		for _, r := range s {
			play(session.Typed{Rune: r})
		}
	}
	play(session.LanguageChosen{Lang: lang}, session.WithCard{}, session.CardIn{}, session.NoCAN{})
	v.TextSize = size
	keep("")
	play(session.Entered{})
	keep("-short")
	digits("WB765")
	keep("-digits")
	digits("4321")
	keep("")
	digits("31021990")
	keep("-wrong")
	play(session.Erased{}, session.Erased{}, session.Erased{}, session.Erased{}, session.Erased{}, session.Erased{})
	digits("05")
	keep("-begun")
	digits("1980")
	keep("")
	digits("09062031")
	keep("-zone")
	play(session.ReadFailed{Err: card.ErrWrongMRZ})
	keep("")
	play(session.Confirmed{})
	keep("-same")
	play(session.CardOut{}, session.ChangeAsked{Field: "number"})
	keep("-mend")
	play(session.Erased{})
	digits("WMQ123")
	keep("-long")

	v = session.New(Kiosk())
	v.TextSize = size
	play(session.LanguageChosen{Lang: lang}, session.ServicePicked{ID: "workplace_cert"}, session.CardIn{})
	digits("123456")
	play(session.ReadFailed{Err: card.ErrWantsMRZ})
	keep("-why")

	v = session.New(Kiosk())
	v.TextSize = size
	play(session.LanguageChosen{Lang: lang}, session.WithCard{}, session.CardIn{})
	for v.State == session.AskingCAN {
		digits("000000")
		play(session.ReadFailed{Err: card.ErrWrongCAN})
	}
	play(session.Retried{})
	keep("-anew")
	return all
}
