package session

import "kosk/drivers/panel"

// Which lamps are lit is a function of the visit, as its scene is: nothing has to
// be put out, and nothing stays lit by accident. The rules are:
//
//   - A lamp never says what the scene doesn't. Slow: come here; medium: take this;
//     quick: you are about to leave it behind; continuous: at work, leave it there.
//   - The card's lamp is steady from when the card is in until it is asked back, and
//     doesn't go out between: "leave it in until the end", says the first scene, and
//     a lamp gone dark says that the card may go, which would end the visit. It is
//     dark where the visit doesn't need the card, or the scene says to take it.
//   - The card's lamp is the machine's: it asks for a card that lies in the slot
//     also when its owner is forgotten. So is the slip's, while the visit's own slip
//     hangs. The page's lamp ends with the visit: nobody tells that a page is taken.
//   - While nobody is here all are dark.

// Lamps is what each lamp shows now: all of panel.Lamps.
func (v *Visit) Lamps() map[panel.Lamp]panel.Pattern {
	return map[panel.Lamp]panel.Pattern{
		panel.CardReader: v.cardLamp(), panel.ReceiptPrinter: v.slipLamp(), panel.DocumentPrinter: v.pageLamp(),
	}
}

// cardLamp invites a card, is steady while the visit needs the one in the slot, and
// asks for it back.
func (v *Visit) cardLamp() panel.Pattern {
	switch v.State {
	case Attracting, Parting:
		return panel.Off
	case TakingCard:
		return panel.Medium
	case AskingCard:
		switch {
		case v.NoReader:
			return panel.Off
		case v.CardIn: // to be put in anew
			return panel.Medium
		}
		return panel.Slow
	case Failing:
		anew := v.Fault.Again == AskingCard || v.Fault.Again == CheckingZone // put it in again, say the words
		if anew && !v.CardIn && !v.NoReader {
			return panel.Slow
		}
		if anew || v.Fault.Again == "" { // the card goes
			return panel.Off
		}
	}
	reads := v.State == AskingCAN || v.State == Reading || v.State == OpeningKeys || v.State == VerifyingPIN
	if v.CardIn && (reads || v.Carded) {
		return panel.Continuous
	}
	return panel.Off
}

// slipLamp is steady while a slip is printed, and asks for the one that is out:
// until it is gone where the printer tells, else until the person leaves.
func (v *Visit) slipLamp() panel.Pattern {
	switch v.State {
	case Answering, Ending, TakingCard, Parting:
	default: // its scene doesn't speak of the slip
		return panel.Off
	}
	switch {
	case v.hangs() && v.Asked > 0:
		return panel.Quick
	case v.hangs():
		return panel.Slow
	case v.Printing && !v.Paging:
		return panel.Continuous
	case v.Printed && !v.Presented:
		return panel.Slow
	}
	return panel.Off
}

// pageLamp is steady while a page is printed, and asks for it.
func (v *Visit) pageLamp() panel.Pattern {
	switch {
	case v.Paging:
		return panel.Continuous
	case v.Paged:
		return panel.Slow
	}
	return panel.Off
}
