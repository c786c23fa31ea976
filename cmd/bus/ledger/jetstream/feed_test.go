package jetstream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"kosk/cmd/bus/ledger"
)

// A mute is what the engine sends when it has forgotten who asked: nothing.
type mute struct {
	js.MessagesContext
	ended chan struct{}
}

func (m mute) Next(opts ...js.NextOpt) (js.Msg, error) {
	time.Sleep(time.Second)
	return nil, context.DeadlineExceeded
}

func (m mute) Stop() { close(m.ended) }

// An engine that sends nothing, or that can't be asked any more, doesn't have a walk
// of 10,000 entries wait a second for each: once a cluster did after its leader was
// killed. It is asked again all the same, and nothing stays open.
func TestFeedGoesOnWhereNothingIsSent(t *testing.T) {
	for name, refuses := range map[string]bool{"mute": false, "refuses when asked again": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, open := 0, map[chan struct{}]bool{}
				f := feed{
					late: time.Second,
					sent: func(context.Context, uint64) (js.MessagesContext, error) {
						asked++
						if refuses && asked > 1 {
							return nil, ledger.ErrUnavailable
						}
						m := mute{ended: make(chan struct{})}
						open[m.ended] = true
						return m, nil
					},
					at: func(_ context.Context, seq uint64) (ledger.Entry, error) { return ledger.Entry{Seq: seq}, nil },
				}
				begun := time.Now()
				for seq := uint64(1); seq <= 10_000; seq++ {
					if e, err := f.next(t.Context(), seq); err != nil || e.Seq != seq {
						t.Fatalf("entry %d: %d, %v", seq, e.Seq, err)
					}
				}
				if took := time.Since(begun); took > 20*time.Second || asked < 10 {
					t.Errorf("it took %v, asked %d times", took, asked)
				}
				f.stop()
				for ended := range open {
					select {
					case <-ended:
					default:
						t.Error("a feed stays open")
					}
				}
			})
		})
	}
}

// Who can't ask at all is told so, and who gives up as well.
func TestFeedThatCannotBegin(t *testing.T) {
	f := feed{late: time.Second, sent: func(context.Context, uint64) (js.MessagesContext, error) { return nil, ledger.ErrUnavailable }}
	if _, err := f.next(t.Context(), 1); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("error = %v", err)
	}
}
