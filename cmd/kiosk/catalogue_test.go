package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// added is a service that no program carries: another look at the register of
// devices, with another question.
const added = `
[[service]]
id = "second_look"
agency = "mcht"
icon = "device"
level = "none"
lookup = "device.status"
wait = 5
name = { az = "Cihazın ikinci yoxlanılması", ru = "Вторая проверка", en = "Second look" }
register = { az = "reyestr", ru = "реестр", en = "register" }
[[service.fields]]
id = "imei"
type = "imei"
title = { az = "Kod", ru = "Код", en = "Code" }
label = { az = "Kod", ru = "Код", en = "Code" }
hint = { az = "15 rəqəm", ru = "15 цифр", en = "15 digits" }
[[service.data]]
id = "status"
label = { az = "Vəziyyət", ru = "Состояние", en = "Status" }
`

// publish has the operator publish what the program carries and a service more.
func (w *world) publish(version, more string) {
	w.Helper()
	own, err := os.ReadFile("../../device/catalogue/data/catalogue.toml")
	if err != nil {
		w.Fatal(err)
	}
	var doc strings.Builder
	for line := range strings.Lines(string(own)) {
		if strings.HasPrefix(line, "version = ") {
			line = "version = \"" + version + "\"\n"
		}
		doc.WriteString(line)
	}
	path := filepath.Join(w.rig.Dir, "next.toml")
	if err := os.WriteFile(path, []byte(doc.String()+more), 0o600); err != nil {
		w.Fatal(err)
	}
	w.runs("bus", "catalogue", "set", path, "--dir", filepath.Join(w.rig.Dir, "bus"))
}

// runs runs one of our programs and returns what it prints.
func (w *world) runs(name string, args ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, name), args...).CombinedOutput()
	if err != nil {
		w.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// A new service comes to a running kiosk as data, and its tile is there for the
// next person: no new program, no restart.
func TestANewServiceAppearsWithoutARestart(t *testing.T) {
	w := newWorld(t)
	w.rig.StopKiosk() // the first look at the bus comes soon after a start, the next in an hour
	w.publish("2030.1", added)
	w.do(w.rig.StartKiosk())
	w.sees("attract")
	pid := w.rig.KioskPID()
	w.do(w.actor.LogSays(w.ctx, "catalogue in use", "2030.1", 20*time.Second))
	w.touches("lang.az")
	w.sees("home")
	w.touches("service.second_look")
	w.sees("question")
	if w.rig.KioskPID() != pid || w.rig.KioskErr() != nil {
		t.Errorf("the kiosk ended meanwhile: %v", w.rig.KioskErr())
	}
	if said := w.runs("kioskctl", "status", "--config", w.rig.Config()); !strings.Contains(said, "2030.1, from the bus") {
		t.Errorf("status says:\n%s", said)
	}
}
