package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"kosk/device/config"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/all"
	"kosk/offline"
	"kosk/offline/control"
	"kosk/offline/queue"
)

// The rules of these commands are:
//   - a kiosk that runs is asked over its socket, and answers itself;
//   - only when none runs is the file opened here: to read, or for what changes it;
//   - a file is never made, mended or salvaged here;
//   - what was sealed stays sealed: nobody reads a request at a kiosk.

type queueCommand struct {
	Ls      queueListCommand    `cmd:"" help:"List the requests that wait, and those set aside."`
	Show    queueShowCommand    `cmd:"" help:"Show one request, as far as it isn't sealed."`
	Park    queueParkCommand    `cmd:"" help:"Set a request aside: it isn't sent until it is put back."`
	Requeue queueRequeueCommand `cmd:"" help:"Put a request that is set aside back to where it stood."`
	Release queueReleaseCommand `cmd:"" help:"Let those go on that wait behind a request that is set aside."`
	Export  queueExportCommand  `cmd:"" help:"Write a request to a file, sealed as it is, for the operator of the bus."`
	Check   queueCheckCommand   `cmd:"" help:"Read everything that is stored, and say what is damaged."`
}

// A kioskOf names the kiosk that a command is about.
type kioskOf struct {
	Config string `default:"/etc/kosk/kiosk.toml" type:"path" help:"The kiosk's configuration file."`
	JSON   bool   `name:"json" help:"Print JSON instead of words."`
}

// askTime is how long a question may take, a check of a full file too.
const askTime = 25 * time.Second

// ask asks the running kiosk, or a stopped one's file.
func (k kioskOf) ask(ctx context.Context, q control.Request) (control.Response, error) {
	cfg, err := config.Load(k.Config)
	if err != nil {
		if advice := configAdvice(err); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: %s", err, advice)
		}
		return control.Response{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := control.Ask(ctx, cfg.State.Socket(), q)
	if errors.Is(err, control.ErrNotRunning) && q.Verb != control.Status && q.Verb != control.EmptyBin {
		r, err = askFile(ctx, cfg, q)
	}
	return r, explainQueue(cfg, q.Verb, err)
}

// askFile answers from the file of a stopped kiosk.
func askFile(ctx context.Context, cfg config.Config, q control.Request) (r control.Response, err error) {
	path := cfg.State.Queue()
	if _, err := os.Lstat(path); err != nil {
		return r, err // queue would make one
	}
	o := queue.Options{MaxSize: int64(cfg.Queue.MaxMB) << 20, LockWait: lockWait}
	keys, err := openKeys(cfg)
	if err != nil && q.Verb.Changes() {
		return r, err
	}
	var wrapper queue.Wrapper // nil: notes stay sealed
	if keys != nil {
		defer keys.Close()
		wrapper = keys
	}
	if !q.Verb.Changes() {
		file, err := queue.OpenReader(ctx, path, o, wrapper)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		r = (&control.Desk{Queue: file}).Do(ctx, q)
		return r, r.Err()
	}
	if wrapper == nil {
		return r, errNoKeys // else a key of this opening would lie bare in the file
	}
	file, err := queue.OpenSealed(ctx, path, o, wrapper)
	if err != nil {
		return r, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- file.Run(running) }()
	r = (&control.Desk{Queue: file}).Do(ctx, q)
	stop()
	return r, errors.Join(r.Err(), <-ended, file.Close())
}

// errNoKeys says that what guards the kiosk's keys can't be had.
var errNoKeys = errors.New("the keys of this kiosk can't be had")

// keysOf is a queue.Wrapper that is closed.
type keysOf interface {
	queue.Wrapper
	io.Closer
}

// openKeys opens what guards the keys. It makes none: nil is that there is no
// file of keys yet, or not for this user.
func openKeys(cfg config.Config) (keysOf, error) {
	if _, err := os.Stat(cfg.State.KeyStore()); err != nil {
		return nil, nil
	}
	keys, err := all.Keystore(cfg.State.Keys, cfg.State.KeyStore())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeys, err)
	}
	return keys, nil
}

// explainQueue adds what the technician can do.
func explainQueue(cfg config.Config, verb control.Verb, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, control.ErrNotRunning):
		return fmt.Errorf("%w: start it and ask again", err)
	case errors.Is(err, queue.ErrInUse):
		return fmt.Errorf("the kiosk holds %s and doesn't answer at %s: wait until it has started, or see its log", cfg.State.Queue(), cfg.State.Socket())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as the kiosk's own user or as root", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the kiosk makes it at its first start", err)
	case errors.Is(err, queue.ErrDamaged):
		return fmt.Errorf("%w: citizens' requests are in it, don't delete it; the kiosk saves what it can at its next start", err)
	case errors.Is(err, errNoKeys):
		return fmt.Errorf("%w: without them nothing is changed; kioskctl check says what to do", err)
	case errors.Is(err, control.ErrQuestion) && verb == control.Park:
		return fmt.Errorf("%w: a reason is one word of a-z 0-9 _ . -", err)
	case errors.Is(err, offline.ErrNotFound):
		return fmt.Errorf("%w%s: see kioskctl queue ls", err, map[control.Verb]string{
			control.Park:    ", or set aside already, or delivered meanwhile",
			control.Requeue: ", or not set aside, or delivered meanwhile",
			control.Release: ", or not set aside",
			control.Export:  ", or delivered meanwhile",
		}[verb])
	}
	return err
}

type queueListCommand struct {
	kioskOf
	State []string `enum:"queued,parked,finished" help:"Only those: queued, parked (set aside), finished. Default: queued,parked."`
}

// Run lists requests, the oldest first.
func (c queueListCommand) Run(ctx context.Context, out io.Writer) error {
	r, err := c.ask(ctx, control.Request{Verb: control.List, States: c.State})
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(out, append([]control.Item{}, r.Items...))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, i := range r.Items {
		made := "notes sealed"
		if !i.Created.IsZero() {
			made = i.Created.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d bytes\t%s\t%s\n", i.ID, i.State, i.Class, made, i.Size, tries(i), i.Reason)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	told := map[string]bool{"": true}
	for _, i := range r.Items {
		if what := meaning(i.Reason); what != "" && !told[i.Reason] {
			fmt.Fprintf(out, "%s: %s\n", i.Reason, what)
		}
		told[i.Reason] = true
	}
	_, err = fmt.Fprintf(out, "%d in all\n", len(r.Items))
	return err
}

// meaning is what the citizen is told of a reason, in the kiosk's languages; empty
// when it has no words of its own.
func meaning(reason string) string {
	key, ok := session.RefusalTitle(reason)
	if !ok {
		return ""
	}
	var all []string
	for _, lang := range text.Langs {
		all = append(all, text.In(lang, key).String())
	}
	return strings.Join(all, " | ")
}

func tries(i control.Item) string {
	switch {
	case i.Attempts == 0:
		return "not tried"
	case i.Attempts == 1:
		return "tried once"
	}
	return fmt.Sprintf("tried %d times", i.Attempts)
}

type queueShowCommand struct {
	kioskOf
	ID string `arg:"" help:"The request's id."`
}

// Run shows a request.
func (c queueShowCommand) Run(ctx context.Context, out io.Writer) error {
	r, err := c.ask(ctx, control.Request{Verb: control.Show, ID: c.ID})
	if err != nil {
		return err
	}
	if len(r.Items) != 1 {
		return offline.ErrNotFound
	}
	i := r.Items[0]
	if c.JSON {
		return writeJSON(out, i)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("id", i.ID)
	line("state", i.State)
	line("reason", i.Reason)
	line("means", meaning(i.Reason))
	line("class", i.Class)
	if i.Blocks {
		line("refusal", "holds back those behind it")
	}
	line("stream", i.Stream)
	if i.State != "finished" {
		line("size", fmt.Sprintf("%d bytes, sealed for the bus", i.Size))
		line("tries", tries(i))
		line("maybe sent", map[bool]string{true: "yes: the bus is asked before it is sent again", false: "no"}[i.MaybeSent])
	}
	if !i.Created.IsZero() {
		line("made", i.Created.Format(time.RFC3339)+map[bool]string{true: "", false: ", by a clock that was not trusted"}[i.Trusted])
	}
	if i.Sealed {
		line("notes", "sealed: their key is not to be had here")
	}
	if i.TTL > 0 {
		line("lives", (time.Duration(i.TTL) * time.Second).String())
	}
	line("trace", i.Trace)
	if len(i.Receipt) > 0 {
		line("receipt", fmt.Sprintf("%d bytes, signed by the bus", len(i.Receipt)))
	}
	return w.Flush()
}

// decide carries out a change and says so.
func (k kioskOf) decide(ctx context.Context, out io.Writer, q control.Request, done string) error {
	if _, err := k.ask(ctx, q); err != nil {
		return err
	}
	if k.JSON {
		return writeJSON(out, map[string]string{"id": q.ID, "done": string(q.Verb)})
	}
	_, err := fmt.Fprintln(out, q.ID, done)
	return err
}

type queueParkCommand struct {
	kioskOf
	ID     string `arg:"" help:"The request's id."`
	Reason string `default:"operator" help:"Why, in one word: a-z 0-9 _ . - only."`
}

// Run sets a request aside.
func (c queueParkCommand) Run(ctx context.Context, out io.Writer) error {
	return c.decide(ctx, out, control.Request{Verb: control.Park, ID: c.ID, Reason: c.Reason}, "is set aside; 'kioskctl queue requeue' puts it back")
}

type queueRequeueCommand struct {
	kioskOf
	ID string `arg:"" help:"The request's id."`
}

// Run puts a request back.
func (c queueRequeueCommand) Run(ctx context.Context, out io.Writer) error {
	return c.decide(ctx, out, control.Request{Verb: control.Requeue, ID: c.ID}, "waits for the bus again")
}

type queueReleaseCommand struct {
	kioskOf
	ID string `arg:"" help:"The id of the request that is set aside."`
}

// Run lets a stream go on.
func (c queueReleaseCommand) Run(ctx context.Context, out io.Writer) error {
	return c.decide(ctx, out, control.Request{Verb: control.Release, ID: c.ID}, "stays aside; those behind it go on")
}

type queueExportCommand struct {
	kioskOf
	ID  string `arg:"" help:"The request's id."`
	Out string `required:"" type:"path" help:"The file to write; it must not be there yet."`
}

// Run writes a request: a line of JSON, and the body, which only the bus can open.
func (c queueExportCommand) Run(ctx context.Context, out io.Writer) error {
	r, err := c.ask(ctx, control.Request{Verb: control.Export, ID: c.ID})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(r.Body)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(out, map[string]any{"id": c.ID, "file": c.Out, "bytes": len(r.Body)})
	}
	_, err = fmt.Fprintf(out, "%s: %d bytes, which only the bus can open\n", c.Out, len(r.Body))
	return err
}

type queueCheckCommand struct{ kioskOf }

// Run reads everything.
func (c queueCheckCommand) Run(ctx context.Context, out io.Writer) error {
	r, err := c.ask(ctx, control.Request{Verb: control.Check})
	if err != nil {
		return err
	}
	if r.Checked == nil {
		return errors.New("the kiosk's answer holds no result")
	}
	if c.JSON {
		err = writeJSON(out, r.Checked)
	} else {
		_, err = fmt.Fprintf(out, "%d requests of %d bytes, %d receipts, %d with sealed notes\n",
			r.Checked.Items, r.Checked.Bytes, r.Checked.Receipts, r.Checked.Sealed)
	}
	if err == nil && len(r.Checked.Damaged) > 0 {
		err = fmt.Errorf("%d damaged: %q: stop the kiosk, copy %s to safety, call the operator", len(r.Checked.Damaged), r.Checked.Damaged, "queue.db")
	}
	return err
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
