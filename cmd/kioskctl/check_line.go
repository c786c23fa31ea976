package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"kosk/device/health"
	"kosk/device/provision"
	"kosk/drivers/all"
	"kosk/drivers/keystore"
	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/control"
)

// Bounds of what the line needs.
const (
	renewal      = 30 * 24 * time.Hour // a certificate's last month
	skewWarned   = time.Minute
	skewFailed   = 10 * time.Minute // slips would bear a wrong time
	connectTime  = 10 * time.Second
	exchangeTime = 10 * time.Second
)

const (
	enrolFirst = "enrol this machine: 'bus station add' gives a code for 'kioskctl enrol'"
	enrolAnew  = "enrol it anew: 'bus station add' gives a code for 'kioskctl enrol --force'"
)

// line tests what the bus knows this kiosk by, the bus, and the clock against it.
func (c *checker) line(ctx context.Context, tell func(row)) {
	s, done, err := c.station()
	if err != nil {
		tell(stationTrouble(err))
		tell(failed("can't be asked without a station", "see the row station"))
		tell(unknownClock())
		return
	}
	defer done()
	tell(judgeCertificate(s, time.Now()))
	skew, r := askBus(ctx, s)
	tell(r)
	if skew == nil {
		tell(unknownClock())
		return
	}
	tell(c.kioskClock(ctx, judgeSkew(*skew)))
}

// station is the station with a key that signs, until done is called.
func (c *checker) station() (s *provision.Station, done func(), err error) {
	if s, err = provision.Load(c.cfg.State.Dir); err != nil {
		return nil, nil, err
	}
	if s.Guard() == provision.InFile {
		return s, func() {}, nil
	}
	keys, err := all.Keystore(c.cfg.State.Keys, c.cfg.State.KeyStore())
	if err != nil {
		return nil, nil, err
	}
	if s, err = s.Unlock(keys); err != nil {
		return nil, nil, errors.Join(err, keys.Close())
	}
	return s, func() { _ = keys.Close() }, nil
}

// kioskClock adds what the running kiosk's own clock is worth.
func (c *checker) kioskClock(ctx context.Context, r row) row {
	answer, err := control.Ask(ctx, c.cfg.State.Socket(), control.Request{Verb: control.Status})
	var s health.Status
	if err != nil || json.Unmarshal(answer.Status, &s) != nil {
		return r // it doesn't run, or says so in the row of the bus
	}
	r.Seen += "; the running kiosk's is " + s.Clock.State
	if s.Clock.State != bus.ClockTrusted.String() && r.State == fine {
		return warned(r.Seen, "the kiosk has not asked the bus yet: check again in a minute, then see its log").with("ahead_ms", r.Figures["ahead_ms"])
	}
	return r
}

func stationTrouble(err error) row {
	switch {
	case errors.Is(err, provision.ErrNotEnrolled):
		return failed("this machine is not enrolled", enrolFirst)
	case errors.Is(err, keystore.ErrState):
		return failed("the machine's firmware is in another state than when its key was made, which so can't be used", "set the machine's firmware and its secure boot back as they were; if that was meant, "+enrolAnew)
	case errors.Is(err, keystore.ErrForeign):
		return failed("the station's key is another machine's, or its tpm was cleared", "if that was meant, "+enrolAnew+"; if not, tell the operator of the bus")
	case errors.Is(err, provision.ErrNoKeeper):
		return failed("a tpm guards the station's key, and the configuration names none", `set state.keys = "tpm"`)
	case errors.Is(err, keystore.ErrNoStore):
		return failed("a tpm guards the station's key, and there is none", "see the row keys")
	case errors.Is(err, provision.ErrExposed):
		return failed("others than the kiosk may read the station's key", "its key may have been copied: enrol anew with --force, and tell the operator of the bus")
	case errors.Is(err, provision.ErrDamaged):
		return failed(err.Error(), enrolAnew)
	}
	if errors.Is(err, fs.ErrPermission) {
		return failed(err.Error(), "run the check as the kiosk's own user or as root")
	}
	return failed(err.Error(), "see the row keys; when that is ok and this stays, tell the operator of the bus")
}

// judgeCertificate looks at the time for which the station's certificate holds.
func judgeCertificate(s *provision.Station, now time.Time) row {
	const own = "the kiosk renews it by itself: 'kioskctl status' says why it did not; if it can't, "
	const again = "get a new code with 'bus station add' and run 'kioskctl enrol --force' with it"
	leaf, err := x509.ParseCertificate(s.Certificate.Certificate[0])
	if err != nil {
		return failed("the station's certificate can't be read", again)
	}
	until, left := leaf.NotAfter.UTC().Format(time.DateOnly), leaf.NotAfter.Sub(now)
	switch {
	case now.Before(leaf.NotBefore):
		return failed(fmt.Sprintf("%s's certificate begins on %s, later than this machine's clock", s.Name, leaf.NotBefore.UTC().Format(time.DateOnly)), "set the clock")
	case left <= 0:
		return failed(fmt.Sprintf("%s's certificate ended on %s", s.Name, until), "see that the clock is right; "+again)
	case left < renewal:
		return warned(fmt.Sprintf("%s's certificate ends on %s", s.Name, until), own+again).with("days_left", float64(left/(24*time.Hour)))
	}
	due := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
	return good(fmt.Sprintf("%s, certificate until %s, which the kiosk renews after %s, on a day of its own", s.Name, until, due.UTC().Format(time.DateOnly))).with("days_left", float64(left/(24*time.Hour)))
}

// askBus asks the bus for its time and keys as the kiosk would. skew is how far
// this machine's clock is ahead; nil: not known.
func askBus(ctx context.Context, s *provision.Station) (skew *time.Duration, r row) {
	client, err := bus.Open(bus.Options{
		URL: s.URL, Instance: s.Provider.Instance, Client: s.Client(), Service: s.Provider.Service(), TLS: s.TLSConfig(),
		Deadlines: bus.Deadlines{Connect: connectTime, Answer: exchangeTime, LookUp: exchangeTime},
	})
	if err != nil {
		return nil, failed(err.Error(), enrolAnew)
	}
	defer client.Close()
	if _, err := client.Time(ctx); err != nil { // makes the connection, too
		return nil, busTrouble(s.URL, err)
	}
	begun := time.Now()
	theirs, err := client.Time(ctx)
	if err != nil {
		return nil, busTrouble(s.URL, err)
	}
	took := time.Since(begun)
	ahead := begun.Add(took / 2).Sub(theirs)
	keys, err := client.Keys(ctx)
	if err != nil {
		return &ahead, busTrouble(s.URL, err)
	}
	ms := float64(took.Microseconds()) / 1000
	return &ahead, judgeKeys(s, keys, ms).with("answer_ms", ms)
}

// judgeKeys compares what the bus says with what was fetched at enrolment.
func judgeKeys(s *provision.Station, keys bus.Keys, ms float64) row {
	kept, _ := s.Recipient.(fmt.Stringer)
	receipts, err := provision.ParseReceiptKey(keys.ReceiptKey)
	if err != nil || kept == nil || kept.String() != keys.Recipient || !receipts.Equal(s.ReceiptKey) {
		return failed(s.URL+" has other keys than when this machine was enrolled",
			"its requests could not be read: ask the operator of the bus; if the keys were renewed, enrol anew with --force")
	}
	return good(fmt.Sprintf("%s answers in %.0f ms, its certificate and keys are right", s.URL, ms))
}

// busTrouble tells a bus that isn't ours, one that can't be reached, and one that
// says no apart.
func busTrouble(address string, err error) row {
	f, isFault := errors.AsType[*offline.Fault](err)
	kind, said := "", ""
	if isFault {
		kind, said = f.Type, ": "+f.Message
	}
	host := address
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	switch {
	case errors.Is(err, offline.ErrBusIdentity):
		return failed("certificate wrong: what answers at "+address+" is not our bus"+said,
			"nothing was sent. See that this machine's clock is right and that no proxy stands between; if the bus has a new authority, enrol anew; else tell the operator")
	case kind == "line.alert":
		return failed(address+" closed the door"+said,
			"it may not accept this station's certificate: ask the operator whether the station is still registered; enrol anew if not")
	case errors.Is(err, offline.ErrLineDown):
		return failed("can't be reached: "+address+said,
			"check the network cable, the address, the router and the firewall (nc -vz "+host+"); then ask the operator whether the bus runs")
	case errors.Is(err, offline.ErrRefused):
		return failed(fmt.Sprintf("%s answers and refuses this station (%s)", address, kind),
			"ask the operator whether the station is still registered and has its rights; enrol anew if not")
	}
	return failed(fmt.Sprintf("%s answers, and not as it should: %v", address, err), "tell the operator of the bus; its own log has more")
}

func unknownClock() row {
	return warned("this machine says "+time.Now().UTC().Format(time.RFC3339)+"; the bus could not be asked", "see the row of the bus")
}

// judgeSkew judges how far this machine's clock is ahead of the bus's.
func judgeSkew(ahead time.Duration) row {
	seen := "as the bus's"
	if rounded := ahead.Round(time.Second); rounded != 0 {
		seen = fmt.Sprintf("%v ahead of the bus's", rounded)
		if rounded < 0 {
			seen = fmt.Sprintf("%v behind the bus's", -rounded)
		}
	}
	const set = "let the clock be set from the network (timedatectl set-ntp true); when it is wrong after every start, change the battery on the board"
	r := good(seen)
	switch off := ahead.Abs(); {
	case off > skewFailed:
		r = failed(seen, set)
	case off > skewWarned:
		r = warned(seen, set)
	}
	return r.with("ahead_ms", float64(ahead.Milliseconds()))
}
