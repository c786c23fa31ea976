package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kosk/drivers/card/vcard"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"kioskctl": main}) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bus": startBus, "stopbus": stopBus, "fault": setFault, "code": newCode, "forget": forget,
			"machine": makeMachine, "card": moveCard, "pcscd": killDaemon, "paper": setPaper, "kiosk": runKiosk,
			"report": checkReport, "await": await, "line": runLine, "requests": putRequests,
		},
		Condition: func(name string) (bool, error) { return name == "pcscd" && vcard.Installed() == nil, nil },
		Setup: func(env *testscript.Env) error {
			env.Values[worldKey{}] = &world{buses: map[string]func(){}}
			lists, err := filepath.Abs("../../drivers/card/icao/testdata/masterlist")
			if err != nil {
				return err
			}
			env.Setenv("LISTS", lists)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second
			return nil
		},
	})
}
