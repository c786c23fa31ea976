package session

import (
	"kosk/device/identity"
	"kosk/device/scene"
	"kosk/device/text"
	"kosk/drivers/card"
)

// always handles what can happen in every state. done says that no rule of the
// table is to be looked for.
func (v *Visit) always(e Event) (effects []Effect, done bool) {
	if v.Warning && FromPerson(e) {
		v.Warning = false
		if _, back := e.(WentBack); back { // from the warning, not from what lies under it
			return nil, true
		}
	}
	switch e := e.(type) {
	case CardIn:
		v.Kiosk.CardIn, v.Tries, v.Zone.Refused = true, 0, Entries{}
		if v.Wrong == "zone.same" { // the same may be tried again
			v.Wrong = ""
		}
		return nil, false
	case CardOut:
		v.Kiosk.CardIn = false
		return v.cardOut(), true
	case ReaderCame:
		v.NoReader = false
		return nil, true
	case ReaderWent:
		v.NoReader = true
		return nil, false
	case LineChanged:
		v.Line = e.Err
		return nil, true
	case SlipPresented, SlipNotTaken, SlipTaken, SlipRetracted:
		v.slot(e)
		return nil, true
	case Cancelled:
		return v.leave(v.farewell("parting.cancelled")), true
	case IdledOut:
		return v.leave("parting.idle"), true
	case Idled:
		v.Warning = v.Idle() > 0
		return nil, true
	case StillHere:
		return nil, true
	}
	return nil, v.setting(e)
}

// setting changes how the person is met. It never changes the state.
func (v *Visit) setting(e Event) bool {
	switch e := e.(type) {
	case LanguageChosen:
		v.Lang = e.Lang
		return v.State != Attracting
	case LanguageCycled:
		v.Lang = text.Langs[(indexOf(v.Lang)+1)%len(text.Langs)]
	case TextCycled:
		v.TextSize = (v.TextSize + 1) % scene.TextSizes
	case ContrastCycled:
		v.Contrast = (v.Contrast + 1) % scene.Contrasts
	case VoiceToggled:
		v.Voice = !v.Voice
	case PrivacyChanged:
		v.Private = e.Private
		if e.Private {
			v.Voice = true
		}
	case HelpToggled:
		v.Help = !v.Help
	case WentBack:
		if !v.Help {
			return false
		}
		v.Help = false
	default:
		return false
	}
	return true
}

func indexOf(l text.Lang) int {
	for i, k := range text.Langs {
		if k == l {
			return i
		}
	}
	return 0
}

// FromPerson reports whether the event shows that somebody is there.
func FromPerson(e Event) bool {
	switch e.(type) {
	case Idled, IdledOut, LineChanged, NameRead, HolderRead, ReadFailed, LookedUp, LookupFailed, PutDone, PutFailed,
		KeysOpened, Prompted, Proved, ProofFailed, BusAccepted, OutcomeCame, RefusedCame, WaitEnded, SlipPrinted, TimeUp, ReaderCame, ReaderWent,
		PagePrinted, SlipPresented, SlipNotTaken, SlipRetracted:
		return false
	}
	return true
}

// cardOut ends whatever stood on the card. Before the holder is known nothing
// is lost by trying again; afterwards the person has left.
func (v *Visit) cardOut() []Effect {
	switch v.State {
	case AskingCAN, Reading:
		v.Early, v.CAN = "", ""
		v.State, _ = v.fail(faultOf(card.ErrRemoved))
		return []Effect{Forget{}}
	case TakingCard:
		v.State = Parting
		return []Effect{Heeded{}}
	}
	if v.Holder == nil || !v.Carded || v.stays() {
		return nil
	}
	bye := text.Key("parting.card")
	if v.Proving.Use == identity.Sign {
		bye = "parting.unsigned"
	}
	bye = v.farewell(bye)
	v.State, _ = v.end(bye)
	return []Effect{Forget{}}
}

// stays reports whether the screen holds what the person still has to take: the
// slip, the code in its place, or the number.
func (v *Visit) stays() bool {
	return v.State == Ending && !v.Printed || v.State == Failing && v.Number != ""
}

// farewell is how the visit ends, by what has become of the request; nothing
// says that nothing was sent.
func (v *Visit) farewell(nothing text.Key) text.Key {
	switch {
	case v.State == Failing && v.Number != "":
		return v.Fault.Key
	case v.Stage == Done, v.State == Ending && v.Printed:
		return "parting.thanks"
	case v.State == Sending && v.Stage == Unsent: // storing goes on, and may fail
		return "parting.storing"
	case v.State == Sending, v.State == Ending:
		return "parting.sent"
	}
	return nothing
}

// leave ends the visit from any state: the citizen is forgotten at once, and if
// a card lies in the slot, it is asked for until it is out.
func (v *Visit) leave(bye text.Key) []Effect {
	if v.State == Attracting || v.State == Parting || v.State == TakingCard {
		return nil
	}
	next, effects := v.end(bye)
	v.State = next
	return append([]Effect{Forget{}}, effects...)
}

// end forgets the citizen and leads to the card, or to the parting words.
func (v *Visit) end(bye text.Key) (State, []Effect) {
	presented := v.Presented
	v.forget()
	v.Bye, v.Presented = bye, presented
	if v.Kiosk.CardIn {
		return TakingCard, nil
	}
	return Parting, nil
}
