package device

import (
	"context"

	"kosk/device/scene"
	"kosk/device/session"
)

// take turns one act of the person into an event, or into a move of the focus.
func (k *Kiosk) take(ctx context.Context, i scene.Input) {
	switch {
	case i.Activate != "":
		k.ring = false
		k.activate(ctx, i.Activate)
	case i.Focus != "":
		k.focus = i.Focus
		k.step(ctx, session.StillHere{})
	case i.Rune != 0:
		r := k.visit.Capital(i.Rune)
		k.Voice.Echo(r, k.secret())
		k.step(ctx, session.Typed{Rune: r})
	case i.Command != 0:
		k.command(ctx, i.Command)
	}
}

// secret reports whether what is typed now is the person's own and the ear of
// others might hear it.
func (k *Kiosk) secret() bool {
	switch k.visit.State {
	case session.AskingPIN:
		return true // in headphones, too: EN 301 549, 5.1.3.8
	case session.Crediting:
		return k.visit.Hides() || !k.visit.Private
	}
	return k.visit.AsksPassword() && !k.visit.Private
}

// activate does what a node stands for.
func (k *Kiosk) activate(ctx context.Context, id string) {
	n := k.shown.Find(id)
	if n == nil || n.Action == nil {
		return
	}
	if t, ok := n.Action.(session.Typed); ok {
		k.Voice.Echo(t.Rune, k.secret())
	}
	k.step(ctx, n.Action)
	switch n.Action.(type) {
	case session.Erased:
		k.erased()
	case session.PadTurned: // the focus stays, and the keys are others
		k.Voice.Status(n.Name)
	}
}

// erased says that the last character is gone, where there is one to type.
func (k *Kiosk) erased() {
	if k.shown.Role(scene.Field) != nil {
		k.Voice.Command(scene.Erase, k.shown, k.focus)
	}
}

// chosen is what the round key means: the node with the focus, or, on a field,
// that what was typed is complete.
func (k *Kiosk) chosen() string {
	if n := k.shown.Find(k.focus); n != nil && n.Role == scene.Field {
		if next := k.shown.Role(scene.Next); next != nil {
			return next.ID
		}
	}
	return k.focus
}

// events are the commands that mean the same in every scene.
var events = map[scene.Command]session.Event{
	scene.GoBack:        session.WentBack{},
	scene.Cancel:        session.Cancelled{},
	scene.Erase:         session.Erased{},
	scene.CycleLanguage: session.LanguageCycled{},
	scene.CycleText:     session.TextCycled{},
	scene.CycleContrast: session.ContrastCycled{},
	scene.ToggleVoice:   session.VoiceToggled{},
	scene.HeadphonesIn:  session.PrivacyChanged{Private: true},
	scene.HeadphonesOut: session.PrivacyChanged{Private: false},
}

// command is a key. While nobody is here, the first key starts the voice and
// does nothing else, so that who can't see the screen hears where they are
// (EN 301 549, 5.1.3.1; ADA 707.5).
func (k *Kiosk) command(ctx context.Context, c scene.Command) {
	k.ring = true
	if c == scene.HeadphonesIn || c == scene.HeadphonesOut {
		k.Voice.Headphones(c == scene.HeadphonesIn)
	}
	if e, ok := events[c]; ok {
		k.step(ctx, e)
		if c == scene.Erase {
			k.erased()
		}
		return
	}
	if k.visit.State == session.Attracting && !k.visit.Voice {
		k.step(ctx, session.VoiceToggled{})
		return
	}
	switch c {
	case scene.FocusNext:
		k.focus = k.shown.Move(k.focus, 1, k.visit.Voice)
	case scene.FocusPrevious:
		k.focus = k.shown.Move(k.focus, -1, k.visit.Voice)
	case scene.Select:
		k.activate(ctx, k.chosen())
		return
	default:
		k.Voice.Command(c, k.shown, k.focus)
	}
	k.step(ctx, session.StillHere{})
}
