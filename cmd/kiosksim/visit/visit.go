package visit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/kiosksim/stage"
	"kosk/drivers/card/vcard"
	"kosk/ui/layout"
)

// A Report is one visit as it went.
type Report struct {
	Service   string   `json:"service"`
	Lang      string   `json:"lang"`
	Line      string   `json:"line"` // "up" or "down"
	By        string   `json:"by"`   // "touch" or "keys"
	Assurance string   `json:"assurance,omitempty"`
	APDUs     int      `json:"apdus,omitempty"`
	CardMS    int      `json:"card_ms,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	Outcome   string   `json:"outcome"` // "final", "registered", "provisional" or "answered"
	Slip      *Slip    `json:"slip,omitempty"`
	Touches   int      `json:"touches"`
	Typed     int      `json:"typed"`
	Screens   []string `json:"screens"`
	Spoken    int      `json:"spoken"`
	TotalMS   int      `json:"total_ms"`
}

// A Slip is what came out of the printer.
type Slip struct {
	Kind      string `json:"kind"`
	Confirmed bool   `json:"confirmed"`
	Bytes     int    `json:"bytes"`
}

// Person is the one who visits.
func Person() agency.Person { return agency.Population()[0] }

// The PINs of the person's card: the virtual card's own.
const (
	PIN1 = "1234"
	PIN2 = "12345"
)

// langOf is the id of a language's button.
func langOf(lang string) string { return "lang." + lang }

// Begin starts counting a visit that begins at the attract screen.
func (a *Actor) Begin(ctx context.Context) (finish func(Report) (Report, error), err error) {
	if err := a.Sees(ctx, "attract"); err != nil {
		return nil, err
	}
	if err := a.Settles(ctx); err != nil {
		return nil, err
	}
	a.touches, a.typed, a.screens = 0, 0, nil
	a.taken = ""
	if err := a.picture(ctx); err != nil {
		return nil, err
	}
	started := time.Now()
	kiosk := &tail{path: filepath.Join(a.rig.Out, "kiosk.log")}
	speech := &tail{path: filepath.Join(a.rig.Out, "speech.jsonl")}
	slips := len(a.rig.Paper.Slips())
	for _, t := range []*tail{kiosk, speech} {
		if err := t.more(func([]byte) {}); err != nil {
			return nil, err
		}
	}
	return func(r Report) (Report, error) {
		r.TotalMS = int(time.Since(started).Milliseconds())
		r.Touches, r.Typed, r.Screens = a.touches, a.typed, a.screens
		if all := a.rig.Paper.Slips(); len(all) > slips {
			r.Slip = &Slip{Kind: r.Outcome, Bytes: len(all[len(all)-1].Raw)}
		}
		err := kiosk.more(r.kioskLine)
		if err == nil {
			err = speech.more(r.speechLine)
		}
		return r, err
	}, nil
}

// kioskLine takes what the kiosk's own log says of the visit.
func (r *Report) kioskLine(line []byte) {
	var l struct {
		Msg       string `json:"msg"`
		Assurance string `json:"assurance"`
		APDUs     int    `json:"apdus"`
		CardMS    int    `json:"card_ms"`
		RequestID string `json:"request_id"`
		Outcome   string `json:"outcome"`
	}
	if json.Unmarshal(line, &l) != nil {
		return
	}
	switch l.Msg {
	case "card read":
		r.Assurance, r.APDUs, r.CardMS = l.Assurance, l.APDUs, l.CardMS
	case "request stored":
		r.RequestID = l.RequestID
	case "slip":
		if r.Slip != nil {
			r.Slip.Confirmed = l.Outcome == "confirmed"
		}
	}
}

func (r *Report) speechLine(line []byte) {
	var l struct {
		State string `json:"state"`
	}
	if json.Unmarshal(line, &l) == nil && l.State == "started" {
		r.Spoken++
	}
}

// steps does one thing after the other until one fails.
func steps(all ...func() error) error {
	for _, s := range all {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

// InsertCard puts the person's card in.
func (a *Actor) InsertCard(profile vcard.Profile) error {
	c, err := a.rig.Card(Person(), profile)
	if err != nil {
		return err
	}
	return a.rig.Slot.Insert(c)
}

// ToName goes from the attract screen to the person's name, by touch.
func (a *Actor) ToName(ctx context.Context, lang string, largest bool) error {
	return steps(
		func() error {
			if !largest {
				return nil
			}
			for range 2 { // normal, large, largest
				before := a.frames
				if err := a.Touch(ctx, "tool.text"); err != nil {
					return err
				}
				if err := a.await(ctx, "larger text", patience, func(layout.Painted) bool { return a.frames > before }); err != nil {
					return err
				}
			}
			return a.picture(ctx)
		},
		func() error { return a.Touch(ctx, langOf(lang)) },
		func() error { return a.Sees(ctx, "home") },
		func() error { return a.Touch(ctx, "with-card") },
		func() error { return a.Sees(ctx, "card") },
		func() error { return a.InsertCard(vcard.Profile{}) },
		func() error { return a.Sees(ctx, "can") },
		func() error { return a.TouchDigits(ctx, Person().CAN) }, // the last digit begins
		func() error { return a.Sees(ctx, "choosing") },
	)
}

// ToReview goes from the name to the review.
func (a *Actor) ToReview(ctx context.Context) error {
	return steps(
		func() error { return a.Touch(ctx, "service.workplace_cert") },
		func() error { return a.Sees(ctx, "pin") },
		func() error { return a.TouchDigits(ctx, PIN1) },
		func() error { return a.picture(ctx) },
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "question") },
		func() error { return a.Touch(ctx, "option.bank") },
		func() error { return a.Sees(ctx, "review") },
	)
}

// ToSheet goes from the name to the review of an application that has to be signed.
func (a *Actor) ToSheet(ctx context.Context) error {
	return steps(
		func() error { return a.Touch(ctx, "service.childcare_sheet") },
		func() error { return a.Sees(ctx, "pin") },
		func() error { return a.TouchDigits(ctx, PIN1) },
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "question") },
		func() error { return a.Touch(ctx, "option.employer") },
		func() error { return a.Sees(ctx, "review") },
	)
}

// ToSigning goes from the review to the question for PIN2.
func (a *Actor) ToSigning(ctx context.Context) error {
	return steps(
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "consent") },
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "pin") },
	)
}

// Signs types PIN2 and has what was seen signed.
func (a *Actor) Signs(ctx context.Context, pin string) error {
	return steps(
		func() error { return a.TouchDigits(ctx, pin) },
		func() error { return a.picture(ctx) },
		func() error { return a.Touch(ctx, "next") },
	)
}

// ToResult goes from the review to the result.
func (a *Actor) ToResult(ctx context.Context) error {
	return steps(
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "consent") },
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "result") },
	)
}

// TakesSlip waits until the printer has said that the slip is out.
func (a *Actor) TakesSlip(ctx context.Context) error {
	before := len(a.rig.Paper.Slips())
	limit := time.Now().Add(patience)
	for len(a.rig.Paper.Slips()) == 0 || !a.confirmed() {
		if time.Now().After(limit) {
			return fmt.Errorf("no slip came out: %d before, %d now", before, len(a.rig.Paper.Slips()))
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if a.rig.Paper.AtSlot() { // a presenter holds it out
		a.rig.Paper.Take()
	}
	if err := a.Settles(ctx); err != nil {
		return err
	}
	a.taken = ""
	return a.picture(ctx)
}

// confirmed reports whether the last thing that the kiosk's log says of paper is
// that the slip is out.
func (a *Actor) confirmed() bool {
	b, err := os.ReadFile(filepath.Join(a.rig.Out, "kiosk.log"))
	if err != nil {
		return false
	}
	i := strings.LastIndex(string(b), `"msg":"slip"`)
	j := strings.LastIndex(string(b), `"to":"result"`)
	if k := strings.LastIndex(string(b), `"to":"answer"`); k > j {
		j = k
	}
	return i > j && strings.Contains(string(b[i:]), `"outcome":"confirmed"`)
}

// Leaves finishes and takes the card.
func (a *Actor) Leaves(ctx context.Context) error {
	return steps(
		func() error { return a.Touch(ctx, "finish") },
		func() error { return a.Sees(ctx, "take-card") },
		a.rig.Slot.Remove,
		func() error { return a.Sees(ctx, "parting") },
		func() error { return a.Touch(ctx, "again") },
		func() error { return a.Sees(ctx, "attract") },
	)
}

// Certificate is a whole visit for a certificate, by touch.
func (a *Actor) Certificate(ctx context.Context, lang string, largest bool) (Report, error) {
	return a.certificate(ctx, lang, func() error { return a.ToName(ctx, lang, largest) })
}

// certificate is a whole visit for a certificate by touch, from how the person is known.
func (a *Actor) certificate(ctx context.Context, lang string, known func() error) (r Report, err error) {
	finish, err := a.Begin(ctx)
	if err != nil {
		return r, err
	}
	err = steps(
		known,
		func() error { return a.ToReview(ctx) },
		func() error { return a.ToResult(ctx) },
		func() error { return a.TakesSlip(ctx) },
		func() error { return a.Leaves(ctx) },
	)
	if err != nil {
		return r, err
	}
	return finish(Report{Service: "workplace_cert", Lang: lang, Line: "up", By: "touch", Outcome: "final"})
}

// Application is a whole visit for an application that the card signs with PIN2,
// by touch.
func (a *Actor) Application(ctx context.Context, lang string, largest bool) (r Report, err error) {
	finish, err := a.Begin(ctx)
	if err != nil {
		return r, err
	}
	err = steps(
		func() error { return a.ToName(ctx, lang, largest) },
		func() error { return a.ToSheet(ctx) },
		func() error { return a.ToSigning(ctx) },
		func() error { return a.Signs(ctx, PIN2) },
		func() error { return a.Sees(ctx, "result") },
		func() error { return a.TakesSlip(ctx) },
		func() error { return a.Leaves(ctx) },
	)
	if err != nil {
		return r, err
	}
	return finish(Report{Service: "childcare_sheet", Lang: lang, Line: "up", By: "touch", Outcome: "registered"})
}

// CertificateByKeys is a visit for a certificate without sight: headphones in, keys and
// voice alone.
func (a *Actor) CertificateByKeys(ctx context.Context, lang string) (r Report, err error) {
	finish, err := a.Begin(ctx)
	if err != nil {
		return r, err
	}
	err = steps(
		func() error { return a.Press(ctx, stage.F8) },
		func() error {
			return a.await(ctx, "the voice", patience, func(p layout.Painted) bool { return p.Focus != "" })
		},
		a.press(ctx, langOf(lang), "home"),
		a.press(ctx, "with-card", "card"),
		func() error { return a.InsertCard(vcard.Profile{}) },
		func() error { return a.Sees(ctx, "can") },
		func() error { return a.TypeDigits(ctx, Person().CAN) },
		a.press(ctx, "field", "choosing"), // the round key on the field: what is typed is complete
		func() error { return a.toCertificateByKeys(ctx) },
	)
	if err != nil {
		return r, err
	}
	return finish(Report{Service: "workplace_cert", Lang: lang, Line: "up", By: "keys", Outcome: "final"})
}

// press chooses a node by keys and waits for the scene that it leads to.
func (a *Actor) press(ctx context.Context, id, then string) func() error {
	return func() error {
		if err := a.Choose(ctx, id); err != nil {
			return err
		}
		return a.Sees(ctx, then)
	}
}

// toCertificateByKeys goes from the name to the certificate, and leaves, by keys.
func (a *Actor) toCertificateByKeys(ctx context.Context) error {
	return steps(
		a.press(ctx, "service.workplace_cert", "pin"),
		func() error { return a.TypeDigits(ctx, PIN1) },
		a.press(ctx, "field", "question"),
		a.press(ctx, "option.bank", "review"),
		a.press(ctx, "next", "consent"),
		a.press(ctx, "next", "result"),
		func() error { return a.TakesSlip(ctx) },
		a.press(ctx, "finish", "take-card"),
		a.rig.Slot.Remove,
		func() error { return a.Sees(ctx, "parting") },
		func() error { return a.Choose(ctx, "again") },
		func() error { return a.Sees(ctx, "attract") },
	)
}

// IMEI is the check of a telephone, without a card.
func (a *Actor) IMEI(ctx context.Context, lang string) (r Report, err error) {
	finish, err := a.Begin(ctx)
	if err != nil {
		return r, err
	}
	err = steps(
		func() error { return a.Touch(ctx, langOf(lang)) },
		func() error { return a.Sees(ctx, "home") },
		func() error { return a.Touch(ctx, "without-card") },
		func() error { return a.Sees(ctx, "open") },
		func() error { return a.Touch(ctx, "service.imei_check") },
		func() error { return a.Sees(ctx, "question") },
		func() error { return a.TouchDigits(ctx, agency.Devices()[0].IMEI) },
		func() error { return a.Touch(ctx, "next") },
		func() error { return a.Sees(ctx, "answer") },
		func() error { return a.Touch(ctx, "print") },
		func() error { return a.TakesSlip(ctx) },
		func() error { return a.Touch(ctx, "finish") },
		func() error { return a.Sees(ctx, "parting") },
		func() error { return a.Touch(ctx, "again") },
		func() error { return a.Sees(ctx, "attract") },
	)
	if err != nil {
		return r, err
	}
	return finish(Report{Service: "imei_check", Lang: lang, Line: "up", By: "touch", Outcome: "answered"})
}

// CertificateLineCut is a visit in which the line is cut while the review is on
// the screen. It ends with a provisional slip and the card taken; the request
// waits in the queue.
func (a *Actor) CertificateLineCut(ctx context.Context, lang string) (r Report, err error) {
	finish, err := a.Begin(ctx)
	if err != nil {
		return r, err
	}
	err = steps(
		func() error { return a.ToName(ctx, lang, false) },
		func() error { return a.ToReview(ctx) },
		func() error { a.rig.Line.Cut(); return nil },
		func() error { return a.ToResult(ctx) },
		func() error { return a.TakesSlip(ctx) },
		func() error { return a.Leaves(ctx) },
	)
	if err != nil {
		return r, err
	}
	return finish(Report{Service: "workplace_cert", Lang: lang, Line: "down", By: "touch", Outcome: "provisional"})
}

// SaysNoLine looks at the home screen while the line is down: the check's tile
// says so, and choosing it tells why.
func (a *Actor) SaysNoLine(ctx context.Context, lang string) error {
	return steps(
		func() error { return a.Sees(ctx, "attract") },
		func() error { return a.Touch(ctx, langOf(lang)) },
		func() error { return a.Sees(ctx, "home") },
		func() error { return a.Touch(ctx, "service.imei_check") },
		func() error { return a.Sees(ctx, "problem") },
		func() error { return a.Touch(ctx, "leave") },
		func() error { return a.Sees(ctx, "parting") },
		func() error { return a.Touch(ctx, "again") },
		func() error { return a.Sees(ctx, "attract") },
	)
}

// ResidentMB is how much memory a process holds, shared pages whole: VmRSS of proc(5).
func ResidentMB(pid int) float64 { return procMB(pid, "status", "VmRSS:") }

// PSSMB is how much memory a process holds, shared pages by their share: Pss of proc(5).
func PSSMB(pid int) float64 { return procMB(pid, "smaps_rollup", "Pss:") }

func procMB(pid int, file, field string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == field {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1024
		}
	}
	return 0
}
