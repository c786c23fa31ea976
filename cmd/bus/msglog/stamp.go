package msglog

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/digitorus/timestamp"
)

// Times of stamping.
const (
	stampEvery   = time.Minute
	stampTimeout = 10 * time.Second
	maxStamp     = 64 << 10
)

// A stampLine is a stamp on disk, a file of its own: it comes later than its
// head, and the chain must not wait for somebody else's service.
type stampLine struct {
	Seq   uint64 `json:"seq"`
	Token []byte `json:"token"`
}

// A TSA is a time-stamping authority. RFC 3161, 3.4.
type TSA struct {
	URL    string
	Client *http.Client
}

// Stamp is Stamper's.
func (t TSA) Stamp(ctx context.Context, digest [32]byte) ([]byte, error) {
	query, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Certificates: true}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stampTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	resp, err := t.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxStamp))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("stamp: status %d", resp.StatusCode), err)
	}
	return tokenIn(b, digest)
}

// tokenIn reads an authority's answer and checks that it is about the digest.
func tokenIn(answer []byte, digest [32]byte) ([]byte, error) {
	t, err := timestamp.ParseResponse(answer)
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	if !bytes.Equal(t.HashedMessage, digest[:]) {
		return nil, errors.New("stamp: it is about something else")
	}
	return t.RawToken, nil
}

// stamp gets a stamp for a head and keeps it. That the authority doesn't answer
// is no reason to stop: the next head's stamp covers this one too.
func (l *Log) stamp(ctx context.Context, h Head) error {
	sum, err := hex.DecodeString(h.Sum)
	if err != nil || len(sum) != 32 {
		return fmt.Errorf("stamp: %w", ErrDamaged)
	}
	token, err := l.Stamper.Stamp(ctx, [32]byte(sum))
	if err != nil {
		if l.Missed != nil {
			l.Missed(err)
		}
		return nil
	}
	b, err := json.Marshal(stampLine{Seq: h.Seq, Token: token})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, stampsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("stamp: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// Prune removes the files of months before the given one ("2025-01"), of a log
// that nobody has open, and signs a head that says so. It returns how many went.
// The last month always stays.
func Prune(dir, before string, o Options) (int, error) {
	if _, err := time.Parse("2006-01", before); err != nil {
		return 0, fmt.Errorf("prune message log: month %q", before)
	}
	first := uint64(0)
	o.whole = true
	o.Seen = func(e Entry) {
		if first == 0 && month(e.At) >= before {
			first = e.Seq
		}
	}
	l, err := Open(dir, o)
	if err != nil {
		return 0, fmt.Errorf("prune message log: %w", err)
	}
	n, err := l.prune(first, before)
	if err := errors.Join(err, l.Close()); err != nil {
		return n, fmt.Errorf("prune message log: %w", err)
	}
	return n, nil
}

// prune signs first and removes then: a crash between the two leaves a log whose
// next pruning removes what was left. It sets no checkpoint: the next Open tells all
// that is kept, of which a bus that was killed may not have stored everything.
func (l *Log) prune(first uint64, before string) (n int, err error) {
	if first == 0 {
		return 0, errors.New("nothing would be left")
	}
	names, err := months(l.dir)
	if err != nil {
		return 0, err
	}
	l.first = first
	if _, err := l.Sign(); err != nil {
		return 0, err
	}
	for _, name := range names {
		if name < before {
			if err := os.Remove(filepath.Join(l.dir, name)); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
