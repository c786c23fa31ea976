// Package escpos drives receipt printers that speak ESC/POS on a serial line.
//
// What a model can do is data, profiles.toml. A slip is confirmed when the
// printer itself has said that it is out, and never printed twice without a
// mark: a journal knows how far each slip has come, and the printer's buffers
// are cleared at start and after every slip that isn't known to be out. A
// printer that isn't plugged in is looked for again at every call. Start at
// Open.
package escpos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
	"kosk/drivers/serial"
)

// Options say which printer is on which line.
type Options struct {
	Path    string // of the serial port; one that stays, as /dev/serial/by-path/...
	Baud    int    // 0: the profile's
	Profile string // a name of profiles.toml
	Journal string // path of the file that remembers slips; "" remembers until Close
	Log     *slog.Logger

	// Patience is how long a slip may take beyond the time that its bytes are on
	// the line and its paper on the way; 0 is five seconds. Shorter answers are
	// waited for in proportion.
	Patience time.Duration

	// Remind is how long a slip is held out before it is asked for again, each
	// time; 0 is ten seconds. Retract is how long until it is taken back; 0 is 45.
	Remind, Retract time.Duration
	Bin             int // retracted slips at which the bin wants emptying; 0 is 20

	dial dialler // nil is the serial port
}

// defaultPatience is five times what a printer needs that is in order.
const defaultPatience = 5 * time.Second

// patience is how long to wait for each kind of answer.
type patience struct {
	print  time.Duration // for a slip, see Options.Patience
	clear  time.Duration // for the reply to DLE DC4 fn 8
	answer time.Duration // for a real-time reply
	plug   time.Duration // for a path to come back
	poll   time.Duration // between looks at a printer that doesn't speak by itself
}

func newPatience(d time.Duration) patience {
	if d == 0 {
		d = defaultPatience
	}
	return patience{print: d, clear: d * 3 / 5, answer: d / 5, plug: d / 5, poll: d / 10}
}

var errClosed = os.ErrClosed

// owedUnknown is more answers than an earlier process can have left unanswered:
// they are waited for until no more come.
const owedUnknown = 1 << 10

// A Printer is an ESC/POS printer. It does one thing at a time: calls wait for
// each other.
type Printer struct {
	profile Profile
	encoder *encoder
	line    serial.Options
	journal *journal
	log     *slog.Logger

	patience patience

	dial    dialler
	bin     int
	news    chan struct{} // nudges Watch when something waits in told
	stirred chan struct{} // nudges Watch when the printer spoke by itself

	turn    chan struct{} // holds one token; whoever has it owns what follows
	link    *link         // nil when unplugged
	path    state         // of paper, see path.go
	verdict action        // on the slip in hand, as the path has it
	slot    attention
	job     uint32 // numbers process IDs
	owed    int    // answers to GS r that may still come

	mu     sync.Mutex
	known  printer.Status // the path in the contract's words
	told   []printer.Event
	cancel context.CancelCauseFunc // ends what is going on
	closed bool
}

// Open prepares a printer: what an earlier process left half-way becomes
// unknown in the journal, and what the printer still holds of it is cleared. A
// printer that can't be reached is no error: Status and Print say so, until it
// is there.
func Open(ctx context.Context, o Options) (*Printer, error) {
	profile, err := ProfileNamed(o.Profile)
	if err != nil {
		return nil, err
	}
	if o.Baud == 0 {
		o.Baud = profile.Baud
	}
	journal, err := openJournal(o.Journal)
	if err != nil {
		return nil, err
	}
	p := newPrinter(o, profile, journal)
	p.turn <- struct{}{}
	if err := p.Clear(ctx); err != nil {
		if ctx.Err() != nil {
			p.Close()
			return nil, err
		}
		p.log.Warn("printer not ready", "profile", profile.Name, "error", err)
	}
	return p, nil
}

func newPrinter(o Options, profile Profile, journal *journal) *Printer {
	p := &Printer{
		profile:  profile,
		encoder:  newEncoder(profile),
		line:     serial.Options{Path: o.Path, Baud: o.Baud, Flow: profile.Flow, Stall: 3 * time.Second},
		journal:  journal,
		log:      o.Log,
		patience: newPatience(o.Patience),
		dial:     o.dial,
		bin:      o.Bin,
		news:     make(chan struct{}, 1),
		stirred:  make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		path:     begin,
		slot:     attention{remind: o.Remind, retract: o.Retract},
	}
	if journal.hangs { // as an earlier process left it
		p.path = begin.with(held)
		if profile.Clear == "drain" {
			p.owed = owedUnknown
		}
	}
	if p.dial == nil {
		p.dial = dialSerial
	}
	if p.bin == 0 {
		p.bin = 20
	}
	if p.slot.remind == 0 {
		p.slot.remind = 10 * time.Second
	}
	if p.slot.retract == 0 {
		p.slot.retract = 45 * time.Second
	}
	return p
}

// State is how far a slip has come, "" when it was never heard of.
func (p *Printer) State(id string) State { return p.journal.state(id) }

// Status asks the printer. Unplugged and mute printers are errors.
func (p *Printer) Status(ctx context.Context) (printer.Status, error) {
	ctx, err := p.take(ctx)
	if err != nil {
		return printer.Status{Model: p.profile.Title}, err
	}
	defer p.give()
	if err := p.connect(ctx, 0); err != nil {
		return printer.Status{Model: p.profile.Title}, fmt.Errorf("status: %w", err)
	}
	s, err := p.asked(ctx)
	if err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	return s, nil
}

// Forgets reports whether the model can be told to forget what it holds.
func (p *Printer) Forgets() bool { return p.profile.Clear != "drain" }

// Clear empties the printer's buffers. A model that can't be told so prints
// what it holds: Clear waits for that, cuts it off, and takes it back where there
// is a presenter.
func (p *Printer) Clear(ctx context.Context) error {
	ctx, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.give()
	if err := p.connect(ctx, 0); err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	if _, err := p.asked(ctx); err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	if err := p.clears(ctx); err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	return nil
}

// Close ends what is going on and gives the line back.
func (p *Printer) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	if p.cancel != nil {
		p.cancel(errClosed)
	}
	p.mu.Unlock()
	<-p.turn
	defer func() { p.turn <- struct{}{} }()
	var err error
	if p.link != nil {
		err = p.link.hangUp()
		p.link = nil
	}
	nudge(p.news) // Watch ends, too
	return errors.Join(err, p.journal.close())
}

// take waits for the turn. The context it returns ends with Close, too.
func (p *Printer) take(ctx context.Context) (context.Context, error) {
	select {
	case <-p.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.taken(ctx)
}

// takeNow takes the turn if nobody has it.
func (p *Printer) takeNow(ctx context.Context) (context.Context, bool) {
	select {
	case <-p.turn:
	default:
		return ctx, false
	}
	mine, err := p.taken(ctx)
	if err != nil {
		return ctx, false
	}
	return mine, true
}

func (p *Printer) taken(ctx context.Context) (context.Context, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.turn <- struct{}{}
		return nil, errClosed
	}
	ctx, p.cancel = context.WithCancelCause(ctx)
	return ctx, nil
}

func (p *Printer) give() {
	p.mu.Lock()
	p.cancel(nil)
	p.cancel = nil
	p.mu.Unlock()
	p.turn <- struct{}{}
}

// connect makes sure that there is a line. A new one has a printer at its end
// of which nothing is known.
func (p *Printer) connect(ctx context.Context, wait time.Duration) error {
	if p.link != nil && p.link.up() {
		p.link.forget()
		if !p.path.in(unsure | held) {
			return nil
		}
		return p.unstop()
	}
	p.drop()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	line, err := p.dial(ctx, p.line)
	if err != nil {
		return p.hears(lineError(err))
	}
	p.log.Info("printer line opened", "profile", p.profile.Name, "baud", p.line.Baud)
	p.link = newLink(line, p.custom(), p.stirred)
	return nil
}

// unstop lets real-time commands through to a printer that said "wait" in the
// middle of a slip which is lost anyway.
func (p *Printer) unstop() error {
	if err := p.link.line.Discard(); err != nil {
		return p.hears(lineError(err))
	}
	return nil
}

// drop gives up a line that has ended.
func (p *Printer) drop() {
	if p.link != nil {
		_ = p.link.hangUp() // the line is gone; nothing is left to lose
		p.link = nil
		p.log.Warn("printer line lost", "profile", p.profile.Name)
	}
	p.happens(lineLost)
}

func (p *Printer) custom() bool { return p.profile.Status[0] == "custom" }

// status asks for every part of the printer's state, and tells nobody.
func (p *Printer) status(ctx context.Context) (printer.Status, error) {
	s := printer.Status{Model: p.profile.Title, Online: true}
	if p.custom() {
		e, err := p.link.ask(ctx, []byte{0x10, 0x04, 20}, p.patience.answer, customReply)
		if err != nil {
			return s, err
		}
		s = customStatus(e.data)
		s.Model = p.profile.Title
		return s, nil
	}
	for _, n := range p.profile.Status {
		e, err := p.link.ask(ctx, []byte{0x10, 0x04, n[0] - '0'}, p.patience.answer, realTimeReply)
		if err != nil {
			return s, err
		}
		realTimeStatus(&s, n, e.data[0], p.profile.Media)
	}
	return s, nil
}

// clear empties the buffers on both sides of the line, and sets the printer up
// again. A printer that can't be cleared is waited for instead.
func (p *Printer) clear(ctx context.Context) error {
	if err := p.unstop(); err != nil {
		return err
	}
	s, err := p.asked(ctx)
	if err != nil {
		return err
	}
	if (s.Cutter || s.Fault || s.Paper == printer.PaperJammed) && len(p.profile.Recover) > 0 {
		if _, err := p.link.line.Write(ctx, p.profile.Recover); err != nil {
			return p.hears(lineError(err))
		}
	}
	switch p.profile.Clear {
	case "dle-dc4":
		command := []byte{0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8} // DLE DC4 fn 8
		_, err = p.link.ask(ctx, command, p.patience.clear, clearedReply)
	case "reset":
		err = p.reset(ctx)
	default:
		err = p.drain(ctx)
	}
	if err != nil {
		return p.hears(err)
	}
	if p.profile.Clear != "drain" {
		p.owed = 0
	}
	p.happens(cleared)
	if p.profile.presents() { // something may have come out meanwhile
		if _, err := p.asked(ctx); err != nil {
			return err
		}
	}
	if _, err := p.link.line.Write(ctx, append(slices.Clone(p.profile.AutoStatus), p.profile.Setup...)); err != nil {
		return p.hears(lineError(err))
	}
	return nil
}

// reset starts the printer anew and waits until it answers.
func (p *Printer) reset(ctx context.Context) error {
	if _, err := p.link.line.Write(ctx, p.profile.Reset); err != nil {
		return lineError(err)
	}
	end := time.Now().Add(p.patience.print)
	for {
		_, err := p.status(ctx)
		if !errors.Is(err, printer.ErrMute) || time.Now().After(end) {
			return err
		}
	}
}

// drain waits until a printer that can't be cleared has come to the end of what
// it holds.
func (p *Printer) drain(ctx context.Context) error {
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	if err := s.Err(); err != nil {
		return err
	}
	// ESC @ drops a line begun; GS r 1 is answered when all before it is done.
	ask := []byte{0x1B, 0x40, 0x1D, 0x72, 1}
	err = p.reaches(ctx, ask, p.patience.print)
	if !errors.Is(err, printer.ErrMute) {
		return err
	}
	// A picture that was cut off in the middle takes all that follows for its
	// own: white dots complete it, and elsewhere they are nothing.
	white := make([]byte, bandMost*((p.profile.Dots+7)/8))
	if _, err := p.link.line.Write(ctx, white); err != nil {
		return lineError(err)
	}
	wait := p.link.line.Duration(len(white)) + bandMost*time.Second/time.Duration(p.profile.MMPerSecond*dots.PerMM)
	return p.reaches(ctx, ask, wait+p.patience.print)
}

// reaches sends a command that ends in GS r 1 and waits for its answer. Answers
// all look the same, and earlier ones may still be to come: all of them are
// waited for, or, when some were lost, until no more come.
func (p *Printer) reaches(ctx context.Context, command []byte, patience time.Duration) error {
	p.owed++
	if _, err := p.link.line.Write(ctx, command); err != nil {
		return lineError(err)
	}
	answered, silences := false, 0
	for p.owed > 0 {
		err := p.link.await(ctx, patience, func(e event) (bool, error) { return e.kind == sensorReply, nil })
		if answered && errors.Is(err, printer.ErrMute) {
			// It may stand still in the middle, and it may just have gone on.
			if err := p.clean(ctx); err != nil {
				return err
			}
			if silences++; silences < 2 {
				continue
			}
			p.owed = 0
			return nil
		}
		if err != nil {
			return err
		}
		answered, silences = true, 0
		p.owed--
	}
	return nil
}

// cutTail cuts off the piece of an earlier slip that hangs in the slot, so that
// it doesn't come out joined to the next person's, and takes it back if it can.
func (p *Printer) cutTail(ctx context.Context) error {
	command := append(p.encoder.cutOff(), sensorAsked...) // answered after the cut
	if err := p.reaches(ctx, command, p.patience.print); err != nil {
		return p.hears(err)
	}
	if err := p.clean(ctx); err != nil {
		return err // a blade that stuck, and the piece still hangs there
	}
	for _, a := range p.happens(tailCut) {
		if a == doRetract {
			return p.retract(ctx)
		}
	}
	return nil
}
