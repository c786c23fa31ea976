package session

import (
	"kosk/device/scene"
	"kosk/device/text"
)

// The scenes of opening a chip by its machine readable zone.

func askingNumber(v *Visit) scene.Scene {
	lead := text.Key("number.lead")
	if v.Zone.Only { // the chip has asked for it, not the person
		lead = "number.why"
	}
	value := text.Say(v.Lang, text.Spelt, numberShown(v.Typed))
	s := v.entryScene(AskingNumber, 1, "number.", lead, value)
	s.Add(v.numberPad()...)
	s.Add(v.foot(true, v.entered("can.next", len(v.Typed) >= leastNumber))...)
	return s
}

func askingBirth(v *Visit) scene.Scene  { return v.askingDate(AskingBirth, 2, "birth.") }
func askingExpiry(v *Visit) scene.Scene { return v.askingDate(AskingExpiry, 3, "expiry.") }

func (v *Visit) askingDate(id State, n int, key text.Key) scene.Scene {
	s := v.entryScene(id, n, key, key+"lead", v.dateWords(v.Typed))
	s.Add(v.datePad()...)
	s.Add(v.foot(true, v.entered("can.next", isDate(v.Typed)))...)
	return s
}

// entryScene is a question for one of the three entries, up to its field. Its words stand
// under the key.
func (v *Visit) entryScene(id State, n int, key, lead text.Key, value text.Words) scene.Scene {
	s := v.scene(id, scene.Question, v.in(key+"title"))
	var wrong []scene.Node
	if v.Wrong != "" {
		wrong = []scene.Node{{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: v.in(v.Wrong)}}
	}
	if v.TextSize < scene.TextLarge || v.Wrong == "" { // larger words need the room, and the lead was read before
		s.Add(v.lead(lead))
	}
	s.Add(v.stepOf(n, 3)...)
	hint := key + "hint"
	switch {
	case v.TextSize >= scene.TextLarge && v.Wrong != "":
		hint = key + "form"
	case v.Voice: // who listens says when
		hint = key + "heard"
	case v.Zone.Mend: // the last digit leads elsewhere
		hint = "zone.hint"
	}
	s.Add(wrong...)
	s.Add(scene.Node{
		ID: "field", Role: scene.Field, Tone: toneOf(wrong), Name: v.in(key + "label"), Value: value, Hint: v.in(hint), Private: v.Typed != "",
	})
	if v.TextSize >= scene.TextLarge {
		unnamed(&s)
	}
	return s
}

// numberShown sets a gap behind the letters of a number of ours.
func numberShown(number string) string {
	r := []rune(number)
	if len(r) > numberLetters && isLetter(r[numberLetters-1]) && isDigit(r[numberLetters]) {
		return string(r[:numberLetters]) + " " + string(r[numberLetters:])
	}
	return number
}

// dateWords is a date as it is typed: digit by digit until it is one, then said as
// one, so that a wrong month is heard.
func (v *Visit) dateWords(typed string) text.Words {
	shown := ""
	for i, r := range typed {
		if i == 2 || i == 4 {
			shown += "."
		}
		shown += string(r)
	}
	if isDate(typed) {
		return text.Say(v.Lang, text.Plain, shown)
	}
	return text.Say(v.Lang, text.Digits, shown)
}

// numberPad is the letters or the digits, a key to turn to the others, and one to
// erase. The way out is below it, as everywhere.
func (v *Visit) numberPad() []scene.Node {
	var keys []scene.Node
	turn := scene.Node{ID: "key.turn", Role: scene.Key, Icon: "letters", Name: v.in("key.letters"), Action: PadTurned{}}
	erase := scene.Node{ID: "key.erase", Role: scene.Key, Icon: "erase", Name: v.in("key.erase"), Action: Erased{}}
	if !v.letters() {
		for _, d := range "123456789" {
			keys = append(keys, v.key(d))
		}
		return append(keys, turn, v.key('0'), erase)
	}
	for r := 'A'; r <= 'Z'; r++ {
		keys = append(keys, v.key(r))
	}
	turn.Icon, turn.Name = "digits", v.in("key.digits")
	return append(keys, turn, erase)
}

// datePad is the digits, and in the place where the letters were a key that leads back:
// a finger that has learned that place doesn't end the visit.
func (v *Visit) datePad() []scene.Node {
	keys := v.keypad()
	for i := range keys {
		if keys[i].ID == "key.clear" {
			keys[i] = scene.Node{ID: "key.back", Role: scene.Key, Icon: "chevron-left", Name: v.in("back"), Action: WentBack{}}
		}
	}
	return keys
}

// checkingZone shows what was typed, and mends one entry alone.
func checkingZone(v *Visit) scene.Scene {
	s := v.scene(CheckingZone, scene.Review, v.in("zone.title"))
	s.Add(v.lead("zone.lead"))
	refused := v.Zone.Entries == v.Zone.Refused
	switch {
	case v.Wrong != "":
		s.Add(scene.Node{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: v.in(v.Wrong)})
	case refused:
		s.Add(scene.Node{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: v.in("fault.wrong_mrz.lead")})
	}
	row := func(of State, label text.Key, value text.Words) {
		s.Add(scene.Node{
			ID: "change." + string(of), Role: scene.Datum, Name: v.in(label), Value: value,
			Does: v.in("review.change"), Action: ChangeAsked{string(of)}, Private: true, Typed: true,
		})
	}
	row(AskingNumber, "number.label", text.Say(v.Lang, text.Spelt, numberShown(v.Zone.Number)))
	row(AskingBirth, "birth.label", v.dateWords(v.Zone.Birth))
	row(AskingExpiry, "expiry.label", v.dateWords(v.Zone.Expiry))
	s.Add(v.foot(true, scene.Node{
		ID: "next", Name: v.in("zone.next"), Action: Confirmed{}, Primary: true, Unavailable: refused || !v.Zone.known(),
	})...)
	return s
}
