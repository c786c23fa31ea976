package main

import (
	"encoding/binary"
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
	for _, word := range typed(visit.Person()) {
		if !seen[word] {
			t.Errorf("%q was typed or shown, and never found: what looks for it doesn't see", word)
		}
	}
	left, begun := known(), time.Now()
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

// typed is what a person types of the card's machine readable zone, and how that is shown.
func typed(p agency.Person) []string {
	words := []string{p.DocumentNumber, p.DocumentNumber[:2] + " " + p.DocumentNumber[2:]}
	for _, day := range []time.Time{p.BirthDate, p.Expires} {
		words = append(words, day.Format("02012006"), day.Format("02.01.2006"))
	}
	return words
}

// mentions counts what a process knows of a person, as the chip writes it, the
// register, the screen, and as it was typed.
func mentions(t *testing.T, pid int, p agency.Person) map[string]int {
	t.Helper()
	words := map[string][]byte{}
	for _, w := range append(typed(p), p.FIN, p.Surname, p.GivenNames, titled(p.Surname), titled(p.GivenNames)) {
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
