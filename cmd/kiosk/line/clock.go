package line

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"kosk/device/health"
	"kosk/device/keep"
	"kosk/device/request"
	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/queue"
)

// timeName is the file of the last known time in the state folder.
const timeName = "time"

// timeFile keeps the last known time. It is replaced as a whole; one that can't
// be read is none, since a kiosk without a floor still works.
type timeFile struct {
	path string
	log  *slog.Logger
}

// LoadTime implements bus.TimeKeeper.
func (f timeFile) LoadTime() (time.Time, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
	if err != nil {
		f.log.Warn("last known time can't be read", "err", err)
		return time.Time{}, nil
	}
	return at, nil
}

// SaveTime implements bus.TimeKeeper.
func (f timeFile) SaveTime(at time.Time) error {
	return keep.File(f.path, []byte(at.UTC().Format(time.RFC3339)+"\n"))
}

// Now is the time as well as it is known, and what envelopes say of it.
func (l *Line) Now() (time.Time, request.ClockState) {
	now := l.clock.Now()
	switch l.clock.State() {
	case bus.ClockTrusted:
		return now, request.ClockTrusted
	case bus.ClockFloor:
		return now, request.ClockFloor
	}
	return now, request.ClockUnset
}

// systemTrusted reports whether what the system's clock says is about the bus's time.
func (l *Line) systemTrusted() bool {
	return l.clock.State() == bus.ClockTrusted && l.clock.Offset().Abs() <= skewWarned
}

// expired reports whether an item has outlived its TTL. Only times that the bus
// stands behind say so: a wrong clock must not cost anybody a request.
func (l *Line) expired(e queue.Entry) bool {
	return e.Trusted && l.clock.State() == bus.ClockTrusted && e.Expired(l.clock.Now())
}

// tracedBus records deliveries as spans.
type tracedBus struct {
	*bus.Client
	spans *health.Recorder
}

// Send implements courier.Bus.
func (b tracedBus) Send(ctx context.Context, id, trace string, body []byte) (receipt []byte, pace offline.Pace, err error) {
	within, end := b.spans.Begin(health.ParseTrace(trace), "deliver")
	receipt, pace, err = b.Client.Send(ctx, id, within.Parent(), body)
	end(kindOf(err))
	return receipt, pace, err
}

// kindOf names the class of an error of the line.
func kindOf(err error) string {
	for _, k := range []struct {
		err  error
		kind string
	}{
		{nil, ""},
		{offline.ErrBusIdentity, "identity"},
		{offline.ErrConflict, "conflict"},
		{offline.ErrRefused, "refused"},
		{offline.ErrAgency, "agency"},
		{offline.ErrLineDown, "line"},
	} {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return "other"
}
