// Package jetstream is the ledger on NATS JetStream: embedded in the process,
// listening nowhere, or an external cluster of three by its URL. The same code
// writes to both.
//
// An entry is a message; its key is the subject, which the engine creates only
// once; its place is the stream's sequence; the hash of the entry before it
// stands in its header. So the chain is stored, not derived: whoever reads the
// stream can check it, and the start reads the newest entry alone. Start at
// Open, then Append.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"kosk/cmd/bus/ledger"
)

// ErrSettings says that a cluster is set up otherwise than a ledger needs it.
var ErrSettings = errors.New("cluster not set up for a ledger")

// Config says where the ledger is.
type Config struct {
	Dir string // folder for the lock, the mark and, embedded, all entries; made when absent
	Log *slog.Logger

	URL    string // of an external cluster: nats:// or tls://, several with commas; embedded when empty
	System string // the same with a user of the cluster's system account, who alone is told whether it syncs
	CA     string // file with the authorities that the cluster's certificates come from
}

// A Ledger is open from Open to Close. Its entries are appended by whoever holds
// the turn; everything else may be called by anybody at any time.
type Ledger struct {
	log    *slog.Logger
	lock   *os.File
	server *server.Server // nil for a cluster
	conn   *nats.Conn
	js     js.JetStream
	stream js.Stream
	follow js.ConsumeContext // nil when embedded

	backlog int // so many in the line make a batch

	turn   chan struct{} // holds one token while a commit runs; guards the next six
	head   ledger.Entry
	sure   bool // head is the head
	mark   mark
	broken error         // what the embedded engine holds is not certain any more
	batch  int           // so many were in the last commit, 0 when it failed
	took   time.Duration // so long it ran

	mu     sync.Mutex // guards all below
	line   []*waiter
	target int           // so many in the line are worth a batch
	enough chan struct{} // closed when they are there, and nil then
	queued map[string]*waiter
	waits  map[string]*wait
}

var _ ledger.Ledger = (*Ledger)(nil)

// Open starts the embedded engine, or connects to the cluster, and checks that
// it syncs before it acknowledges, that it is set up as a ledger needs it, and
// that it holds what this bus has seen of it. Errors: ErrInUse, ErrOldFormat,
// ErrNotDurable, ErrDamaged, ErrUnavailable, ErrSettings.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	l := &Ledger{
		log: c.Log, turn: make(chan struct{}, 1),
		queued: map[string]*waiter{}, waits: map[string]*wait{},
	}
	if err := l.open(ctx, c); err != nil {
		return nil, fmt.Errorf("open ledger: %w", errors.Join(err, l.end()))
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context, c Config) (err error) {
	if l.lock, err = claim(c.Dir); err != nil {
		return err
	}
	external := c.URL != ""
	if external {
		l.mark.path = filepath.Join(c.Dir, "mark.cluster")
		l.backlog = 2
		err = askNodes(ctx, c)
	} else {
		l.backlog = embeddedBacklog
		l.mark.path = filepath.Join(c.Dir, "mark")
		l.server, err = embed(c.Dir, c.Log)
	}
	if err != nil {
		return err
	}
	if l.conn, err = connect(c, l.server); err != nil {
		return err
	}
	if l.js, err = js.New(l.conn); err != nil {
		return err
	}
	if l.stream, err = openStream(ctx, l.js, external); err != nil {
		return err
	}
	if external {
		if err := l.followOthers(ctx); err != nil {
			return err
		}
	}
	return l.compare(ctx)
}

// compare reads the head and checks the ledger against the mark.
func (l *Ledger) compare(ctx context.Context) error {
	seen, err := l.mark.read()
	if err != nil {
		return err
	}
	if l.head, err = l.readHead(ctx); err != nil {
		return err
	}
	l.sure = true
	if l.head.Seq < seen.Seq {
		return fmt.Errorf("%w: it ends at entry %d, but entry %d was there", ledger.ErrDamaged, l.head.Seq, seen.Seq)
	}
	if seen.Seq == 0 {
		return nil
	}
	e, err := l.at(ctx, seen.Seq)
	switch {
	case errors.Is(err, ledger.ErrNotFound): // older than the retention: readHead has looked for gaps
		return nil
	case err != nil:
		return err
	case e.Sum != seen.Sum:
		return fmt.Errorf("%w: entry %d is another one", ledger.ErrDamaged, seen.Seq)
	}
	return nil
}

// followOthers hears of entries that other processes append to the cluster.
func (l *Ledger) followOthers(ctx context.Context) error {
	c, err := l.js.OrderedConsumer(ctx, streamName, js.OrderedConsumerConfig{DeliverPolicy: js.DeliverNewPolicy, HeadersOnly: true})
	if err != nil {
		return fmt.Errorf("follow: %w: %w", ledger.ErrUnavailable, err)
	}
	l.follow, err = c.Consume(func(m js.Msg) {
		e, err := entryOf(m)
		if err != nil {
			l.log.Error("strange entry", "err", err)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tellLocked(e)
	}, js.ConsumeErrHandler(func(_ js.ConsumeContext, err error) { l.log.Warn("follower interrupted", "err", err) }))
	return err
}

// gone reports whether the engine will not answer again in this process.
func (l *Ledger) gone() bool {
	return l.conn.IsClosed() || l.server != nil && !l.server.JetStreamEnabled()
}

// Close ends the connection and the embedded engine. Nobody may be appending.
func (l *Ledger) Close() error {
	var err error
	if l.sure {
		err = l.mark.write(l.head)
	}
	return errors.Join(err, l.end())
}

// end releases whatever is open.
func (l *Ledger) end() error {
	if l.follow != nil {
		l.follow.Stop()
		<-l.follow.Closed()
	}
	if l.conn != nil {
		l.conn.Close()
	}
	if l.server != nil {
		stop(l.server)
	}
	if l.lock == nil {
		return nil
	}
	return l.lock.Close()
}
