package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/cmd/kiosk/line"
	"kosk/device/catalogue"
	"kosk/device/config"
	"kosk/device/identity"
	"kosk/device/provision"
	"kosk/device/request"
	"kosk/drivers/card/vcard"
	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
	"kosk/offline"
	"kosk/offline/queue"
)

// A world is what stands around the commands of one script: real daemons, real
// lines, a real bus.
type world struct {
	buses map[string]func() // by folder: how each is stopped
	pki   *vcard.PKI
	slot  *vcard.Slot
	paper *paper.Paper
	queue *queue.Queue // held as a kiosk that runs would
	line  *line.Line   // of a kiosk that runs
	ends  func()       // ends it
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// want ends the script when a command isn't used as it should be.
func want(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) != n {
		ts.Fatalf("usage: %s", usage)
	}
}

// startBus starts a bus in the folder named, until the script ends, and sets
// BUS to its address.
func startBus(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "bus folder")
	dir := ts.MkAbs(args[0])
	reg, err := registry.Open(dir)
	ts.Check(err)
	book, err := jetstream.Open(context.Background(), jetstream.Config{Dir: filepath.Join(dir, "ledger"), Log: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{
		Registry: reg, Ledger: book, Log: slog.New(slog.DiscardHandler), Dialect: server.DialectNew,
		Provider: server.Provider{Instance: "AZ-TEST", Class: "GOV", Member: "10001", Subsystem: "kiosk"},
	})
	ts.Check(err)
	kiosks, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	control, err := server.ListenControl(filepath.Join(dir, "bus.sock"))
	ts.Check(err)
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx, kiosks, control); err != nil {
			ts.Logf("bus: %v", err)
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		running.Wait()
		ts.Check(book.Close())
	})
	worldOf(ts).buses[args[0]] = stop
	ts.Defer(stop)
	ts.Setenv("BUS", "https://"+kiosks.Addr().String())
}

func stopBus(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "stopbus folder")
	worldOf(ts).buses[args[0]]()
}

// setFault sets a fault of a bus, or clears all.
func setFault(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "fault folder name|clear")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	bus := server.Control{Socket: filepath.Join(ts.MkAbs(args[0]), "bus.sock")}
	if args[1] == "clear" {
		ts.Check(bus.ClearFaults(ctx))
		return
	}
	_, err := bus.SetFault(ctx, server.Fault{Name: args[1]})
	ts.Check(err)
}

// newCode sets CODE to a station's one-time code.
func newCode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "code folder station")
	reg, err := registry.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	code, err := reg.Add(args[1], time.Now())
	ts.Check(err)
	ts.Setenv("CODE", code)
}

// forget strikes a station off the bus's register.
func forget(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "forget folder station")
	reg, err := registry.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(reg.Remove(args[1], time.Now()))
}

// makeMachine makes everything of a kiosk but its station: a reader in the real
// daemon, a printer on a real line, a trust bundle and kiosk.toml. SHORT is a
// folder whose name leaves room for a socket's.
func makeMachine(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "machine")
	w := worldOf(ts)
	dir, err := os.MkdirTemp("", "kiosk") // short enough for sockets in it
	ts.Check(err)
	ts.Defer(func() { ts.Check(os.RemoveAll(dir)) })
	ts.Setenv("SHORT", dir)
	ctx, cancel := context.WithCancel(context.Background())
	ts.Defer(cancel)
	w.slot, err = vcard.OpenSlot(ctx, dir, vcard.SlotOptions{})
	ts.Check(err)
	ts.Defer(func() { ts.Check(w.slot.Close()) })
	ts.Setenv("PCSCLITE_CSOCK_NAME", w.slot.Socket())
	w.paper, err = paper.Open(paper.Options{Link: filepath.Join(dir, "printer")})
	ts.Check(err)
	ts.Defer(func() { ts.Check(w.paper.Close()) })
	w.pki, err = vcard.NewPKI()
	ts.Check(err)
	state := ts.MkAbs("kiosk")
	ts.Check(os.MkdirAll(state, 0o700))
	ts.Check(identity.WriteBundle(filepath.Join(state, "trust.json"), identity.Bundle{
		Version: 3, Issued: time.Now(), Development: true, Anchors: w.pki.Bundle(),
	}))
	ts.Check(os.WriteFile(ts.MkAbs("kiosk.toml"), fmt.Appendf(nil,
		"[printer]\npath = %q\n\n[sound]\nmake = \"file\"\n\n[queue]\nmax_mb = 8\n\n[state]\ndir = %q\n", w.paper.Path(), state), 0o600))
}

// moveCard puts a citizen's card in, a broken one, or takes it out.
func moveCard(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "card in|mute|out")
	w := worldOf(ts)
	if args[0] == "out" {
		ts.Check(w.slot.Remove())
		return
	}
	p := agency.Population()[0]
	c, err := vcard.New(w.pki, vcard.Person{
		FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, BirthDate: p.BirthDate, Sex: p.Sex[0],
		DocumentNumber: p.DocumentNumber, Expires: p.Expires, CAN: p.CAN,
	}, vcard.Profile{Mute: args[0] == "mute"})
	ts.Check(err)
	ts.Check(w.slot.Insert(c))
}

// await runs a command until it prints what is wanted: the daemon looks at the
// slot every 0.4 s.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await text command...")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if err := ts.Exec(args[1], args[2:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("%q was not printed", args[0])
}

func killDaemon(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "pcscd (kills it)")
	ts.Check(worldOf(ts).slot.KillDaemon())
}

func setPaper(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "paper full|low|out|open|shut|mute|unplug|slips")
	p := worldOf(ts).paper
	switch args[0] {
	case "full":
		p.SetPaper(printer.PaperFull)
	case "low":
		p.SetPaper(printer.PaperLow)
	case "out":
		p.SetPaper(printer.PaperOut)
	case "open", "shut":
		p.Cover(args[0] == "open")
	case "mute":
		p.Mute(true)
	case "unplug":
		p.Unplug()
	case "slips": // as text, into the file slips
		var all strings.Builder
		for _, s := range p.Slips() {
			all.WriteString(s.Text + "\n--\n")
		}
		ts.Check(os.WriteFile(ts.MkAbs("slips"), []byte(all.String()), 0o600))
	default:
		ts.Fatalf("no paper is %q", args[0])
	}
}

// runKiosk takes the queue as a kiosk that runs does, or lets it go.
func runKiosk(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "kiosk runs|ends")
	w := worldOf(ts)
	if args[0] == "ends" {
		ts.Check(w.queue.Close())
		return
	}
	var err error
	w.queue, err = queue.Open(ts.MkAbs("kiosk/queue.db"), queue.Options{MaxSize: 8 << 20})
	ts.Check(err)
}

// runLine runs everything of a kiosk but its window and its devices, by kiosk.toml,
// or ends it.
func runLine(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "line runs|ends")
	w := worldOf(ts)
	if args[0] == "ends" {
		w.ends()
		return
	}
	cfg, err := config.Load(ts.MkAbs("kiosk.toml"))
	ts.Check(err)
	cfg.State.Dir = ts.MkAbs(cfg.State.Dir) // as the commands see it, which run there
	pki, err := vcard.NewPKI()
	ts.Check(err)
	anchors, err := identity.NewAnchors(identity.Bundle{Version: 3, Issued: time.Now(), Development: true, Anchors: pki.Bundle()})
	ts.Check(err)
	own, err := catalogue.Load()
	ts.Check(err)
	w.line, err = line.Open(context.Background(), line.Options{
		Config: cfg, Anchors: anchors, Catalogue: own, Firmware: "test", Log: slog.New(slog.DiscardHandler),
	})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for name, run := range w.line.Parts(nobody{}, nil) {
		running.Go(func() {
			if err := run(ctx); err != nil {
				ts.Logf("%s: %v", name, err)
			}
		})
	}
	w.ends = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		ts.Check(w.line.Close())
	})
	ts.Defer(w.ends)
}

// nobody is at the kiosk.
type nobody struct{}

func (nobody) Vacant() bool                  { return true }
func (nobody) Offer(*catalogue.Catalogue)    {}
func (nobody) Offered() *catalogue.Catalogue { return &catalogue.Catalogue{Version: "test"} }

// putRequests puts sealed requests of one stream, each of which builds on the one before.
func putRequests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: requests id...")
	}
	for _, id := range args {
		ts.Check(worldOf(ts).line.Queue.Put(context.Background(), offline.Item{
			ID: id, Stream: "citizen", Class: offline.Today, Refused: offline.Block, Body: []byte("sealed " + id),
		}))
	}
}

// putSealed puts real requests of one person, each a stream of its own, sealed by the kiosk's own key
// for its bus.
func putSealed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: sealed id...")
	}
	station, err := provision.Load(ts.MkAbs("kiosk"))
	ts.Check(err)
	for i, id := range args {
		p := agency.Population()[0]
		body, err := request.Seal(request.Draft{
			ID: request.ID(id), Station: station.Name, Service: agency.WorkCertificate, CatalogueVersion: "1",
			CreatedAt: time.Now(), Clock: request.ClockTrusted, MonoSeq: uint64(i + 1), BootID: "boot", Lang: "az",
			Answers: request.Answers{"purpose": "bank"},
			Holder:  request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber},
		}, station.Key, station.Recipient)
		ts.Check(err)
		ts.Check(worldOf(ts).line.Queue.Put(context.Background(), offline.Item{ID: id, Stream: id, Class: offline.Today, Body: body}))
	}
}

// buildBus builds the bus's own program, for its commands: busprogram FILE.
func buildBus(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "busprogram file")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", ts.MkAbs(args[0]), "kosk/cmd/bus").CombinedOutput()
	if err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
}

// checkReport reads the JSON that the last command printed and checks what holds
// of every report; its arguments are component=state, for all that isn't ok.
func checkReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: report [component=state]...")
	}
	text := ts.ReadFile("stdout")
	var rep report
	ts.Check(json.Unmarshal([]byte(text), &rep))
	var names, notOK []string
	for _, r := range rep.Checks {
		names = append(names, r.Component)
		if r.State != fine {
			notOK = append(notOK, r.Component+"="+string(r.State))
		}
		if r.Seen == "" || (r.Do == "") != (r.State == fine) {
			ts.Fatalf("%s is %s: seen %q, do %q", r.Component, r.State, r.Seen, r.Do)
		}
	}
	if !slices.Equal(names, components) {
		ts.Fatalf("components %q", names)
	}
	if !slices.Equal(notOK, args) {
		ts.Fatalf("got %q, want %q:\n%s", notOK, args, text)
	}
	if failures := strings.Count(strings.Join(notOK, " "), "="+string(failure)); rep.Failed != failures || rep.OK != (failures == 0) {
		ts.Fatalf("failed %d, ok %v", rep.Failed, rep.OK)
	}
	if rep.TookMS > 60_000 {
		ts.Fatalf("the check took %d ms", rep.TookMS)
	}
	for _, p := range agency.Population() {
		for _, secret := range []string{p.FIN, p.Surname, p.DocumentNumber, p.CAN} {
			if strings.Contains(text, secret) {
				ts.Fatalf("a citizen's data in the report")
			}
		}
	}
}
