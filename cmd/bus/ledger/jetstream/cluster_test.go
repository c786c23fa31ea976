package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/ledger/ledgertest"
)

// onCluster opens the ledger of a place on a cluster.
func onCluster(c *ledgertest.Cluster, place int, dir string) ledgertest.Open {
	return func(t testing.TB) ledgertest.Ledger {
		t.Helper()
		l, err := openOn(t.Context(), c, place, dir)
		if err != nil {
			t.Fatalf("%v\n%s", err, c.Log(0))
		}
		return l
	}
}

func openOn(ctx context.Context, c *ledgertest.Cluster, place int, dir string) (*jetstream.Ledger, error) {
	return jetstream.Open(ctx, jetstream.Config{Dir: dir, Log: quiet, URL: c.URL(place), System: c.System()})
}

func TestCluster(t *testing.T) {
	c := ledgertest.StartCluster(t, "always", [ledgertest.Nodes]string{})
	awaitPeers(t, c)
	place := 0
	ledgertest.Run(t, func(t *testing.T) ledgertest.Open {
		place++
		return onCluster(c, place-1, filepath.Join(t.TempDir(), "ledger"))
	})
	t.Run("wait hears of another process", func(t *testing.T) {
		place++
		a, b := onCluster(c, place, t.TempDir())(t), onCluster(c, place, t.TempDir())(t)
		defer a.Close()
		defer b.Close()
		twoProcesses(t, a, b)
	})
	t.Run("nobody to ask whether it syncs", func(t *testing.T) {
		_, err := jetstream.Open(t.Context(), jetstream.Config{Dir: t.TempDir(), Log: quiet, URL: c.URL(0)})
		if !errors.Is(err, ledger.ErrNotDurable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a stream that forgets", func(t *testing.T) {
		forgetful(t, c, ledgertest.Places-1)
	})
}

// awaitPeers waits until the cluster takes streams.
func awaitPeers(t testing.TB, c *ledgertest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var l *jetstream.Ledger
	var err error
	for ctx.Err() == nil {
		l, err = openOn(t.Context(), c, ledgertest.Places-2, t.TempDir())
		if err == nil {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		<-time.After(200 * time.Millisecond)
	}
	t.Fatalf("no cluster: %v\n%s", err, c.Log(0))
}

// twoProcesses lets two that know nothing of each other append to one ledger.
func twoProcesses(t *testing.T, a, b ledgertest.Ledger) {
	heard := make(chan error, 1)
	go func() {
		_, err := b.Wait(t.Context(), "a3")
		heard <- err
	}()
	for i := range 20 {
		for name, l := range map[string]ledger.Ledger{"a": a, "b": b} {
			if _, created, err := l.Append(t.Context(), fmt.Sprint(name, i), nil); err != nil || !created {
				t.Fatal(created, err)
			}
			if _, created, err := l.Append(t.Context(), fmt.Sprint("both", i), nil); err != nil || created != (name == "a") && created != (name == "b") {
				t.Fatal(created, err)
			}
		}
	}
	if err := <-heard; err != nil {
		t.Error(err)
	}
	if n, err := a.Verify(t.Context()); err != nil || n != 60 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// forgetful makes a stream that would forget, as an operator might.
func forgetful(t *testing.T, c *ledgertest.Cluster, place int) {
	conn, err := nats.Connect(c.URL(place))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	j, err := js.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = j.CreateStream(t.Context(), js.StreamConfig{
		Name: "LEDGER", Subjects: []string{"ledger.*"}, Replicas: 3, MaxAge: time.Hour, AllowAtomicPublish: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openOn(t.Context(), c, place, t.TempDir()); !errors.Is(err, jetstream.ErrSettings) {
		t.Errorf("got %v", err)
	}
}

func TestClusterThatDoesNotSyncIsRefused(t *testing.T) {
	c := ledgertest.StartCluster(t, "2m", [ledgertest.Nodes]string{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := ledger.ErrUnavailable
	for errors.Is(err, ledger.ErrUnavailable) && ctx.Err() == nil {
		_, err = openOn(ctx, c, 0, t.TempDir())
	}
	if !errors.Is(err, ledger.ErrNotDurable) {
		t.Errorf("got %v", err)
	}
}

// TestClusterCrash harms the cluster and the writer in turn.
func TestClusterCrash(t *testing.T) {
	small := smallDisk(t)
	c := ledgertest.StartCluster(t, "always", [ledgertest.Nodes]string{2: small})
	awaitPeers(t, c)
	dir := filepath.Join(t.TempDir(), "ledger")
	harms := []struct {
		name string
		harm func(*testing.T, *ledgertest.Cluster, func() int)
	}{
		{"leader killed", killLeader}, {"leader paused", pauseLeader}, {"two killed", killTwo}, {"disk full", func(t *testing.T, c *ledgertest.Cluster, acked func() int) {
			if small == "" {
				t.Log("disk full: left out, a small disk can only be mounted by root")
				return
			}
			fillDisk(t, c, small, acked)
		}},
	}
	ledgertest.Crash{
		Rounds: rounds(t, len(harms)+1),
		Env:    []string{"LEDGER_DIR=" + dir, "LEDGER_URL=" + c.URL(0), "LEDGER_SYSTEM=" + c.System()},
		Open:   onCluster(c, 0, dir),
		May:    []error{ledger.ErrUnknown},
		Harm: func(t *testing.T, round int, writer *os.Process, acked func() int) {
			i := round % (len(harms) + 1)
			if i == len(harms) {
				ledgertest.Kill(t, round, writer, acked)
				return
			}
			progress(t, acked)
			start := time.Now()
			harms[i].harm(t, c, acked)
			t.Logf("round %d: %s: %d acknowledged, %v", round, harms[i].name, acked(), time.Since(start).Round(time.Millisecond))
			whole(t, c)
		},
	}.Run(t)
}

// progress waits until more has been acknowledged.
func progress(t *testing.T, acked func() int) {
	t.Helper()
	was := acked()
	ledgertest.Until(t, func() bool { return acked() >= was+50 })
}

// leader is the node that leads the ledger's stream.
func leader(t *testing.T, c *ledgertest.Cluster) int {
	t.Helper()
	info := infoOf(t, c)
	if info == nil || info.Cluster == nil {
		t.Fatal("no leader")
	}
	return c.Index(info.Cluster.Leader)
}

// lead makes a node lead the ledger's stream.
func lead(t *testing.T, c *ledgertest.Cluster, i int) {
	t.Helper()
	conn, err := nats.Connect(c.URL(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ledgertest.Until(t, func() bool {
		if info := infoOf(t, c); info == nil || info.Cluster == nil || info.Cluster.Leader == "" {
			return false
		}
		if leader(t, c) == i {
			return true
		}
		to := fmt.Sprintf(`{"placement":{"preferred":"n%d"}}`, i+1)
		_, _ = conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.LEDGER", []byte(to), time.Second) // asked again when it came to nothing
		return false
	})
}

// infoOf asks how the stream stands; nil when nobody answers.
func infoOf(t *testing.T, c *ledgertest.Cluster) *js.StreamInfo {
	t.Helper()
	conn, err := nats.Connect(c.URL(0), nats.Timeout(time.Second))
	if err != nil {
		return nil
	}
	defer conn.Close()
	j, err := js.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	s, err := j.Stream(ctx, "LEDGER")
	if err != nil {
		return nil
	}
	return s.CachedInfo()
}

// whole waits until all nodes hold all there is.
func whole(t *testing.T, c *ledgertest.Cluster) {
	t.Helper()
	ledgertest.Until(t, func() bool {
		info := infoOf(t, c)
		if info == nil || info.Cluster == nil || len(info.Cluster.Replicas) != ledgertest.Nodes-1 {
			return false
		}
		for _, r := range info.Cluster.Replicas {
			if r.Offline || !r.Current {
				return false
			}
		}
		return true
	})
}

func killLeader(t *testing.T, c *ledgertest.Cluster, acked func() int) {
	i := leader(t, c)
	c.Kill(t, i)
	progress(t, acked)
	c.Start(t, i)
}

func pauseLeader(t *testing.T, c *ledgertest.Cluster, acked func() int) {
	i := leader(t, c)
	c.Pause(t, i)
	defer c.Resume(t, i)
	progress(t, acked)
}

// killTwo takes the cluster its majority: it may not acknowledge anything, and
// goes on when one is back.
func killTwo(t *testing.T, c *ledgertest.Cluster, acked func() int) {
	i := leader(t, c)
	j := (i + 1) % ledgertest.Nodes
	c.Kill(t, i)
	c.Kill(t, j)
	<-time.After(time.Second)
	was := acked()
	<-time.After(2 * time.Second)
	if now := acked(); now != was {
		t.Errorf("%d appends were acknowledged by one node of three", now-was)
	}
	c.Start(t, j)
	progress(t, acked)
	c.Start(t, i)
}

// smallDisk mounts a disk of its own; "" when that may not be done.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=192m,mode=0700"); err != nil {
		return ""
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk fills the disk of the third node to the last byte while it leads, then
// makes room.
func fillDisk(t *testing.T, c *ledgertest.Cluster, disk string, acked func() int) {
	lead(t, c, 2)
	progress(t, acked)
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	if n, err := io.Copy(f, zero); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("%d bytes and no end: %v", n, err)
	}
	ledgertest.Until(t, func() bool { return strings.Contains(c.Log(2), "no space left") })
	progress(t, acked)
	if i := leader(t, c); i == 2 {
		t.Error("a node that can't write leads still")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c.Kill(t, 2) // a server whose disk was full has to be started again
	c.Start(t, 2)
}
