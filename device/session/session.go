// Package session is a visit as a table of rules: what may happen in each
// state, and where it leads. It is pure: no goroutine, no I/O, no clock. Step
// takes an event and returns effects, which the loop in device carries out.
//
// Start at the table in rules.go; scenes.go says what the person meets in each
// state, fault.go which words belong to which error.
package session

import (
	"fmt"
	"time"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/text"
)

// A State is where a visit stands.
type State string

// The states of a visit.
const (
	Attracting State = "attract" // nobody is here
	Home       State = "home"    // what would you like to do
	Open       State = "open"    // the services that need no card
	AskingCard State = "card"    // put the card in
	AskingCAN  State = "can"     // type the card access number
	Reading    State = "reading" // the chip is being read

	AskingNumber State = "number"     // type the document number, where the access number is of no use
	AskingBirth  State = "birth"      // and the date of birth
	AskingExpiry State = "expiry"     // and the card's last day
	CheckingZone State = "zone-check" // the chip refused them: check, and mend

	Choosing State = "choosing" // the holder is known: which service

	ChoosingMeans State = "means"      // how to say who one is, or to sign
	Crediting     State = "credential" // what a means wants typed
	OpeningKeys   State = "keys"       // the card is asked about its PIN
	AskingPIN     State = "pin"        // type it
	VerifyingPIN  State = "pin-check"  // the card is at work, or the reader's own pad
	Approving     State = "approve"    // the phone is waited for

	Filling    State = "question"  // one question of the form
	Prefilling State = "prefill"   // the register is being asked
	Reviewing  State = "review"    // check your answers
	Consenting State = "consent"   // what you agree to
	Sending    State = "sending"   // the request is on its way
	Looking    State = "looking"   // a live question is under way
	Answering  State = "answer"    // its answer
	Ending     State = "result"    // how the request ended
	Failing    State = "problem"   // what went wrong, and the way on
	TakingCard State = "take-card" // until the card is out
	Parting    State = "parting"   // thank you
)

// States lists every state, in the order of a visit.
var States = []State{
	Attracting, Home, Open, AskingCard, AskingCAN, AskingNumber, AskingBirth, AskingExpiry, CheckingZone, Reading, Choosing, ChoosingMeans, Crediting,
	OpeningKeys, AskingPIN, VerifyingPIN, Approving, Filling, Prefilling, Reviewing,
	Consenting, Sending, Looking, Answering, Ending, Failing, TakingCard, Parting,
}

// maxTries is how often a password, the access number or the zone, may be tried
// before the card has to be taken out and put in again. The chip itself sets no limit.
const maxTries = 5

// canDigits is the length of a card access number on the Azerbaijani card.
const canDigits = 6

// A Kiosk is what is true of the machine, whoever stands before it.
type Kiosk struct {
	Catalogue *catalogue.Catalogue
	Office    catalogue.Names // of the centre, on slips
	Test      bool            // a development trust bundle is in use
	Line      error           // nil: up; else offline.ErrLineDown or ErrBusIdentity
	CardIn    bool            // a card lies in the slot
	NoReader  bool            // there is no card reader
	NoTrust   bool            // there are no trust anchors: nobody can be believed
	Full      bool            // the queue has no room for a request
	Pages     bool            // certificates are printed as pages, too
	Slip      bool            // a slip is held out at the printer's slot
	Asked     int             // how often it was asked to be taken since
}

// Settings are how this person asked to be met; they end with the visit.
type Settings struct {
	Lang     text.Lang
	TextSize scene.TextSize
	Contrast scene.Contrast
	Voice    bool
	Private  bool // headphones are in
}

// A Stage is how far the person's request has come.
type Stage int

// The stages of a request.
const (
	Unsent   Stage = iota
	Stored         // on the kiosk's disk
	Accepted       // the bus holds it
	Done           // the outcome is here
)

// A Found is one datum of a register.
type Found struct{ ID, Value, Lang, Register string }

// An Agreement is a consent in the words that stood on the screen, whatever is
// shown in which language afterwards.
type Agreement struct {
	Lang  text.Lang
	Items map[string]string // by ConsentItems
}

// A Person is all that is known of the citizen; forgetting is setting it to zero.
type Person struct {
	Service *catalogue.Service
	Typed   string            // in the field on the screen
	Wrong   text.Key          // what was wrong with it
	Tries   int               // of the card access number or the zone, with this card
	CAN     string            // what was typed, while the chip is being read with it
	Zone    Zone              // what was typed in place of the access number
	Early   string            // the given name, before the chip is believed
	Holder  *identity.Holder  // nil until the chip was read and believed
	Carded  bool              // the holder came by the card in the slot
	Proving Proving           // what the person is asked to prove
	Login   identity.Proof    // that the holder is here; zero until then
	Signed  identity.Proof    // that they signed what they saw
	Seen    []request.Line    // the review, as it stood when they confirmed it
	SeenIn  text.Lang         // and in which language
	Shown   []request.Line    // the review and the consent: what they sign
	Consent Agreement         // what they agreed to; zero until then
	Field   int               // index of the question on the screen
	Change  bool              // the question was reached from the review
	Answers map[string]string // field -> answer

	Told     bool // the register answered, or won't
	Found    []Found
	FoundAt  time.Time
	Register error // why the register didn't answer

	ID        request.ID
	Number    string
	SentAt    time.Time
	Stage     Stage
	Token     string // for the QR code: base45
	Outcome   *request.Outcome
	Printing  bool
	Printed   bool
	PrintWord text.Key // what to say of the paper, "" while nothing is wrong
	Presented bool     // a presenter has held the slip out
	Retracted bool     // and has taken it back
	Paging    bool     // the certificate's page is being printed
	Paged     bool     // it is out
	PageWord  text.Key // what to say of it, "" while nothing is wrong

	Fault   Fault
	Warning bool // idle: are you still there?
	Help    bool
	Bye     text.Key // how the visit ended, for Parting
	Reminds int      // how often the card was asked for again
}

// A Visit is one person at the kiosk, or nobody.
type Visit struct {
	State State
	Settings
	Kiosk
	Person
}

// New is a kiosk with nobody before it.
func New(k Kiosk) *Visit {
	return &Visit{State: Attracting, Kiosk: k, Settings: usual()}
}

// usual is how everybody is met at first.
func usual() Settings {
	return Settings{Lang: text.Az, TextSize: scene.TextNormal}
}

// Healed is a kiosk whose program broke in a visit: nobody is known any more, and
// a card that lies in the slot is asked for.
func Healed(k Kiosk) *Visit {
	v := New(k)
	if k.CardIn {
		v.State, v.Bye = TakingCard, "parting.broken"
	}
	return v
}

// forget removes the citizen. What the machine knows of itself stays. What was
// typed in secret is overwritten.
func (v *Visit) forget() {
	v.Proving.wipe()
	v.Person = Person{}
}

// anew meets the next person as everybody is met. Headphones that are still in
// are the machine's affair.
func (v *Visit) anew() []Effect {
	private := v.Private
	v.forget()
	v.Settings = usual()
	v.Private = private
	return []Effect{Forget{}, Anew{}}
}

// Step takes an event and returns what is to be done. An event that the state
// has no rule for is ignored.
func (v *Visit) Step(e Event) []Effect {
	before := v.State
	effects, done := v.always(e)
	if !done {
		for i := range rules {
			r := &rules[i]
			if r.from == v.State && kind(r.on) == kind(e) {
				effects = append(effects, r.take(v, e)...)
				break
			}
		}
	}
	if v.State != before {
		v.Typed, v.Wrong, v.Help, v.Warning = "", "", false, false
		v.Proving.unwrite()
		effects = append(effects, v.enter()...)
		effects = append(effects, v.leftBehind(before)...)
	}
	return effects
}

// enter returns the effects of coming into the present state.
func (v *Visit) enter() []Effect {
	switch v.State {
	case Attracting:
		return v.anew()
	case AskingCAN: // what is read back from can be corrected
		v.Typed, v.CAN = v.CAN, ""
		v.Zone.Used = false
	case AskingNumber, AskingBirth, AskingExpiry:
		v.Typed, v.Zone.Pad = *v.entry(), byPlace
	case Home:
		v.Zone = Zone{}
	case TakingCard:
		return []Effect{Wait{takeCardAgain, TimeUp{}}}
	case Parting:
		return []Effect{Wait{partingTime, TimeUp{}}}
	}
	return nil
}

const (
	partingTime   = 6 * time.Second
	takeCardAgain = 8 * time.Second
)

// kind names an event's type.
func kind(e Event) string { return fmt.Sprintf("%T", e) }

// Idle is how long nothing may happen before the person is asked whether they
// are still there; 0: no limit, since the machine is at work or nobody is here.
// Source: VVSG 2.0, 7.1 (2 to 5 minutes); WCAG 2.2.1.
func (v *Visit) Idle() time.Duration {
	switch v.State {
	case Attracting, Parting, TakingCard, Reading, Prefilling, Sending, Looking, OpeningKeys, VerifyingPIN, Approving:
		return 0
	}
	switch {
	case v.Printing:
		return 0
	case v.Voice:
		return 300 * time.Second
	case v.Number != "" && !v.CardIn:
		return 20 * time.Second
	case v.Holder != nil:
		return 120 * time.Second
	}
	return 60 * time.Second
}

// IdleWarning is how long the question "are you still there" stands.
const IdleWarning = 45 * time.Second
