package pulse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"kosk/drivers/sound"
	"kosk/drivers/speech"
	"kosk/drivers/speech/wav"
)

// The rules are: the daemon holds up to target of a clip, so that our process
// may be late; it asks for more in steps of request, and by EarlyRequests runs
// the device that close to its end, so that a deleted stream is silent after
// request at the latest, even on a device that can't take back what it has.
const (
	target  = 500 * time.Millisecond
	request = 20 * time.Millisecond

	answer = 5 * time.Second       // a daemon that has not answered by then is gone; a drain may take 2 s on a deep device
	stall  = 3 * time.Second       // as is one that doesn't ask for more
	stop   = 40 * time.Millisecond // for the answer to deleting a stream
)

const cookieSize = 256

var (
	errLost   = errors.New("connection lost")
	errStall  = errors.New("daemon has stalled")
	errStream = errors.New("stream refused") // the daemon itself is well
)

// A conn is one connection. Its read loop is the library's goroutine, which ends
// with the socket.
type conn struct {
	client *proto.Client
	socket net.Conn
	lost   chan struct{} // closed when the connection is
	once   sync.Once

	more chan struct{} // capacity 1: credit has changed

	mu     sync.Mutex
	credit map[uint32]int // stream -> bytes asked for and not yet sent
	killed map[uint32]bool
}

func dial(path string, cookie []byte) (*conn, error) {
	socket, err := net.DialTimeout("unix", path, answer)
	if err != nil {
		return nil, err
	}
	c := &conn{
		socket: socket,
		lost:   make(chan struct{}),
		more:   make(chan struct{}, 1),
		credit: map[uint32]int{},
		killed: map[uint32]bool{},
	}
	c.client = &proto.Client{Callback: c.event}
	c.client.SetTimeout(answer)
	c.client.Open(&watched{socket, c.drop})
	if err := c.introduce(cookie); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *conn) introduce(cookie []byte) error {
	var auth proto.AuthReply
	if err := c.client.Request(&proto.Auth{Version: c.client.Version(), Cookie: cookie}, &auth); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	c.client.SetVersion(auth.Version)
	props := proto.PropList{"application.name": proto.PropListString("kosk")}
	if err := c.client.Request(&proto.SetClientName{Props: props}, &proto.SetClientNameReply{}); err != nil {
		return fmt.Errorf("name client: %w", err)
	}
	return nil
}

// watched tells of any read error: the library tells of io.EOF only.
type watched struct {
	net.Conn
	drop func()
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.drop()
	}
	return n, err
}

func (c *conn) drop() { c.once.Do(func() { close(c.lost) }) }

func (c *conn) close() {
	c.socket.Close()
	c.drop()
}

func (c *conn) alive() bool {
	select {
	case <-c.lost:
		return false
	default:
		return true
	}
}

// event gets what the daemon says unasked, in the read loop: it must not wait.
func (c *conn) event(message any) {
	c.mu.Lock()
	switch m := message.(type) {
	case *proto.Request:
		c.credit[m.StreamIndex] += int(m.Length)
	case *proto.PlaybackStreamKilled:
		c.killed[m.StreamIndex] = true
	}
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// take takes up to n bytes of the credit of a stream.
func (c *conn) take(stream uint32, n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed[stream] {
		return 0, fmt.Errorf("%w: killed by the daemon", errStream)
	}
	n = min(n, c.credit[stream]) &^ 1 // whole samples
	c.credit[stream] -= n
	return n, nil
}

// play makes a stream, feeds it, waits until it was heard, and deletes it: at
// once when ctx ends.
func (c *conn) play(ctx context.Context, clip speech.Clip) error {
	stream, err := c.create(clip.Rate)
	if err != nil {
		return err
	}
	err = c.feed(ctx, stream, wav.Append(nil, clip.Samples))
	if err == nil {
		err = c.drain(ctx, stream)
	}
	return errors.Join(err, c.remove(stream))
}

func (c *conn) create(rate int) (stream uint32, err error) {
	size := func(d time.Duration) uint32 { return uint32(2 * int(d*time.Duration(rate)/time.Second)) }
	var reply proto.CreatePlaybackStreamReply
	err = c.client.Request(&proto.CreatePlaybackStream{
		SampleSpec:            proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 1, Rate: uint32(rate)},
		ChannelMap:            proto.ChannelMap{proto.ChannelMono},
		SinkIndex:             proto.Undefined,
		BufferMaxLength:       2 * size(target),
		BufferTargetLength:    size(target),
		BufferPrebufferLength: size(request),
		BufferMinimumRequest:  size(request),
		EarlyRequests:         true,
		ChannelVolumes:        proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		Properties:            proto.PropList{"media.name": proto.PropListString("voice"), "media.role": proto.PropListString("a11y")},
	}, &reply)
	var refused proto.Error
	if errors.As(err, &refused) {
		return 0, fmt.Errorf("%w: %w", errStream, err)
	}
	if err != nil {
		return 0, fmt.Errorf("create stream: %w", err)
	}
	c.mu.Lock()
	c.credit[reply.StreamIndex] += int(reply.Missing)
	c.mu.Unlock()
	return reply.StreamIndex, nil
}

// feed sends the samples as the daemon asks for them.
func (c *conn) feed(ctx context.Context, stream uint32, b []byte) error {
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for len(b) > 0 {
		n, err := c.take(stream, len(b))
		if err != nil {
			return err
		}
		if n > 0 {
			if err := c.client.Send(stream, b[:n]); err != nil {
				return fmt.Errorf("send samples: %w", err)
			}
			b = b[n:]
			timer.Reset(stall)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.lost:
			return errLost
		case <-timer.C:
			return errStall
		case <-c.more:
		}
	}
	return nil
}

// drain waits until the daemon says that the last sample was played.
func (c *conn) drain(ctx context.Context, stream uint32) error {
	done := make(chan error, 1)
	go func() { done <- c.client.Request(&proto.DrainPlaybackStream{StreamIndex: stream}, nil) }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		if err != nil {
			return fmt.Errorf("drain: %w", err)
		}
		return nil
	}
}

// remove deletes the stream with all that it still holds. A daemon that doesn't
// say quickly that it did loses its connection, and with it the stream.
func (c *conn) remove(stream uint32) error {
	done := make(chan error, 1)
	go func() { done <- c.client.Request(&proto.DeletePlaybackStream{StreamIndex: stream}, nil) }()
	timer := time.NewTimer(stop)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		err = errStall
	}
	if err != nil {
		c.close()
		return fmt.Errorf("delete stream: %w", err)
	}
	c.mu.Lock()
	delete(c.credit, stream)
	delete(c.killed, stream)
	c.mu.Unlock()
	return nil
}

// socket finds the daemon's socket.
func socket(server string) (string, error) {
	if server == "" {
		server = os.Getenv("PULSE_SERVER")
	}
	if server == "" {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if dir == "" {
			return "", fmt.Errorf("%w: neither a server nor XDG_RUNTIME_DIR is set", sound.ErrNoSink)
		}
		server = filepath.Join(dir, "pulse/native")
	}
	path := strings.TrimPrefix(server, "unix:")
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("server %q: not a unix socket", server)
	}
	return path, nil
}

// readCookie returns what proves to the daemon that we are its user. A daemon
// that lets in everybody takes any.
func readCookie() ([]byte, error) {
	path := os.Getenv("PULSE_COOKIE")
	if path == "" {
		path = filepath.Join(os.Getenv("HOME"), ".config/pulse/cookie")
	}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return make([]byte, cookieSize), nil
	case err != nil:
		return nil, fmt.Errorf("cookie: %w", err)
	case len(b) != cookieSize:
		return nil, fmt.Errorf("cookie of %d bytes, want %d", len(b), cookieSize)
	}
	return b, nil
}
