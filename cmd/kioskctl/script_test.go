package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kosk/drivers/all"
	"kosk/drivers/card/vcard"
	"kosk/drivers/keystore/tpm/swtpm"
)

func TestMain(m *testing.M) {
	if all.Process() { // a driver starts this program again
		return
	}
	testscript.Main(m, map[string]func(){"kioskctl": main})
}

func TestScripts(t *testing.T) {
	_, noTPM := exec.LookPath("swtpm")
	machine := &swtpm.Machine{}
	if noTPM == nil {
		machine = swtpm.Start(t)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bus": startBus, "stopbus": stopBus, "fault": setFault, "code": newCode, "forget": forget,
			"machine": makeMachine, "card": moveCard, "pcscd": killDaemon, "paper": setPaper, "kiosk": runKiosk,
			"report": checkReport, "await": await, "line": runLine, "requests": putRequests, "sealed": putSealed, "busprogram": buildBus,
			"pcr": func(*testscript.TestScript, bool, []string) { machine.Extend(t, 7) }, // as another authority would
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "pcscd":
				return vcard.Installed(t.Context()) == nil, nil
			case "swtpm":
				return noTPM == nil, nil
			case "root": // may give files away
				return os.Getuid() == 0, nil
			case "mounts": // root in most containers may not
				return exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", os.TempDir()).Run() == nil, nil
			}
			return false, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Values[worldKey{}] = &world{buses: map[string]func(){}}
			lists, err := filepath.Abs("../../drivers/card/icao/testdata/masterlist")
			if err != nil {
				return err
			}
			env.Setenv("LISTS", lists)
			env.Setenv("TPM", machine.Path)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second
			return nil
		},
	})
}
