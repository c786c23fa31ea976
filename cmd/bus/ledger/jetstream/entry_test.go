package jetstream

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"kosk/cmd/bus/ledger"
)

// FuzzDecode: what is read as an entry is what would be written for it, and
// anything else is damage.
func FuzzDecode(f *testing.F) {
	m := encode(ledger.Next(ledger.Entry{Seq: 6}, "a.b/ə", time.UnixMilli(1), [32]byte{1}), nil)
	f.Add(m.Subject, m.Header.Get(headAt), m.Header.Get(headHash), m.Header.Get(headPrevious))
	f.Add("ledger.%", "0", "", "")
	f.Add("ledger.%zz", "-1", "00", "00")
	f.Fuzz(func(t *testing.T, subject, at, hash, previous string) {
		h := nats.Header{headAt: {at}, headHash: {hash}, headPrevious: {previous}}
		e, err := decode(subject, h, 7)
		if err != nil {
			if !errors.Is(err, ledger.ErrDamaged) {
				t.Errorf("got %v", err)
			}
			return
		}
		if again := encode(e, nil); again.Subject != subject {
			t.Errorf("%q is read as the key of %q", subject, again.Subject)
		}
		again, err := decode(subject, encode(e, nil).Header, 7)
		if err != nil || again != e {
			t.Errorf("%+v, then %+v, %v", e, again, err)
		}
	})
}

// FuzzJudge: only the engine's word for the very place is success.
func FuzzJudge(f *testing.F) {
	f.Add([]byte(`{"stream":"LEDGER","seq":7}`))
	f.Add([]byte(`{"stream":"LEDGER","seq":8,"batch":"x","count":2}`))
	f.Add([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}`))
	f.Add([]byte(`{"error":{"code":503,"err_code":10077}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := judge(data, 7)
		if err != nil && !errors.Is(err, errStale) && !errors.Is(err, errDoubt) && !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestJudge(t *testing.T) {
	for data, want := range map[string]error{
		`{"stream":"LEDGER","seq":7}`:                      nil,
		`{"stream":"LEDGER","seq":6}`:                      errDoubt,
		`{"stream":"OTHER","seq":7}`:                       errDoubt,
		`{"stream":"LEDGER","seq":7,"error":{"code":400}}`: ledger.ErrUnavailable,
		`{"error":{"code":400,"err_code":10071}}`:          errStale,
		`{"error":{"code":400,"err_code":10164}}`:          errStale,
		`{"error":{"code":503,"err_code":10077}}`:          errDoubt,
		`{"error":{"code":503,"err_code":10023}}`:          ledger.ErrUnavailable,
		``:   errDoubt,
		`{}`: errDoubt,
	} {
		if err := judge([]byte(data), 7); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", data, err, want)
		}
	}
}
