package session

import (
	"cmp"
	"strconv"
	"strings"

	"kosk/device/identity"
	"kosk/device/scene"
	"kosk/device/text"
)

// The scenes of proving who one is, and of signing.

// otherNode leads to the other means.
func (v *Visit) otherNode(name text.Key) scene.Node {
	return scene.Node{ID: "other", Role: scene.Button, Icon: "phone", Name: v.in(name), Action: OtherMeans{}}
}

// used is a phrase of the present use: "pin.title.login", "pin.title.sign".
func (v *Visit) used(key text.Key, args ...text.Arg) text.Words {
	return v.in(v.useKey(key), args...)
}

func (v *Visit) useKey(key text.Key) text.Key {
	return key + "." + text.Key(cmp.Or(v.Proving.Use, identity.Login))
}

// signStep is the last step of a form: the signature.
func (v *Visit) signStep() []scene.Node {
	if v.Proving.Use != identity.Sign {
		return nil
	}
	return v.step(len(v.Service.Fields) + 3)
}

func choosingMeans(v *Visit) scene.Scene {
	s := v.scene(ChoosingMeans, scene.Menu, v.used("means.title"))
	s.Add(v.signStep()...)
	for _, m := range v.means() {
		n := scene.Node{
			ID: "means." + string(m.ID), Role: scene.Choice, Name: m.Name.In(v.Lang), Hint: m.Hint.In(v.Lang),
			Action: MeansPicked{m.ID},
		}
		if v.Service != nil && v.Service.Sign && !m.Sign { // said now, not when all is filled in
			n.Hint = v.in("means.no_signature")
		}
		if why := v.hindrance(m); why != "" {
			n.Unavailable, n.Hint = true, v.in(why)
		}
		s.Add(n)
	}
	s.Add(v.foot(true, scene.Node{})...)
	s.Add(v.line())
	return s
}

// hiddenDigits shows how many digits were typed and not which.
func (v *Visit) hiddenDigits(n int) text.Words {
	if n == 0 {
		return nil
	}
	said := v.in("pin.typed", v.number("n", n)).String()
	return text.Words{{Lang: v.Lang, Text: strings.Repeat("•", n), Say: said}}
}

func (v *Visit) number(name string, n int) text.Arg {
	return text.Arg{Name: name, Words: text.Say(v.Lang, text.Plain, strconv.Itoa(n))}
}

// wrong is the note above a field that wasn't taken.
func (v *Visit) wrong() []scene.Node {
	var words text.Words
	switch {
	case v.Wrong != "":
		words = v.in(v.Wrong)
	case v.Fault.Key != "" && len(v.Proving.Secret) == 0:
		words = v.told(".lead")
	default:
		return nil
	}
	return []scene.Node{{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: words}}
}

func toneOf(wrong []scene.Node) scene.Tone {
	if len(wrong) > 0 {
		return scene.Bad
	}
	return scene.Neutral
}

func askingPIN(v *Visit) scene.Scene {
	p := &v.Proving
	s := v.scene(AskingPIN, scene.Question, v.used("pin.title"))
	s.Add(v.signStep()...)
	wrong, hint := v.wrong(), text.Key("pin.hint")
	if v.Voice { // who listens says when, and sees no digits anyway
		hint = "pin.heard"
	}
	field := scene.Node{
		ID: "field", Role: scene.Field, Tone: toneOf(wrong), Name: v.used("pin.label"), Value: v.hiddenDigits(len(p.Secret)),
		Hint:    v.in(hint, v.number("min", p.PIN.Min), v.number("max", p.PIN.Max)),
		Private: len(p.Secret) > 0,
	}
	tries := v.in("pin.tries", v.number("n", p.PIN.Tries))
	if len(wrong) > 0 && v.Wrong == "" { // who listens is told unasked what is left
		lead := wrong[0].Name.String()
		wrong[0].Name = text.Words{{Lang: v.Lang, Text: lead, Say: lead + " " + tries.String()}}
	}
	if v.TextSize < scene.TextLarge {
		s.Add(v.lead("pin.lead." + text.Key(p.Use)))
		s.Add(append(wrong, field, scene.Node{ID: "tries", Role: scene.Note, Icon: "lock", Name: tries})...)
	} else { // larger words need the room, so that the way forward is on this page
		unnamed(&s)
		field.Hint = text.Join(" ", field.Hint, tries)
		if len(wrong) > 0 {
			field.Hint = tries
		}
		s.Add(append(wrong, field)...)
	}
	if len(v.means()) > 1 {
		s.Add(v.otherNode("pin.other"))
	}
	s.Add(v.keypad()...)
	s.Add(v.foot(true, v.entered("pin.next", len(p.Secret) >= p.PIN.Min))...)
	return s
}

func crediting(v *Visit) scene.Scene {
	p, c := &v.Proving, v.credential()
	s := v.scene(Crediting, scene.Question, c.Title.In(v.Lang))
	s.Add(scene.Node{ID: "means", Role: scene.Lead, Name: p.Means.Name.In(v.Lang)})
	wrong := v.wrong()
	s.Add(wrong...)
	value := v.hiddenDigits(len(p.Secret))
	if !c.Secret {
		value = text.Say(v.Lang, text.Digits, spaced(string(p.Secret), 3))
	}
	s.Add(scene.Node{
		ID: "field", Role: scene.Field, Tone: toneOf(wrong), Name: c.Label.In(v.Lang), Value: value, Hint: c.Hint.In(v.Lang),
		Private: len(p.Secret) > 0,
	})
	s.Add(v.keypad()...)
	s.Add(v.foot(true, v.entered("pin.next", len(p.Secret) >= c.Min))...)
	return s
}

func openingKeys(v *Visit) scene.Scene { return v.waiting(OpeningKeys, "keys.title", "keys.lead") }

func verifyingPIN(v *Visit) scene.Scene {
	if v.Proving.PIN.Pad {
		tries := v.in("pin.tries", v.number("n", v.Proving.PIN.Tries))
		s := v.waiting(VerifyingPIN, "pin.title."+text.Key(v.Proving.Use), "pin.pad",
			scene.Node{ID: "tries", Role: scene.Note, Icon: "lock", Name: tries})
		return s
	}
	return v.waiting(VerifyingPIN, v.useKey("pin_check.title"), "pin_check.lead")
}

// approving shows what the phone shows, too. Before the provider has answered
// there is nothing yet to compare.
func approving(v *Visit) scene.Scene {
	p := v.Proving.Prompt
	if p.Code == "" {
		s := v.waiting(Approving, v.useKey("approve.title"), "approve.asking")
		s.Add(scene.Node{ID: "back", Role: scene.Back, Name: v.in("back"), Action: WentBack{}})
		return s
	}
	s := v.scene(Approving, scene.Waiting, v.used("approve.title"))
	s.Add(v.signStep()...)
	lead := text.Key("approve.push")
	if p.QR != "" {
		lead = "approve.scan"
	}
	s.Add(v.lead(lead),
		scene.Node{ID: "number", Role: scene.Datum, Name: v.in("approve.code"), Value: text.Say(v.Lang, text.Digits, p.Code), Private: true})
	if p.QR != "" {
		s.Add(scene.Node{ID: "code", Role: scene.Code, Data: []byte(p.QR), Name: v.in("approve.qr")})
	}
	s.Add(scene.Node{ID: "progress", Role: scene.Note, Icon: "clock", Name: v.in("approve.wait")})
	s.Add(v.foot(true, scene.Node{})...)
	return s
}
