// Package paper is a receipt printer without hardware: it takes ESC/POS from a
// pseudo terminal, answers like an Epson TM-T20II (or like a cheaper machine),
// and keeps what comes out of its slot as a picture, as text and as bytes.
//
// Its faults are settings that may be turned at any moment: paper low or out,
// cover, cutter, a mute or slow printer, an unplugged cable. It knows nothing
// of our own driver. Start at Open.
package paper

import (
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// Options say what the printer is like.
type Options struct {
	Link        string     // a symbolic link to keep to the line; "" makes one in a folder of its own
	Memory      bool       // no line of the system's, but Dial
	Model       Model      // zero is TMT20II
	MMPerSecond int        // paper speed; 0 prints at once
	OnSlip      func(Slip) // called, one at a time, when a slip comes out; may be nil
}

// A Slip is what came out between two cuts.
type Slip struct {
	PNG  image.Image // white paper with its margins, eight pixels a millimetre
	Text string      // lines; a QR code as [QR ...]
	Raw  []byte      // the bytes that were printed, from the last cut to this one
	Torn bool        // the paper ended, or the blade was stuck, before the slip did

	Retracted bool // it was held out, and then taken back
}

// A Paper is a printer at work.
type Paper struct {
	link    string
	folder  string // made by us, "" if the link was given
	model   Model
	speed   int
	asked   chan func(*machine)
	plugged chan *plug
	done    chan struct{}
	ended   sync.WaitGroup

	mu    sync.Mutex
	slips []Slip
	baud  int // 0 is as fast as it comes
	plug  *plug
	shut  bool
}

// A plug is one plugging of the cable.
type plug struct {
	port   port
	in     chan []byte
	pulled chan struct{}
	once   sync.Once
	ended  chan struct{} // closed when its reader has ended
}

// A port is the printer's end of a line.
type port interface {
	Read(p []byte) (int, error)
	Write(p []byte) // what the host doesn't take is lost
	Release()       // lets others open the line after a host that took it for itself
	Close()
}

// Open puts a printer at the end of a new line, and starts it. Close ends it.
func Open(o Options) (*Paper, error) {
	if o.Model.Name == "" {
		o.Model = TMT20II()
	}
	p := &Paper{
		link: o.Link, model: o.Model, speed: o.MMPerSecond,
		asked: make(chan func(*machine)), plugged: make(chan *plug), done: make(chan struct{}),
	}
	if p.link == "" && !o.Memory {
		folder, err := os.MkdirTemp("", "paper")
		if err != nil {
			return nil, fmt.Errorf("open paper: %w", err)
		}
		p.folder, p.link = folder, filepath.Join(folder, "line")
	}
	m := newMachine(o.Model, func(s Slip) { p.keep(s, o.OnSlip) })
	m.back = p.takenBack
	p.ended.Go(func() { p.run(m) })
	if err := p.Replug(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Path is the line to the printer. It stays the same through Unplug and Replug.
func (p *Paper) Path() string { return p.link }

// Slips are those that came out so far.
func (p *Paper) Slips() []Slip {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Slip(nil), p.slips...)
}

func (p *Paper) keep(s Slip, tell func(Slip)) {
	p.mu.Lock()
	p.slips = append(p.slips, s)
	p.mu.Unlock()
	if tell != nil {
		tell(s)
	}
}

// takenBack marks the slip that came out last.
func (p *Paper) takenBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slips[len(p.slips)-1].Retracted = true
}

// Retracted is how many slips are in the bin.
func (p *Paper) Retracted() int {
	n := 0
	for _, s := range p.Slips() {
		n += int(bit(s.Retracted, 1))
	}
	return n
}

// SetPaper puts in a fresh roll (PaperFull), one near its end (PaperLow), or
// takes it out (PaperOut). Taking it out while a slip is half printed tears it.
func (p *Paper) SetPaper(s printer.Paper) {
	p.ask(func(m *machine) {
		m.paper, m.roll = s, -1
		if s == printer.PaperOut {
			m.deliver(true)
		}
	})
}

// SetRoll lets the paper end after so many millimetres.
func (p *Paper) SetRoll(mm int) {
	p.ask(func(m *machine) { m.roll = mm * dots.PerMM })
}

// Ended reports whether the paper is out.
func (p *Paper) Ended() bool {
	ended := false
	p.ask(func(m *machine) { ended = m.paper == printer.PaperOut })
	return ended
}

// Cover opens or closes the cover.
func (p *Paper) Cover(open bool) { p.ask(func(m *machine) { m.cover = open }) }

// Cutter blocks the blade, or frees it, and then what hangs there uncut is taken
// out. A cut that failed must be recovered by the host (DLE ENQ) once it is free.
func (p *Paper) Cutter(blocked bool) {
	p.ask(func(m *machine) {
		m.cutter = blocked
		if !blocked && m.stuck {
			m.deliver(true)
			m.stuck = m.model.Recover
		}
	})
}

// Jam crumples the paper in the mechanism, or frees it, and then what hangs
// there is taken out. Models that recover by DLE ENQ wait for it after that.
func (p *Paper) Jam(on bool) {
	p.ask(func(m *machine) {
		m.jam = on
		switch {
		case on:
			m.jammed = true
		case m.jammed:
			m.deliver(true)
			m.jammed = m.model.Recover
		}
	})
}

// Head makes the head too hot to print, or cools it.
func (p *Paper) Head(hot bool) { p.ask(func(m *machine) { m.head = hot }) }

// Take takes the slip that a presenter holds out.
func (p *Paper) Take() { p.ask(func(m *machine) { m.slot = false }) }

// Hold has somebody hold on to the slip at the slot: it can't be taken back.
func (p *Paper) Hold(on bool) { p.ask(func(m *machine) { m.holding = on }) }

// AtSlot reports whether a presenter holds a slip out.
func (p *Paper) AtSlot() bool {
	there := false
	p.ask(func(m *machine) { there = m.slot })
	return there
}

// Hanging is the text of what is printed and not out: uncut, or inside a presenter.
func (p *Paper) Hanging() string {
	text := ""
	p.ask(func(m *machine) {
		text = strings.Join(m.text, "\n")
		if m.within != nil {
			text = m.within.Text + "\n" + text
		}
	})
	return text
}

// PowerCycle switches the printer off and on: what it had received is gone, what
// was printed hangs where it hung.
func (p *Paper) PowerCycle() { p.ask((*machine).restart) }

// Outage takes the power away for a while, as a person at the switch does: what
// comes down the line meanwhile is lost.
func (p *Paper) Outage(d time.Duration) { p.ask(func(m *machine) { m.outage(d) }) }

// OutageAfter is an Outage as soon as so many bytes more have come down the line.
func (p *Paper) OutageAfter(bytes int, d time.Duration) {
	p.ask(func(m *machine) { m.fuse, m.fused = bytes, d })
}

// Mute keeps the printer from answering. It goes on printing.
func (p *Paper) Mute(on bool) { p.ask(func(m *machine) { m.muted = on }) }

// TearOff takes out what hangs in the slot of a printer that has no cutter.
func (p *Paper) TearOff() { p.ask(func(m *machine) { m.deliver(false) }) }

// Noise is how many bytes were no command of this printer.
func (p *Paper) Noise() int {
	n := 0
	p.ask(func(m *machine) { n = m.noise })
	return n
}

// Slow lets the printer take its bytes at a speed in bits a second; 0 ends that.
func (p *Paper) Slow(baud int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.baud = baud
}

func (p *Paper) pace() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.baud
}

// Unplug pulls the cable. The printer keeps what it has in its memory.
func (p *Paper) Unplug() {
	p.mu.Lock()
	plug := p.plug
	p.plug = nil
	p.mu.Unlock()
	if plug != nil {
		if p.link != "" {
			os.Remove(p.link)
		}
		plug.pull()
	}
}

// Replug puts the cable back; the line has another device behind the same link.
func (p *Paper) Replug() error {
	p.Unplug()
	end, err := p.line()
	if err != nil {
		return fmt.Errorf("plug paper: %w", err)
	}
	plug := &plug{port: end, in: make(chan []byte), pulled: make(chan struct{}), ended: make(chan struct{})}
	go plug.read(p.pace)
	p.mu.Lock()
	p.plug = plug
	p.mu.Unlock()
	select {
	case p.plugged <- plug:
	case <-p.done:
		plug.pull()
		return os.ErrClosed
	}
	return nil
}

// line makes a new line, and its end.
func (p *Paper) line() (port, error) {
	if p.link == "" {
		return newMemory(), nil
	}
	master, slave, err := openPTY()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(raw(slave), relink(slave.Name(), p.link)); err != nil {
		return nil, errors.Join(err, master.Close(), slave.Close())
	}
	return &terminal{master, slave}, nil
}

// A terminal is the end of a pseudo terminal.
type terminal struct{ master, slave *os.File }

func (t *terminal) Read(p []byte) (int, error) { return t.master.Read(p) }

func (t *terminal) Write(b []byte) {
	_ = t.master.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = t.master.Write(b)
}

// Release lets others open the line again after a host that took it for itself
// was killed: a real port forgets that with its last user, this one has us.
func (t *terminal) Release() {
	_ = control(t.slave, func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
}

func (t *terminal) Close() {
	_ = t.slave.Close()
	_ = t.master.Close()
}

// openPTY makes a pseudo terminal of which reads end when it is closed: both
// ends are opened without blocking.
func openPTY() (master, slave *os.File, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK
	master, err = os.OpenFile("/dev/ptmx", flags, 0)
	if err != nil {
		return nil, nil, err
	}
	n := 0
	err = control(master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), flags, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// relink puts the link in its place in one step.
func relink(device, link string) error {
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(device, next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// Close switches the printer off and takes its line away.
func (p *Paper) Close() error {
	p.mu.Lock()
	was := p.shut
	p.shut = true
	p.mu.Unlock()
	if was {
		return nil
	}
	p.Unplug()
	close(p.done)
	p.ended.Wait()
	if p.folder != "" {
		return os.RemoveAll(p.folder)
	}
	return nil
}

// ask lets the machine's owner do something, and waits until it is done.
func (p *Paper) ask(f func(*machine)) {
	finished := make(chan struct{})
	select {
	case p.asked <- func(m *machine) { f(m); close(finished) }:
		<-finished
	case <-p.done:
	}
}

// run owns the machine.
func (p *Paper) run(m *machine) {
	var now *plug
	var in chan []byte
	tick, lapse := time.NewTimer(0), time.NewTimer(0)
	defer tick.Stop()
	defer lapse.Stop()
	full := false
	var until time.Time // the paper is on its way
	for {
		select {
		case f := <-p.asked:
			f(m)
		case now = <-p.plugged:
			in = now.in
		case b, open := <-in:
			if !open {
				now, in = nil, nil
				break
			}
			now.port.Release()
			for _, c := range b {
				m.receive(c)
			}
		case <-tick.C:
		case <-lapse.C:
		case <-p.done:
			return
		}
		if wait := time.Until(until); wait > 0 {
			tick.Reset(wait)
		} else if wait := p.work(m); wait > 0 {
			until = time.Now().Add(wait)
			tick.Reset(wait)
		}
		if wait := m.lapsed(); wait > 0 {
			lapse.Reset(wait)
		}
		m.changed()
		if over := m.stopped() && len(m.buffer) > bufferLimit; over != full && m.model.XonXoff {
			full = over
			m.say([]byte{xon, xoff}[bit(full, 1)])
		}
		if now != nil {
			now.write(m.out)
		}
		m.out = m.out[:0]
	}
}

const xon, xoff = 0x11, 0x13

// work obeys what has been received, at the paper's speed: it returns how long
// the paper is on its way before it can go on.
func (p *Paper) work(m *machine) time.Duration {
	for {
		before := m.y
		if !m.step() {
			return 0
		}
		if moved := m.y - before; p.speed > 0 && moved > 0 {
			return time.Duration(moved) * time.Second / time.Duration(p.speed*dots.PerMM)
		}
	}
}

// read hands on what comes down the line, at a pace if there is one.
func (g *plug) read(pace func() int) {
	defer close(g.ended)
	defer close(g.in)
	const slice = 20 * time.Millisecond
	for {
		size := 4096
		baud := pace()
		if baud > 0 {
			size = max(1, baud/10*int(slice/time.Millisecond)/1000)
		}
		buf := make([]byte, size)
		n, err := g.port.Read(buf)
		if err != nil {
			return
		}
		select {
		case g.in <- buf[:n]:
		case <-g.pulled:
			return
		}
		if baud > 0 {
			timer := time.NewTimer(time.Duration(n) * 10 * time.Second / time.Duration(baud))
			select {
			case <-timer.C:
			case <-g.pulled:
				timer.Stop()
				return
			}
		}
	}
}

func (g *plug) write(b []byte) {
	if len(b) > 0 {
		g.port.Write(b)
	}
}

func (g *plug) pull() {
	g.once.Do(func() {
		close(g.pulled)
		g.port.Close()
	})
	<-g.ended
}

// raw keeps the terminal from echoing our answers before a host has set it up.
func raw(f *os.File) error {
	return control(f, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Iflag, t.Oflag, t.Lflag = unix.IGNPAR, 0, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	})
}

func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// The margins of the paper around what is printed, in dots: 576 dots stand in
// the middle of 80 mm.
const (
	marginSide   = 32
	marginTop    = 56
	marginBottom = 40
)
