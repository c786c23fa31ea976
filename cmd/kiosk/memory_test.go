package main

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/kiosksim/visit"
	"kosk/drivers/signer/signertest"
)

// forgets is how long after a visit the kiosk may still know of the person.
const forgets = fyneKeeps + 2*fyneSlack + 5*time.Second

// While somebody is there, the kiosk's memory has the name, what the card said, and what
// was typed in place of its access number. Soon after, it has none of it: as it was
// read, typed, shown, sent, answered, or in the letters that were drawn. Two visits, by
// touch, and by voice and the card's machine readable zone.
func TestTheKioskForgetsThePerson(t *testing.T) {
	w := newWorld(t)
	known := func() map[string]int { return mentions(t, w.rig.KioskPID(), visit.Person()) }
	if found := known(); len(found) > 0 {
		t.Fatalf("before anybody came: %v", found)
	}
	w.do(w.actor.ToName(w.ctx, "az", false))
	if found := known(); len(found) < 4 {
		t.Errorf("while she is there only %v is found: what looks for it doesn't see", found)
	}
	w.do(w.actor.ToReview(w.ctx))
	w.do(w.actor.ToResult(w.ctx))
	w.do(w.actor.TakesSlip(w.ctx))
	w.do(w.actor.Leaves(w.ctx))
	zone := make(chan error, 1)
	go func() {
		_, err := w.actor.CertificateByZoneWithKeys(w.ctx, "ru")
		zone <- err
	}()
	seen := map[string]bool{}
	for typing := true; typing; {
		select {
		case err := <-zone:
			w.do(err)
			typing = false
		case <-time.After(time.Second):
			for word := range known() {
				seen[word] = true
			}
		}
	}
	left, begun := known(), time.Now()
	for _, word := range shown(visit.Person()) { // what is typed is there for too short a time to be sure to meet it
		if !seen[word] && left[word] == 0 {
			t.Errorf("%q was shown, and never found: what looks for it doesn't see", word)
		}
	}
	t.Logf("at once: %v", left)
	for len(left) > 0 && time.Since(begun) < forgets+time.Minute { // a busy machine draws and collects late
		<-time.After(3 * time.Second)
		left = known()
	}
	t.Logf("%v later: %v", time.Since(begun).Round(time.Second), left)
	if len(left) > 0 {
		t.Errorf("after %v it still knows %v: it has %v", time.Since(begun).Round(time.Second), left, forgets)
	}
}

// shown is how what a person types of the card's machine readable zone stands on the
// screen.
func shown(p agency.Person) []string {
	const day = "02.01.2006"
	return []string{p.DocumentNumber[:2] + " " + p.DocumentNumber[2:], p.BirthDate.Format(day), p.Expires.Format(day)}
}

// typed is how it is typed.
func typed(p agency.Person) []string {
	const day = "02012006"
	return []string{p.DocumentNumber, p.BirthDate.Format(day), p.Expires.Format(day)}
}

// mentions counts what a process knows of a person, as the chip writes it, the
// register, the screen, and as it was typed.
func mentions(t *testing.T, pid int, p agency.Person) map[string]int {
	t.Helper()
	words := map[string][]byte{}
	for _, w := range slices.Concat(typed(p), shown(p), []string{p.FIN, p.Surname, p.GivenNames, titled(p.Surname), titled(p.GivenNames)}) {
		words[w], words[w+" drawn"] = []byte(w), runes(w)
	}
	where, err := signertest.Copies(pid, words)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for word, all := range where {
		found[word] = len(all)
	}
	return found
}

// titled writes a name that is in capitals as it is shown.
func titled(name string) string {
	r := []rune(name)
	return string(r[:1]) + strings.ToLower(string(r[1:]))
}

// runes is a text as Go has it while letters are drawn: four bytes for each.
func runes(text string) (b []byte) {
	for _, r := range text {
		b = binary.NativeEndian.AppendUint32(b, uint32(r))
	}
	return b
}
