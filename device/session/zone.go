package session

import (
	"errors"
	"time"

	"kosk/drivers/card"
)

// How a chip is opened by what its machine readable zone says. The rules are:
//
//   - The person asks for it, or the chip does: one without PACE knows no access
//     number. Then it is three questions: document number, birth, last day.
//   - All of it stands on the card. So the card may leave the slot while it is
//     typed, and is asked for when it is needed.
//   - What was typed is kept until the holder is known or the person is back at
//     home, so that one entry can be mended alone.
//   - What the chip has refused isn't sent to it twice: some chips answer slower
//     after each wrong password. A card that is put in anew gets another try.

// Entries are what was typed.
type Entries struct {
	Number        string
	Birth, Expiry string // DDMMYYYY, as printed on the card
}

// A Zone is what was typed in place of the access number, and what came of it.
type Zone struct {
	Entries
	Refused Entries // by the chip
	Used    bool    // the zone opens the chip, and not the access number
	Only    bool    // the chip has said that nothing else does
	Mend    bool    // one entry is being corrected
	Pad     Pad     // which keys the number is typed on
}

// A Pad is which keys a document number is typed on.
type Pad int

// By its place: a number of ours is two letters and seven digits. Another pad than
// that is a touch away.
const (
	byPlace Pad = iota
	onLetters
	onDigits
)

const (
	numberLetters = 2
	usualNumber   = 9
	leastNumber   = 5
	mostNumber    = 14 // other states' go on in the optional field: ICAO 9303-5, 4.2.2.1, note j
	dateDigits    = 8
)

// entry is what is being typed, nil in states that ask for none.
func (v *Visit) entry() *string {
	switch v.State {
	case AskingNumber:
		return &v.Zone.Number
	case AskingBirth:
		return &v.Zone.Birth
	case AskingExpiry:
		return &v.Zone.Expiry
	}
	return nil
}

// AsksPassword reports whether what opens the chip is being typed: the access number,
// or an entry of the zone.
func (v *Visit) AsksPassword() bool { return v.State == AskingCAN || v.entry() != nil }

// known reports whether the zone was typed to its end.
func (e Entries) known() bool {
	return len(e.Number) >= leastNumber && isDate(e.Birth) && isDate(e.Expiry)
}

// card is the entries as a reader of chips takes them.
func (e Entries) card() card.Zone {
	birth, _ := time.Parse(dateLayout, e.Birth)
	expires, _ := time.Parse(dateLayout, e.Expiry)
	return card.Zone{Number: e.Number, Birth: birth, Expires: expires}
}

const dateLayout = "02012006"

// isDate reports whether there is such a day. Whether it has passed isn't asked: the
// chip says what holds.
func isDate(s string) bool {
	t, err := time.Parse(dateLayout, s)
	return err == nil && t.Year() >= 1900 && t.Year() < 2100
}

// isUsual reports whether a number is one of ours, to its last digit.
func isUsual(number string) bool {
	for i, r := range number {
		if isLetter(r) != (i < numberLetters) {
			return false
		}
	}
	return len(number) == usualNumber
}

func isLetter(r rune) bool { return r >= 'A' && r <= 'Z' }
func isDigit(r rune) bool  { return r >= '0' && r <= '9' }

// letters reports whether the keys on the screen are letters.
func (v *Visit) letters() bool {
	if v.Zone.Pad == byPlace {
		return len(v.Typed) < numberLetters
	}
	return v.Zone.Pad == onLetters
}

func turnPad(v *Visit, _ Event) (State, []Effect) {
	if v.letters() {
		v.Zone.Pad = onDigits
	} else {
		v.Zone.Pad = onLetters
	}
	return AskingNumber, nil
}

func askZone(v *Visit, _ Event) (State, []Effect) {
	v.Zone.Used, v.Zone.Mend, v.Fault = true, false, Fault{}
	return AskingNumber, nil
}

// Capital is the character that a key types: in a document number the capital of a
// small letter, be the language one in which I is another letter's.
func (v *Visit) Capital(r rune) rune {
	if v.State == AskingNumber && r >= 'a' && r <= 'z' {
		return r + 'A' - 'a'
	}
	return r
}

// typeNumber takes a letter or digit, and goes on with the last one of a number of
// ours, as typeCAN does. Any other number has its end where the person says.
func typeNumber(v *Visit, e Event) (State, []Effect) {
	r := v.Capital(e.(Typed).Rune)
	if !isLetter(r) && !isDigit(r) || len(v.Typed) >= mostNumber {
		return AskingNumber, nil
	}
	v.Typed += string(r)
	v.Wrong = ""
	if isUsual(v.Typed) && !v.Voice {
		return enterNumber(v, e)
	}
	return AskingNumber, nil
}

func enterNumber(v *Visit, _ Event) (State, []Effect) {
	if len(v.Typed) < leastNumber {
		v.Wrong = "number.short"
		return AskingNumber, nil
	}
	return v.onward(AskingBirth)
}

// typeDate takes a digit of a date, and goes on with the last one.
func typeDate(v *Visit, e Event) (State, []Effect) {
	r := e.(Typed).Rune
	if !isDigit(r) || len(v.Typed) >= dateDigits {
		return v.State, nil
	}
	v.Typed += string(r)
	v.Wrong = ""
	if len(v.Typed) == dateDigits && !v.Voice {
		return enterDate(v, e)
	}
	return v.State, nil
}

func enterDate(v *Visit, _ Event) (State, []Effect) {
	switch {
	case len(v.Typed) < dateDigits:
		v.Wrong = "date.short"
		return v.State, nil
	case !isDate(v.Typed):
		v.Wrong = "date.wrong"
		return v.State, nil
	case v.State == AskingBirth:
		return v.onward(AskingExpiry)
	}
	return v.onward(Reading)
}

// onward keeps an entry and leads to the next one, or, where it was mended, to the
// others.
func (v *Visit) onward(next State) (State, []Effect) {
	*v.entry() = v.Typed
	switch {
	case v.Zone.Mend:
		return CheckingZone, nil
	case next == Reading:
		return v.readZone()
	}
	return next, nil
}

// readZone reads the chip with what was typed, or asks for the card. One on which too
// much was tried has to be put in again.
func (v *Visit) readZone() (State, []Effect) {
	if !v.CardIn || v.Tries >= maxTries {
		return AskingCard, nil
	}
	v.Tries++
	v.Fault = Fault{}
	return Reading, []Effect{ReadHolder{Zone: v.Zone.card()}}
}

// cardHere goes on with the card that is in: with what was typed, or to the access
// number.
func cardHere(v *Visit, _ Event) (State, []Effect) {
	if v.Zone.Used && v.Zone.known() {
		return v.readZone()
	}
	return AskingCAN, nil
}

// entryBack leads to the question before, and keeps what was typed so far.
func entryBack(v *Visit, e Event) (State, []Effect) {
	*v.entry() = v.Typed
	switch {
	case v.Zone.Mend:
		return CheckingZone, nil
	case v.State == AskingExpiry:
		return AskingBirth, nil
	case v.State == AskingBirth:
		return AskingNumber, nil
	}
	return leaveZone(v, e)
}

// leaveZone leads back to the access number, where the chip has one.
func leaveZone(v *Visit, e Event) (State, []Effect) {
	v.Fault = Fault{}
	switch {
	case v.Zone.Only:
		return unpick(v, e)
	case v.CardIn && v.Tries < maxTries:
		return AskingCAN, nil
	}
	v.Zone.Used = false
	return AskingCard, nil
}

// cardBack leaves the question for the card.
func cardBack(v *Visit, e Event) (State, []Effect) {
	if v.Zone.Used {
		return CheckingZone, nil
	}
	return unpick(v, e)
}

// mend asks for one of the entries again.
func mend(v *Visit, e Event) (State, []Effect) {
	v.Zone.Mend = true
	switch State(e.(ChangeAsked).Field) {
	case AskingNumber:
		return AskingNumber, nil
	case AskingBirth:
		return AskingBirth, nil
	case AskingExpiry:
		return AskingExpiry, nil
	}
	return CheckingZone, nil
}

// confirmZone tries again, where there is something new to try.
func confirmZone(v *Visit, _ Event) (State, []Effect) {
	switch {
	case !v.Zone.known():
		v.Wrong = "zone.open"
		return CheckingZone, nil
	case v.Zone.Entries == v.Zone.Refused:
		v.Wrong = "zone.same"
		return CheckingZone, nil
	}
	return v.readZone()
}

// zoneFailed goes on after a chip that wasn't opened with the zone, or not read.
func (v *Visit) zoneFailed(err error) (State, []Effect) {
	if !errors.Is(err, card.ErrWrongMRZ) {
		return v.fail(faultOf(err))
	}
	v.Zone.Refused, v.Fault = v.Zone.Entries, faultOf(err)
	if v.Tries < maxTries {
		return CheckingZone, nil
	}
	return Failing, nil
}
