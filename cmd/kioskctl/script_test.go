package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"kioskctl": main}) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bus": startBus, "code": newCode,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second
			return nil
		},
	})
}

// startBus starts a bus in the folder named, until the script ends, and sets
// BUS to its address.
func startBus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bus folder")
	}
	dir := ts.MkAbs(args[0])
	reg, err := registry.Open(dir)
	ts.Check(err)
	book, err := ledger.OpenFile(filepath.Join(dir, "ledger"))
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
	ts.Defer(func() {
		cancel()
		running.Wait()
		ts.Check(book.Close())
	})
	ts.Setenv("BUS", "https://"+kiosks.Addr().String())
}

// newCode sets CODE to a station's one-time code.
func newCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: code folder station")
	}
	reg, err := registry.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	code, err := reg.Add(args[1], time.Now())
	ts.Check(err)
	ts.Setenv("CODE", code)
}
