package document

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kosk/drivers/printer"
)

// A rawPort is a printer that takes what comes on a TCP port (RFC 2569 calls it
// AppSocket; 9100 by custom) and, where it knows PJL, says how it goes.
type rawPort struct{ address string }

func newRaw(u *url.URL) *rawPort {
	port := u.Port()
	if port == "" {
		port = "9100"
	}
	return &rawPort{net.JoinHostPort(u.Hostname(), port)}
}

// Pieces of PJL. HP, Printer Job Language Technical Reference, chapters 4 and 7.
const (
	exit      = "\x1b%-12345X" // universal exit language
	askStatus = exit + "@PJL\r\n@PJL INFO STATUS\r\n" + exit
	maxReply  = 4 << 10 // bytes between two form feeds
	replyIn   = 2 * time.Second
)

// dial opens the port; what is under way ends with ctx.
func (p *rawPort) dial(ctx context.Context) (c net.Conn, hangUp func(), err error) {
	d := net.Dialer{Timeout: askWithin}
	c, err = d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", printer.ErrUnplugged, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return c, func() {
		stop()
		_ = c.Close()
	}, nil
}

// listen lets the next reading take until a time, and no longer than ctx.
func listen(ctx context.Context, c net.Conn, until time.Time) error {
	err := c.SetReadDeadline(until)
	if err == nil && ctx.Err() != nil { // its end may have come before
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", printer.ErrMute, err)
	}
	return nil
}

func (p *rawPort) status(ctx context.Context) (printer.Status, error) {
	c, hangUp, err := p.dial(ctx)
	if err != nil {
		return printer.Status{}, err
	}
	defer hangUp()
	s := printer.Status{Online: true}
	if _, err := io.WriteString(c, askStatus); err != nil {
		return s, fmt.Errorf("%w: %w", printer.ErrMute, err)
	}
	if err := listen(ctx, c, time.Now().Add(replyIn)); err != nil {
		return s, err
	}
	reply, err := readReply(bufio.NewReaderSize(c, maxReply))
	switch {
	case ctx.Err() != nil:
		return s, context.Cause(ctx)
	case err != nil || !strings.HasPrefix(reply.head, "@PJL INFO STATUS"):
		return s, nil // a port that only listens
	}
	return pjlStatus(reply), nil
}

// A reply is what a printer said up to a form feed: its first line, the lines
// without a value, and the values of the others.
type reply struct {
	head   string
	words  []string
	values map[string]string
}

// readReply reads one. An error is io's, or errReply for one without an end.
func readReply(r *bufio.Reader) (reply, error) {
	b, err := r.ReadSlice('\f')
	if errors.Is(err, bufio.ErrBufferFull) {
		return reply{}, errReply
	}
	if err != nil {
		return reply{}, err
	}
	return parseReply(bytes.TrimSuffix(b, []byte{'\f'})), nil
}

var errReply = errors.New("reply of a printer without an end")

func parseReply(b []byte) reply {
	out := reply{values: map[string]string{}}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		name, v, has := strings.Cut(line, "=")
		switch {
		case line == "":
		case out.head == "" && strings.HasPrefix(line, "@PJL"):
			out.head = line
		case has:
			out.values[strings.ToUpper(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(v), `"`)
		default:
			out.words = append(out.words, line)
		}
	}
	return out
}

// pjlStatus reads a status code. PJL Technical Reference, appendix D: 10xyy
// information, 30xyy attention, 40xyy operator, 41xyy paper, 42xyy jam, 50xyy
// hardware.
func pjlStatus(r reply) printer.Status {
	s := printer.Status{Model: "PJL", Online: !strings.EqualFold(r.values["ONLINE"], "FALSE"), Paper: printer.PaperFull}
	code, err := strconv.Atoi(r.values["CODE"])
	if err != nil {
		s.Paper = printer.PaperUnknown
		return s
	}
	switch {
	case code == 40021: // cover open
		s.CoverOpen = true
	case code == 40022 || code/1000 == 42:
		s.Paper = printer.PaperJammed
	case code/1000 == 41:
		s.Paper = printer.PaperOut
	case code == 10002 || code == 40079:
		s.Online = false
	case code >= 40000:
		s.Fault = true
	}
	return s
}

// print sends the page as a job by name, and waits for the printer to say that
// the job has ended, and with how many pages. A port that never said that the
// job began doesn't speak: it is not waited for.
func (p *rawPort) print(ctx context.Context, name string, pdf []byte) (printer.Outcome, error) {
	c, hangUp, err := p.dial(ctx)
	if err != nil {
		return printer.Failed, err
	}
	defer hangUp()
	name = plain(name)
	job := bytes.Join([][]byte{
		[]byte(exit + "@PJL\r\n@PJL USTATUS JOB=ON\r\n@PJL JOB NAME=\"" + name + "\"\r\n@PJL ENTER LANGUAGE=PDF\r\n"),
		pdf,
		[]byte(exit + "@PJL\r\n@PJL EOJ NAME=\"" + name + "\"\r\n" + exit),
	}, nil)
	if n, err := c.Write(job); err != nil {
		err = fmt.Errorf("%w: %w", printer.ErrMute, errors.Join(context.Cause(ctx), err))
		if n == 0 {
			return printer.Failed, err
		}
		return printer.Unknown, err
	}
	if err := listen(ctx, c, time.Now().Add(replyIn)); err != nil {
		return printer.Unknown, err
	}
	in := bufio.NewReaderSize(c, maxReply)
	for {
		r, err := readReply(in)
		if err != nil {
			return printer.Unknown, fmt.Errorf("%w: %w", printer.ErrMute, errors.Join(context.Cause(ctx), err))
		}
		if !strings.HasPrefix(r.head, "@PJL USTATUS JOB") || r.values["NAME"] != name {
			continue
		}
		switch word := strings.Join(r.words, " "); word {
		case "START": // it speaks: it may take its time
			late, _ := ctx.Deadline()
			if err := listen(ctx, c, late); err != nil {
				return printer.Unknown, err
			}
		case "END", "CANCELED":
			return pjlEnd(word, r.values["PAGES"])
		}
	}
}

// pjlEnd reads the end of a job.
func pjlEnd(word, pages string) (printer.Outcome, error) {
	n, err := strconv.Atoi(pages)
	switch {
	case word == "END" && n > 0:
		return printer.Confirmed, nil
	case err == nil && n == 0:
		return printer.Failed, errJob
	}
	return printer.Unknown, errJob
}

// plain is a name as PJL allows one: printable ASCII without quotes, 80 bytes.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' {
			return '_'
		}
		return r
	}, name)
	return name[:min(len(name), 80)]
}

// clear does nothing: what a raw port has taken is out of reach.
func (p *rawPort) clear(context.Context) error { return nil }
