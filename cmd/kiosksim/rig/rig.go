// Package rig makes a kiosk of a laptop: the reference bus and a line to it, a
// virtual card in the real PC/SC daemon's virtual reader, a virtual printer at
// the end of a real pseudo-terminal, and the kiosk program itself, enrolled and
// configured in a folder of its own.
//
// Everything listens on loopback only and ends with Close, each child by its own
// pid. Start at Open.
package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/device/config"
	"kosk/device/identity"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
	"kosk/drivers/printer/paper"
	"kosk/offline/queue"
)

// Options say what the rig is made of.
type Options struct {
	Dir     string // for everything that is kept: short enough for sockets in it
	Bin     string // where the programs kiosk, kioskctl and bus are
	Out     string // where slips, logs and the trace go
	Display string // X display of the kiosk's window
	Sound   string // "auto" or "file"
	Printer string // model of the virtual printer, "" for the TM-T20II: see paper.Models
	// Collector is where the bus sends traces, OTLP over HTTP: "http://host:port"; or "".
	Collector string
	// Windowed opens a window on a desktop in place of the whole screen.
	Windowed bool
	Log      *slog.Logger
}

// A Rig is a kiosk and its world.
type Rig struct {
	Options
	PKI   *vcard.PKI
	Slot  *vcard.Slot
	Paper *paper.Paper
	Line  *Line

	ctx   context.Context // of all children
	bus   *child
	kiosk *child

	mu    sync.Mutex
	slips int // guarded by mu; written so far
}

// Station is the name under which the rig's kiosk is enrolled.
const Station = "KOSK-0001"

// Open starts everything but the kiosk.
func Open(ctx context.Context, o Options) (r *Rig, err error) {
	r = &Rig{Options: o, ctx: ctx}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	for _, d := range []string{o.Dir, o.Out, r.State()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return r, err
		}
	}
	if r.PKI, err = vcard.NewPKI(icao.KeyKinds()...); err != nil {
		return r, err
	}
	if err := r.trust(); err != nil {
		return r, err
	}
	if r.Slot, err = vcard.OpenSlot(ctx, filepath.Join(o.Dir, "pcsc"), vcard.SlotOptions{Log: o.Log}); err != nil {
		return r, err
	}
	model, ok := paper.Models()[r.profile()]
	if !ok {
		return r, fmt.Errorf("no virtual printer %q", r.profile())
	}
	if r.Paper, err = paper.Open(paper.Options{Model: model(), Link: filepath.Join(o.Dir, "printer"), MMPerSecond: 150, OnSlip: r.keepSlip}); err != nil {
		return r, err
	}
	if err := r.startBus(); err != nil {
		return r, err
	}
	if err := r.enrol(); err != nil {
		return r, err
	}
	return r, r.Configure("")
}

// trust writes whom the kiosk believes, and the bus with it: the virtual state's
// cards, and the simulated provider's phones.
func (r *Rig) trust() error {
	approvals, err := agency.OpenApprovals(r.busDir())
	if err != nil {
		return err
	}
	person, provider := approvals.Trust()
	return identity.WriteBundle(r.bundle(), identity.Bundle{
		Version: 1, Issued: time.Now(), Development: true, Anchors: r.PKI.Bundle(),
		Persons: [][]byte{r.PKI.People(), person}, Providers: [][]byte{provider},
	})
}

func (r *Rig) bundle() string { return filepath.Join(r.State(), "trust.json") }

// Phone approves, or refuses, what the phone of a person of the population asks,
// and returns the code that the phone shows.
func (r *Rig) Phone(fin string, approve bool) (code string, err error) {
	do := "refuse"
	if approve {
		do = "approve"
	}
	out, err := output(r.ctx, r.program("bus"), "phone", do, "--fin", fin, "--dir", r.busDir())
	return strings.TrimSpace(out), err
}

// State is the kiosk's own folder.
func (r *Rig) State() string { return filepath.Join(r.Dir, "kiosk") }

// Trace is the file in which the kiosk tells where nodes lie.
func (r *Rig) Trace() string { return filepath.Join(r.Out, "trace.jsonl") }

// Lamps is the file in which the kiosk tells what its lamps show.
func (r *Rig) Lamps() string { return filepath.Join(r.Out, "lamps.jsonl") }

// Config is the kiosk's configuration file.
func (r *Rig) Config() string { return filepath.Join(r.Dir, "kiosk.toml") }

func (r *Rig) program(name string) string { return filepath.Join(r.Bin, name) }

// busDir is the bus's folder.
func (r *Rig) busDir() string { return filepath.Join(r.Dir, "bus") }

func (r *Rig) startBus() error {
	portFile := filepath.Join(r.Dir, "bus.port")
	if err := os.RemoveAll(portFile); err != nil {
		return err
	}
	args := []string{
		"serve", "--dir", r.busDir(), "--trust", r.bundle(), "--listen", "127.0.0.1:0", "--port-file", portFile,
		"--log", filepath.Join(r.Out, "bus.log"),
	}
	if r.Collector != "" {
		args = append(args, "--otlp", r.Collector)
	}
	var err error
	r.bus, err = start(r.ctx, "bus", filepath.Join(r.Out, "bus.err"), nil, r.program("bus"), args...)
	if err != nil {
		return err
	}
	port, err := r.await(r.bus, portFile)
	if err != nil {
		return err
	}
	r.Line, err = openLine("127.0.0.1:" + port)
	return err
}

// await reads a file as soon as the child has written it.
func (r *Rig) await(c *child, path string) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			return strings.TrimSpace(string(b)), nil
		}
		if err := c.ended(); err != nil {
			return "", err
		}
		select {
		case <-tick.C:
		case <-limit:
			return "", fmt.Errorf("%s is not ready after 30 s", c.name)
		case <-r.ctx.Done():
			return "", r.ctx.Err()
		}
	}
}

// enrol makes the kiosk a station of the bus, as a technician would.
func (r *Rig) enrol() error {
	code, err := output(r.ctx, r.program("bus"), "station", "add", Station, "--dir", r.busDir())
	if err != nil {
		return err
	}
	_, err = output(r.ctx, r.program("kioskctl"), "enrol", "--force",
		"--code", strings.TrimSpace(code), "--bus", r.Line.URL(), "--dir", r.State())
	return err
}

// Configure writes the kiosk's configuration; extra is added at its end.
func (r *Rig) Configure(extra string) error {
	sound := r.Sound
	if sound == "" {
		sound = "auto"
	}
	panel := "full_screen = true"
	if r.Windowed { // small enough for a laptop, in the panel's proportions
		panel = "full_screen = false\nwidth = 540\nheight = 960"
	}
	doc := fmt.Sprintf(`[panel]
%s

[printer]
path = %q
profile = %q

[lamps]
make = "desk"
file = %q

[sound]
make = %q
file = %q
log = %q

[state]
dir = %q

[log]
file = %q
trace = %q
%s
`, panel, r.Paper.Path(), r.profile(), r.Lamps(), sound, filepath.Join(r.Out, "speech.wav"), filepath.Join(r.Out, "speech.jsonl"),
		r.State(), filepath.Join(r.Out, "kiosk.log"), r.Trace(), extra)
	return os.WriteFile(r.Config(), []byte(doc), 0o600)
}

// profile is the printer's name, in the kiosk's configuration and among the
// virtual models.
func (r *Rig) profile() string {
	if r.Printer == "" {
		return config.Default().Printer.Profile
	}
	return r.Printer
}

// StartKiosk starts the kiosk's window.
func (r *Rig) StartKiosk() error {
	if r.kiosk != nil && r.kiosk.ended() == nil {
		return nil
	}
	var err error
	r.kiosk, err = start(r.ctx, "kiosk", filepath.Join(r.Out, "kiosk.err"), []string{
		"DISPLAY=" + r.Display, "PCSCLITE_CSOCK_NAME=" + r.Slot.Socket(), "LIBGL_ALWAYS_SOFTWARE=1",
		"LC_ALL=", "LANG=C.UTF-8", "LANGUAGE=en", // Fyne reads it before the kiosk can set it, and warns of others
	}, r.program("kiosk"), "--config", r.Config())
	return err
}

// KillKiosk ends the kiosk as a power cut would.
func (r *Rig) KillKiosk() { r.kiosk.kill() }

// StopKiosk ends the kiosk as its supervisor would.
func (r *Rig) StopKiosk() { r.kiosk.stop() }

// KioskDone is closed when the kiosk has ended.
func (r *Rig) KioskDone() <-chan struct{} { return r.kiosk.done }

// KioskErr says why the kiosk has ended, nil while it runs.
func (r *Rig) KioskErr() error { return r.kiosk.ended() }

// KioskPID is the kiosk's process.
func (r *Rig) KioskPID() int { return r.kiosk.cmd.Process.Pid }

// Card makes a card of the rig's state for a person of the bus's population.
func (r *Rig) Card(p agency.Person, profile vcard.Profile) (*vcard.Card, error) {
	return vcard.New(r.PKI, vcard.Person{
		FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, BirthDate: p.BirthDate, Sex: p.Sex[0],
		DocumentNumber: p.DocumentNumber, Expires: p.Expires, CAN: p.CAN,
	}, profile)
}

// BusStatus is what the bus counts.
type BusStatus struct {
	Accepted   int `json:"accepted"`
	Duplicates int `json:"duplicates"`
	Effects    int `json:"effects"`
}

// BusStatus asks the bus.
func (r *Rig) BusStatus() (s BusStatus, err error) {
	out, err := output(r.ctx, r.program("bus"), "status", "--json", "--dir", r.busDir())
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// QueueStats is what the kiosk's queue holds. The kiosk must not be running.
func (r *Rig) QueueStats() (left, parked int, err error) {
	q, err := queue.OpenReader(r.ctx, filepath.Join(r.State(), "queue.db"), queue.Options{LockWait: patience}, nil)
	if err != nil {
		return 0, 0, err
	}
	defer q.Close()
	s, err := q.Stats()
	return s.Queued, s.Parked, err
}

// BusFault sets a fault of the bus, or clears all: see `bus fault --help`.
func (r *Rig) BusFault(args ...string) error {
	_, err := output(r.ctx, r.program("bus"), append([]string{"fault", "--dir", r.busDir()}, args...)...)
	return err
}

// keepSlip writes what came out of the printer, as picture, text and bytes.
func (r *Rig) keepSlip(s paper.Slip) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slips++
	base := filepath.Join(r.Out, fmt.Sprintf("slip-%d", r.slips))
	err := os.WriteFile(base+".txt", []byte(s.Text), 0o644)
	if err == nil {
		err = os.WriteFile(base+".escpos", s.Raw, 0o644)
	}
	if err == nil {
		err = writePNG(base+".png", s)
	}
	if err != nil {
		r.Log.Error("slip not kept", "err", err)
	}
}

func writePNG(path string, s paper.Slip) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, s.PNG); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}

// Close ends everything.
func (r *Rig) Close() {
	r.kiosk.stop()
	if r.Line != nil {
		r.Line.Cut()
	}
	r.bus.stop()
	if r.Paper != nil {
		_ = r.Paper.Close()
	}
	if r.Slot != nil {
		_ = r.Slot.Close()
	}
}
