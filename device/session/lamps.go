package session

import "kosk/drivers/panel"

// Which lamps are lit is a function of the visit, as its scene is: nothing has to
// be put out, and nothing stays lit by accident. The rules are:
//
//   - A lamp never says what the scene doesn't. Slow: come here; medium: take this;
//     quick: you are about to leave it behind; continuous: at work.
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

// cardLamp invites a card, is steady while the chip is at work, and asks for the
// card back.
func (v *Visit) cardLamp() panel.Pattern {
	switch v.State {
	case Reading, OpeningKeys, VerifyingPIN:
		return panel.Continuous
	case TakingCard:
		return panel.Medium
	case AskingCard, Failing:
		asks := v.State == AskingCard || v.Fault.Again == AskingCard
		switch {
		case !asks || v.NoReader:
			return panel.Off
		case !v.CardIn:
			return panel.Slow
		case v.State == AskingCard: // to be put in anew
			return panel.Medium
		}
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
