package pkcs11_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
)

// files is how many descriptors this process holds.
func files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Signatures by the dozen, cards that leave in between and a daemon that dies leave
// no goroutine and no file behind.
func TestSignaturesLeaveNothingBehind(t *testing.T) {
	d := newDesk(t)
	good, err := vcard.New(d.pki, cardtest.Aygun(), vcard.Profile{})
	if err != nil {
		t.Fatal(err)
	}
	round := func(signatures int) {
		t.Helper()
		d.put(good)
		for range signatures {
			s := d.open()
			if _, err := sign(t.Context(), s, signer.Signature); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := d.open()
		d.insert(cardtest.Aygun(), vcard.Profile{RemovedAfter: 50})
		if _, err := sign(t.Context(), s, signer.Signature); !typed(err) {
			t.Errorf("another card that leaves: %v", err)
		}
		d.must(d.slot.KillDaemon)
		if _, err := d.opener.Open(t.Context()); !typed(err) {
			t.Errorf("no daemon: %v", err)
		}
		d.must(d.slot.Remove)
		d.must(d.slot.StartDaemon)
		d.await(false)
	}
	round(2)
	goroutines, descriptors := runtime.NumGoroutine(), files(t)
	signatures, rounds := 10, 2
	if long() {
		signatures, rounds = 50, 20
	}
	begun := time.Now()
	for range rounds {
		round(signatures)
	}
	for limit := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines && time.Now().Before(limit); {
		<-time.After(50 * time.Millisecond)
	}
	t.Logf("%d signatures in %v: goroutines %d -> %d, files %d -> %d", signatures*rounds, time.Since(begun).Round(time.Second),
		goroutines, runtime.NumGoroutine(), descriptors, files(t))
	if runtime.NumGoroutine() > goroutines || files(t) > descriptors {
		t.Errorf("left: goroutines %d -> %d, files %d -> %d", goroutines, runtime.NumGoroutine(), descriptors, files(t))
	}
}
