package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"kosk/offline"
)

// Approval on a phone is two look-ups. The first brings the statement to the
// provider and gets an id; the second waits a few seconds for the phone, and is
// asked again until the person has said yes or no, or its time is over. The
// answer is a signature; what else the bus says is not believed.

// The services of the provider, at the bus.
const (
	ApprovalBegin = "approval.begin"
	ApprovalWait  = "approval.wait"
)

// The fields that means let the person type. The provider knows them by the
// same names.
const (
	FieldPhone    = "phone"
	FieldUser     = "user"
	FieldPassword = "password"
)

// The provider's reasons for no: it knows nobody with what was typed, or was asked
// in vain too often.
const (
	ReasonCredentials = "wrong_credentials"
	ReasonLocked      = "locked"
)

var reasons = map[string]error{ReasonCredentials: ErrCredentials, ReasonLocked: ErrLocked}

// An ApprovalQuestion opens an approval.
type ApprovalQuestion struct {
	Means     MeansID `json:"means"`
	Use       Use     `json:"use"`
	Statement []byte  `json:"statement"`
	Phone     string  `json:"phone,omitempty"`
	User      string  `json:"user,omitempty"`
	Password  string  `json:"password,omitempty"`
}

// Format implements fmt.Formatter: what was typed comes out of no verb.
func (ApprovalQuestion) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, typedHidden) }

// LogValue implements slog.LogValuer.
func (ApprovalQuestion) LogValue() slog.Value { return slog.StringValue(typedHidden) }

// The states of an approval.
const (
	ApprovalWaiting  = "waiting"
	ApprovalGiven    = "approved"
	ApprovalDeclined = "declined"
	ApprovalLapsed   = "lapsed"
)

// An ApprovalAnswer is how an approval stands.
type ApprovalAnswer struct {
	ID          string `json:"id,omitempty"`
	State       string `json:"state"`
	Certificate []byte `json:"certificate,omitempty"`
	Signature   []byte `json:"signature,omitempty"`
	Word        []byte `json:"word,omitempty"`
}

// approvalLife is how long the kiosk waits for a phone.
const approvalLife = 2 * time.Minute

// ApprovalPause is the least time between two questions after a phone.
const ApprovalPause = 500 * time.Millisecond

// An Approval is a means whose key, or word, is with a provider behind the bus.
type Approval struct {
	ID      MeansID
	Lookup  offline.Lookup
	Anchors *Anchors
	Scanned bool // the phone finds the approval by a QR code
}

// Prove implements Means.
func (a Approval) Prove(ctx context.Context, c Claim, typed Typed, show func(Prompt)) (Proof, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, approvalLife, ErrLapsed)
	defer cancel()
	question := ApprovalQuestion{
		Means: a.ID, Use: c.Use, Statement: c.Statement,
		Phone: string(typed[FieldPhone]), User: string(typed[FieldUser]), Password: string(typed[FieldPassword]),
	}
	typed.Zero()
	answer, err := a.ask(ctx, ApprovalBegin, question)
	if err != nil {
		return Proof{}, err
	}
	if answer.State == ApprovalWaiting {
		show(a.prompt(answer.ID, c.Statement))
		if answer, err = a.wait(ctx, answer.ID); err != nil {
			return Proof{}, err
		}
	}
	switch answer.State {
	case ApprovalGiven:
		return fits(Proof{
			Means: a.ID, Statement: c.Statement, Certificate: answer.Certificate, Signature: answer.Signature, Word: answer.Word,
		}, c, a.Anchors)
	case ApprovalDeclined:
		return Proof{}, ErrDeclined
	case ApprovalLapsed:
		return Proof{}, ErrLapsed
	}
	return Proof{}, fmt.Errorf("%w: approval in an unknown state", offline.ErrAgency)
}

func (a Approval) prompt(id string, statement []byte) Prompt {
	p := Prompt{Code: ControlCode(statement)}
	if a.Scanned {
		sum := sha256.Sum256(statement)
		p.QR = string(a.ID) + ":" + id + ":" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return p
}

// wait asks until the approval waits no more. The line may be lost in between.
func (a Approval) wait(ctx context.Context, id string) (ApprovalAnswer, error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ApprovalAnswer{}, context.Cause(ctx)
		}
		answer, err := a.ask(ctx, ApprovalWait, map[string]string{"id": id})
		switch {
		case errors.Is(err, offline.ErrLineDown) && ctx.Err() == nil:
		case err != nil || answer.State != ApprovalWaiting:
			return answer, err
		}
		pause.Reset(ApprovalPause)
	}
}

func (a Approval) ask(ctx context.Context, service string, question any) (ApprovalAnswer, error) {
	raw, err := a.Lookup.Lookup(ctx, service, question)
	fault := new(offline.Fault)
	switch {
	case err == nil:
	case errors.As(err, &fault) && reasons[fault.Reason] != nil:
		return ApprovalAnswer{}, reasons[fault.Reason]
	case errors.Is(context.Cause(ctx), ErrLapsed):
		return ApprovalAnswer{}, ErrLapsed
	default:
		return ApprovalAnswer{}, fmt.Errorf("ask provider: %w", err)
	}
	var answer ApprovalAnswer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return ApprovalAnswer{}, fmt.Errorf("%w: provider's answer not understood", offline.ErrAgency)
	}
	return answer, nil
}
