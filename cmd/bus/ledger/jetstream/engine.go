package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"kosk/cmd/bus/ledger"
)

const (
	streamName = "LEDGER"
	// room is for what surrounds a body in a message.
	room = 64 << 10
	// startWithin bounds the start of the embedded engine, recovery included.
	startWithin = time.Minute
	// patience is for one answer of a cluster, where others may answer better.
	patience = 3 * time.Second
	// embeddedPatience is for one of the embedded engine, on the slowest disk of a
	// busy machine: nobody else can answer.
	embeddedPatience = 20 * time.Second
	// answerWithin is how long after an answer the next server's may come.
	answerWithin = 500 * time.Millisecond
	// late is when the next entry of a walk is asked for by its place.
	late = time.Second
	// pingEvery is how often a server is asked whether it is there.
	pingEvery = 2 * time.Second
	// embeddedBacklog: the embedded engine stages a batch in a file of its own,
	// which costs as much as some ten single entries. A cluster stages in memory.
	embeddedBacklog = 12
	// replicas of an external ledger: one node may be lost.
	replicas = 3
)

// embed starts an engine in this process. It listens nowhere: who is in the
// process can reach it, nobody else. ErrNotDurable: it wouldn't sync.
func embed(dir string, log *slog.Logger) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "ledger", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: dir, SyncAlways: true,
		MaxPayload: ledger.MaxBody + room,
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	s.SetLoggerV2(speaker{log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startWithin) {
		stop(s)
		return nil, fmt.Errorf("engine: %w: not ready", ledger.ErrUnavailable)
	}
	if c := s.JetStreamConfig(); c == nil || !c.SyncAlways {
		stop(s)
		return nil, fmt.Errorf("engine: %w: sync_always is not in effect", ledger.ErrNotDurable)
	}
	return s, nil
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// connect opens the one connection of a ledger, to the embedded engine or to a
// cluster. What is published while a cluster can't be reached fails at once.
func connect(c Config, s *server.Server) (*nats.Conn, error) {
	log := c.Log
	opts := []nats.Option{
		nats.Name("bus ledger"), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2), // a server may be alive and not answer
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("engine connection", "err", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("engine lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("engine found again") }),
	}
	if s != nil {
		opts = append(opts, nats.InProcessServer(s))
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	conn, err := nats.Connect(c.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("engine: %w: %w", ledger.ErrUnavailable, err)
	}
	if room := conn.MaxPayload() - ledger.MaxBody; room < 4096 {
		conn.Close()
		return nil, fmt.Errorf("engine: %w: max_payload is %d, %d is needed", ErrSettings, conn.MaxPayload(), ledger.MaxBody+4096)
	}
	return conn, nil
}

// wanted is the stream that a ledger needs.
func wanted(external bool) js.StreamConfig {
	c := js.StreamConfig{
		Name: streamName, Subjects: []string{subjects + "*"}, Description: "ledger of the bus",
		Storage: js.FileStorage, Retention: js.LimitsPolicy, MaxAge: ledger.Retention,
		MaxMsgsPerSubject: 1, Discard: js.DiscardNew, DiscardNewPerSubject: true, // no second entry under a key, whoever writes
		DenyDelete: true, DenyPurge: true, AllowAtomicPublish: true,
		Replicas: 1, AllowDirect: true,
	}
	if external {
		c.Replicas, c.AllowDirect = replicas, false // the leader alone is asked: a follower may be behind
	}
	return c
}

// openStream makes the stream when there is none and checks it when there is one.
// It waits for a cluster that is still choosing its leaders.
func openStream(ctx context.Context, j js.JetStream, external bool) (js.Stream, error) {
	want := wanted(external)
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		ask, cancel := context.WithTimeout(ctx, patience) // a cluster without a leader doesn't answer
		s, err := j.Stream(ask, want.Name)
		if errors.Is(err, js.ErrStreamNotFound) {
			s, err = j.CreateStream(ask, want)
		}
		cancel()
		if err == nil {
			return s, same(s.CachedInfo().Config, want)
		}
		var refused *js.APIError
		if errors.As(err, &refused) && refused.Code < 500 || rest(ctx, pause) != nil {
			return nil, fmt.Errorf("engine: %w: %w", ledger.ErrUnavailable, err)
		}
	}
}

// same checks what the duties of a ledger rest on.
func same(got, want js.StreamConfig) error {
	switch {
	case got.Storage != want.Storage, got.PersistMode != js.DefaultPersistMode:
		return fmt.Errorf("engine: %w: the stream is not stored in synced files", ledger.ErrNotDurable)
	case got.Replicas < want.Replicas:
		return fmt.Errorf("engine: %w: %d replicas, %d are needed", ledger.ErrNotDurable, got.Replicas, want.Replicas)
	case !got.AllowAtomicPublish:
		return fmt.Errorf("engine: %w: no atomic batches: nats-server 2.12 or newer is needed", ErrSettings)
	case got.MaxAge != 0 && got.MaxAge < want.MaxAge, got.Retention != want.Retention, got.MaxMsgs > 0, got.MaxBytes > 0:
		return fmt.Errorf("engine: %w: entries would be forgotten early", ErrSettings)
	case !got.DenyDelete, !got.DenyPurge, !got.DiscardNewPerSubject, got.MaxMsgsPerSubject != 1:
		return fmt.Errorf("engine: %w: entries could be replaced or deleted", ErrSettings)
	}
	return nil
}

// A node is what a server of a cluster says of itself.
type node struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Data struct {
		Disabled bool `json:"disabled"`
		Config   struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	} `json:"data"`
}

// askNodes asks every server of a cluster whether it syncs. The option shows only
// to a user of the system account. ErrNotDurable: one doesn't, or too few say.
func askNodes(ctx context.Context, c Config) error {
	if c.System == "" {
		return fmt.Errorf("engine: %w: no user of the system account to ask the cluster with", ledger.ErrNotDurable)
	}
	opts := []nats.Option{nats.Name("bus ledger check")}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	conn, err := nats.Connect(c.System, opts...)
	if err != nil {
		return fmt.Errorf("engine: system account: %w: %w", ledger.ErrUnavailable, err)
	}
	defer conn.Close()
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("engine: %w: %w", ledger.ErrUnavailable, err)
	}
	if err := conn.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox, []byte(`{"config":true}`)); err != nil {
		return fmt.Errorf("engine: %w: %w", ledger.ErrUnavailable, err)
	}
	syncing := map[string]bool{}
	for {
		m, err := nextOf(ctx, sub)
		if err != nil {
			break // all have spoken who will
		}
		var n node
		if err := json.Unmarshal(m.Data, &n); err != nil {
			return fmt.Errorf("engine: %w: %w", ledger.ErrNotDurable, err)
		}
		switch {
		case n.Data.Disabled: // stores nothing
		case !n.Data.Config.SyncAlways:
			return fmt.Errorf("engine: %w: %s doesn't have sync_interval: always", ledger.ErrNotDurable, n.Server.Name)
		default:
			syncing[n.Server.Name] = true
		}
	}
	if len(syncing) <= replicas/2 {
		return fmt.Errorf("engine: %w: %d of %d servers say whether they sync", ledger.ErrNotDurable, len(syncing), replicas)
	}
	if len(syncing) < replicas {
		c.Log.Warn("not every server said whether it syncs", "said", len(syncing))
	}
	return nil
}

// nextOf waits for one more answer of a cluster; the others come soon after the
// first.
func nextOf(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// claim takes the folder for this process. Errors: ErrInUse, ErrOldFormat.
func claim(dir string) (*os.File, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), ledger.ErrOldFormat)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(ledger.ErrInUse, f.Close())
	}
	return f, nil
}
