package bus_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/bus/bustest"
)

// A network that swallows everything: a name space of its own, whose only line
// goes down while nothing is sent. Only root can make one.
func TestSilenceIsNoticed(t *testing.T) {
	if os.Getenv("KOSK_OWN_NETWORK") != "" {
		watchSilence(t)
		return
	}
	if testing.Short() || exec.CommandContext(t.Context(), "unshare", "-n", "ip", "link", "set", "lo", "up").Run() != nil {
		t.Skip("no network of our own can be made here: needs root, unshare and ip")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "-n", os.Args[0], "-test.run=^TestSilenceIsNoticed$", "-test.v")
	cmd.Env = append(os.Environ(), "KOSK_OWN_NETWORK=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func watchSilence(t *testing.T) {
	lo := func(state string) time.Time {
		if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return time.Now()
	}
	lo("up")
	c := open(t, bustest.Start(t), bus.Deadlines{})
	ctx, cancel := context.WithCancel(t.Context())
	states, ended := make(chan error, 8), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, func(err error) { states <- err }) }()
	if err := <-states; err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		state  string
		want   error
		within time.Duration
	}{{"down", offline.ErrLineDown, 20 * time.Second}, {"up", nil, 40 * time.Second}} {
		since := lo(step.state)
		select {
		case err := <-states:
			t.Logf("%s: %v after %v", step.state, err, time.Since(since))
			if !errors.Is(err, step.want) {
				t.Errorf("%s: %v", step.state, err)
			}
		case <-time.After(step.within):
			t.Fatalf("%s is not noticed", step.state)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
