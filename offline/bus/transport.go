package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// A connection that stands idle is asked for a sign of life by the kernel, so that
// a cut line is noticed although nothing is sent: 2 s after the last sign, and then
// each second; after 5 s without one the connection is over. One idle connection
// costs a probe and its answer every 2 s: 132 bytes of Ethernet frames, 66 bytes/s.
const (
	aliveAfter     = 2 * time.Second
	aliveEvery     = time.Second
	aliveCount     = 3
	silentAtMost   = 5 * time.Second // unanswered bytes, too
	tcpUserTimeout = 0x12            // linux/tcp.h, TCP_USER_TIMEOUT
)

// newHTTP makes a client that tries once: HTTP/1.1, no proxy, no redirects. It
// calls lost, which may be nil, when a connection ends that we did not end.
func newHTTP(conf *tls.Config, d Deadlines, lost func(error)) *http.Client {
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{"http/1.1"}
	dialer := &net.Dialer{
		Timeout:         d.Connect,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: aliveAfter, Interval: aliveEvery, Count: aliveCount},
		Control:         limitSilence,
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, address)
				if err != nil || lost == nil {
					return c, err
				}
				return &heeded{c, lost}, nil
			},
			TLSHandshakeTimeout:    d.Connect,
			TLSClientConfig:        conf,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func limitSilence(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silentAtMost.Milliseconds()))
	})
	return errors.Join(err, failed)
}

// heeded is a connection whose end is told. net/http reads from idle connections
// too, so the end is seen when it comes.
type heeded struct {
	net.Conn
	lost func(error)
}

func (c *heeded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.lost(err)
	}
	return n, err
}
