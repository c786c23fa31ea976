package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nodes is how many servers a cluster has, and Places how many ledgers: each is
// an account of its own.
const (
	Nodes  = 3
	Places = 12
)

// lifetime is how long a server may run, whatever happens to the test.
const lifetime = 30 * time.Minute

// A Cluster is three NATS servers, each a process of its own, on loopback.
type Cluster struct {
	dir    string
	binary string
	sync   string // of sync_interval
	nodes  [Nodes]*node
}

type node struct {
	name          string
	client, route int // ports
	store         string
	cmd           *exec.Cmd
	over          chan struct{} // closed when the process has ended
}

// StartCluster builds nats-server from the module and starts three of them, which
// sync as the option says ("always", or how often). Stores are the folders of
// their data; a fresh one is taken where it is empty.
func StartCluster(t testing.TB, sync string, stores [Nodes]string) *Cluster {
	t.Helper()
	c := &Cluster{dir: t.TempDir(), sync: sync}
	c.binary = filepath.Join(c.dir, "nats-server")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", c.binary, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	for i := range c.nodes {
		n := &node{name: fmt.Sprint("n", i+1), client: freePort(t), route: freePort(t), store: stores[i]}
		if n.store == "" {
			n.store = filepath.Join(c.dir, n.name)
		}
		c.nodes[i] = n
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.Kill(t, i)
		}
	})
	for i := range c.nodes {
		c.Start(t, i)
	}
	return c
}

// freePort is one that nobody has, below those that the kernel gives to clients:
// one that knocks at a dead node's port must not be given that port for itself.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 15_000 + rand.IntN(15_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// URL is where a place is, from 0.
func (c *Cluster) URL(place int) string { return c.url(fmt.Sprint("bus", place)) }

// System is where the system account is.
func (c *Cluster) System() string { return c.url("sys") }

func (c *Cluster) url(user string) string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, fmt.Sprintf("nats://%s:%s@127.0.0.1:%d", user, user, n.client))
	}
	return strings.Join(urls, ",")
}

// config is the configuration of a node.
func (c *Cluster) config(n *node) string {
	var routes []string
	for _, other := range c.nodes {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", other.route))
	}
	var places strings.Builder
	for i := range Places {
		fmt.Fprintf(&places, "  B%d { jetstream: enabled, users: [ { user: bus%d, password: bus%d } ] }\n", i, i, i)
	}
	return fmt.Sprintf(`server_name: %s
listen: "127.0.0.1:%d"
max_payload: %d
jetstream { store_dir: %q, sync_interval: %s, max_file_store: 10GB }
cluster { name: ledger, listen: "127.0.0.1:%d", routes: [%s] }
accounts {
%s  $SYS { users: [ { user: sys, password: sys } ] }
}
`, n.name, n.client, 8<<20+64<<10, n.store, c.sync, n.route, strings.Join(routes, ", "), places.String())
}

// Start starts a node that doesn't run.
func (c *Cluster) Start(t testing.TB, i int) {
	t.Helper()
	n := c.nodes[i]
	file := filepath.Join(c.dir, n.name+".conf")
	if err := os.WriteFile(file, []byte(c.config(n)), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, n.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), lifetime) // Kill ends it, after the test's context
	n.cmd = exec.CommandContext(ctx, c.binary, "-c", file)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive the test
	if err := n.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	n.over = make(chan struct{})
	go func(cmd *exec.Cmd, over chan struct{}) {
		defer cancel()
		_ = cmd.Wait() // it is killed
		close(over)
	}(n.cmd, n.over)
}

// Kill kills a node and waits until it is dead.
func (c *Cluster) Kill(t testing.TB, i int) {
	t.Helper()
	n := c.nodes[i]
	if n.cmd == nil {
		return
	}
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-n.over
	n.cmd = nil
}

// Pause stops a node where it is, until Resume.
func (c *Cluster) Pause(t testing.TB, i int) { c.signal(t, i, syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (c *Cluster) Resume(t testing.TB, i int) { c.signal(t, i, syscall.SIGCONT) }

func (c *Cluster) signal(t testing.TB, i int, s os.Signal) {
	t.Helper()
	if err := c.nodes[i].cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Index is the place of a node in the cluster, by the name it gives itself; -1
// when there is none.
func (c *Cluster) Index(name string) int {
	return slices.IndexFunc(c.nodes[:], func(n *node) bool { return n.name == name })
}

// Log is what a node has said.
func (c *Cluster) Log(i int) string {
	raw, _ := os.ReadFile(filepath.Join(c.dir, c.nodes[i].name+".log")) // for a failure's words only
	return string(raw)
}
