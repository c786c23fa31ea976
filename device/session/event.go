package session

import (
	"time"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/drivers/signer"
)

// An Event is something that happened: the person did it, a device reported it,
// or the loop says how an effect ended.
type Event any

// What the person does. Most of these are actions of nodes.
type (
	LanguageChosen struct{ Lang text.Lang }
	LanguageCycled struct{}
	TextCycled     struct{}
	ContrastCycled struct{}
	VoiceToggled   struct{}
	PrivacyChanged struct{ Private bool } // headphones went in or out
	HelpToggled    struct{}
	WithCard       struct{}
	WithoutCard    struct{}
	NoCAN          struct{} // the card access number is not there, or can't be read
	PadTurned      struct{} // letters in place of digits, or digits in place of letters
	ServicePicked  struct{ ID catalogue.ServiceID }
	Typed          struct{ Rune rune }
	Erased         struct{}
	Entered        struct{} // the field is complete
	Answered       struct{ Field, Value string }
	ChangeAsked    struct{ Field string }
	Confirmed      struct{} // the review
	Agreed         struct{} // the consent
	PrintAsked     struct{}
	Retried        struct{}
	Finished       struct{}
	WentBack       struct{}
	Cancelled      struct{}
	StillHere      struct{}
	OtherMeans     struct{} // another way to say who one is, or to sign
	MeansPicked    struct{ ID catalogue.MeansID }
)

// What devices and the line report.
type (
	CardIn      struct{}
	CardOut     struct{}
	ReaderCame  struct{}
	ReaderWent  struct{}
	LineChanged struct{ Err error } // nil: up

	SlipPresented struct{} // the printer holds a slip out
	SlipNotTaken  struct{} // it is still there
	SlipTaken     struct{}
	SlipRetracted struct{} // nobody took it
)

// How effects end.
type (
	// NameRead is DG1's given name, early and not yet believed.
	NameRead struct{ GivenNames string }
	// HolderRead is the holder, believed.
	HolderRead struct{ Holder identity.Holder }
	ReadFailed struct{ Err error }
	// KeysOpened is what the card says of its PIN. Claim is as in the effect, here
	// and below: what belongs to an earlier one is ignored.
	KeysOpened struct {
		Claim int
		PIN   signer.PIN
	}
	// Prompted is what the person compares with their phone.
	Prompted struct {
		Claim  int
		Prompt identity.Prompt
	}
	// Proved is a proof that holds, and whose it is.
	Proved struct {
		Claim   int
		Proof   identity.Proof
		Subject identity.Subject
	}
	ProofFailed struct {
		Claim int
		Err   error
	}
	// LookedUp is a register's answer.
	LookedUp struct {
		For   catalogue.ServiceID // as in Lookup
		Found []Found
		At    time.Time
	}
	LookupFailed struct {
		For catalogue.ServiceID
		Err error
	}
	// PutDone says that the request is on the disk.
	PutDone struct {
		ID     request.ID
		Number string
		At     time.Time
		Token  string // the station's word for it, base45
	}
	PutFailed struct {
		Err    error
		Number string // of a request whose storing is unknown
	}
	// BusAccepted says that the bus holds the request, with its signed receipt.
	BusAccepted struct{ Token string }
	// OutcomeCame is the agency's answer.
	OutcomeCame struct {
		Outcome request.Outcome
		Token   string
	}
	RefusedCame struct{ Reason string }
	// WaitEnded says that the service's wait is over without an outcome.
	WaitEnded struct{}
	// SlipPrinted says what is known of the paper.
	SlipPrinted struct {
		Outcome printer.Outcome
		Err     error
	}
	// PagePrinted says what is known of the certificate's page.
	PagePrinted struct {
		Outcome printer.Outcome
		Err     error
	}
	Idled    struct{} // nothing happened for a while
	IdledOut struct{} // nor after the warning
	TimeUp   struct{} // of Wait
)

// An Effect is something for the loop to do.
type Effect any

// The effects.
type (
	// ReadHolder reads the chip with the card access number, or, where that is
	// empty, with the zone.
	ReadHolder struct {
		CAN  string
		Zone card.Zone
	}
	// OpenKeys asks the card about the PIN of a use.
	OpenKeys struct {
		Claim int
		Use   identity.Use
	}
	// Prove has a means sign: for a login a fresh statement, to sign one with what
	// was shown. What was typed goes with it and is zeroed.
	Prove struct {
		Claim int
		Use   identity.Use
		Means identity.MeansID
		Typed identity.Typed
		Pad   bool // the PIN is typed on the reader's own pad
	}
	// Withdraw gives up what a means is asked for.
	Withdraw struct{}
	// Lookup asks a register. The answer to an earlier service's is ignored.
	Lookup struct {
		For      catalogue.ServiceID
		Service  string
		Question map[string]string
	}
	// Submit seals what the visit holds, stores it, and follows it for the
	// service's wait.
	Submit struct{}
	// Unread gives up reading the chip.
	Unread struct{}
	// PrintPage prints a certificate as a page, in a language.
	PrintPage struct {
		Outcome request.Outcome
		Lang    text.Lang
	}
	// Print prints a slip.
	Print struct{ Slip receipt.Slip }
	// Retract takes back the slip that somebody left at the slot.
	Retract struct{}
	// Forget ends everything that still runs for the person, and empties the
	// printer's buffers.
	Forget struct{}
	// Heeded says that what must be heard was done: it isn't said any longer.
	Heeded struct{}
	// Anew makes voice, focus and keys as everybody meets them at first.
	Anew struct{}
	// Wait brings an event later, unless the state changes before.
	Wait struct {
		For  time.Duration
		Then Event
	}
)
