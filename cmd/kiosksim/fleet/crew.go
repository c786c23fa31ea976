package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"kosk/device/provision"
	"kosk/device/request"
	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/courier"
	"kosk/offline/queue"
)

// An Order tells a process of kiosks what to do.
type Order struct {
	Kiosks  []string      `json:"kiosks"`           // folders, each with a station; its queue is made there
	First   uint64        `json:"first"`            // number of each kiosk's first request
	Backlog int           `json:"backlog"`          // requests that each kiosk holds before it looks at the line
	Rate    float64       `json:"rate"`             // requests a second, of each kiosk, from then on
	Waits   bool          `json:"waits"`            // for each of these a citizen waits, and it is timed
	Spread  time.Duration `json:"spread"`           // of the first contact; 0: as kiosks do it
	Drain   bool          `json:"drain"`            // end when nothing is queued
	NewIDs  bool          `json:"new_ids,omitzero"` // every attempt under an id of its own: what a courier must never do
}

// What a crew says, a line each.
const (
	saidPromise = '+' // +STATION NUMBER: the request is stored, and was promised
	saidHeld    = '=' // every kiosk holds its backlog
	saidWaited  = '~' // ~MILLISECONDS from the confirmation to the receipt, of a request that was waited for
	saidEmpty   = '.' // every queue is empty; once
	saidTally   = '$' // $JSON, a Tally, at the end
)

// A Tally is what the couriers of a crew count.
type Tally struct {
	Delivered  int `json:"delivered"`
	Recovered  int `json:"recovered"`   // of these: found at the bus by asking
	Retries    int `json:"retries"`     // attempts that did not end the matter
	TurnedAway int `json:"turned_away"` // of these: the bus had no room
	Parked     int `json:"parked"`
	Unverified int `json:"unverified"`
}

func (t *Tally) add(o Tally) {
	t.Delivered += o.Delivered
	t.Recovered += o.Recovered
	t.Retries += o.Retries
	t.TurnedAway += o.TurnedAway
	t.Parked += o.Parked
	t.Unverified += o.Unverified
}

// Figures of a crew's kiosks.
const (
	streams    = 3  // of a kiosk's requests
	mostQueued = 40 // more are not put: the citizens have gone elsewhere
	lookEvery  = 20 * time.Millisecond
	waitAtMost = 2 * time.Minute // of a citizen
)

// A crew is kiosks in one process: for each a queue in a file, a courier, a line.
type crew struct {
	Order
	posts []*post

	mu  sync.Mutex // guards out
	out io.Writer
}

// A post is one kiosk of a crew.
type post struct {
	*provision.Station
	queue   *queue.Queue
	line    *bus.Client
	courier *courier.Courier
	next    uint64
}

// Crew runs kiosks as the Order says that stands in in, until in ends, or, when
// it is to drain, until nothing is queued. What happens is said on out.
func Crew(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	c := &crew{out: out}
	words := bufio.NewReader(in)
	text, err := words.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("crew: read order: %w", err)
	}
	if err := json.Unmarshal(text, &c.Order); err != nil {
		return fmt.Errorf("crew: read order: %w", err)
	}
	defer func() {
		for _, p := range c.posts {
			p.line.Close()
			err = errors.Join(err, p.queue.Close())
		}
	}()
	for _, dir := range c.Kiosks {
		p, err := c.open(dir)
		if err != nil {
			return fmt.Errorf("crew: %w", err)
		}
		c.posts = append(c.posts, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.Drain {
		go func() {
			_, _ = io.Copy(io.Discard, words) // whatever ends it, it is the end
			cancel()
		}()
	}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("crew: %w", err)
	}
	return nil
}

// open makes a kiosk of a folder.
func (c *crew) open(dir string) (*post, error) {
	s, err := provision.Load(dir)
	if err != nil {
		return nil, err
	}
	p := &post{Station: s, next: c.First}
	if p.line, err = dial(s); err != nil {
		return nil, err
	}
	if p.queue, err = queue.Open(filepath.Join(dir, "queue.db"), queue.Options{Station: s.Name, LockWait: endWithin}); err != nil {
		return nil, err
	}
	wiring := courier.Options{Queue: p.queue, Bus: p.line, Verify: verifier(s), FirstContact: c.Spread}
	if c.NewIDs {
		wiring.Bus = forgetful{p.line, s}
		wiring.Verify = func(string, []byte, []byte) error { return nil } // it is signed for the other id
	}
	p.courier, err = courier.New(wiring)
	return p, errors.Join(err, func() error {
		if err == nil {
			return nil
		}
		return p.queue.Close()
	}())
}

// run lets every kiosk work until ctx ends, or until all are empty.
func (c *crew) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stores, all sync.WaitGroup
	ends := make(chan error, 3*len(c.posts)+1)
	end := func(err error) {
		if err != nil {
			ends <- err
			cancel()
		}
	}
	keep, stop := context.WithCancel(context.WithoutCancel(ctx)) // queues end last
	for _, p := range c.posts {
		stores.Go(func() { end(p.queue.Run(keep)) })
	}
	for _, p := range c.posts {
		for range c.Backlog {
			if _, err := c.put(ctx, p, offline.Today); err != nil {
				end(err)
				break
			}
		}
	}
	c.say("%c", saidHeld)
	for _, p := range c.posts {
		all.Go(func() { end(p.courier.Run(ctx)) })
		if c.Rate > 0 {
			all.Go(func() { end(c.citizens(ctx, p)) })
		}
	}
	all.Go(func() {
		end(c.watch(ctx))
		if c.Drain {
			cancel()
		}
	})
	all.Wait()
	stop()
	stores.Wait()
	select {
	case err := <-ends:
		return err
	default:
		return c.tally()
	}
}

// put seals the next request of a kiosk, stores it, and says so.
func (c *crew) put(ctx context.Context, p *post, class offline.Class) (id string, err error) {
	d := draft(p.Station, p.next)
	if d.ID, err = idOf(p.Name, p.next, 0); err != nil {
		return "", err
	}
	p.next++
	body, err := request.Seal(d, p.Key, p.Recipient)
	if err != nil {
		return "", err
	}
	item := offline.Item{ID: string(d.ID), Stream: strconv.FormatUint(d.MonoSeq%streams, 10), Class: class, Body: body}
	if c.Waits && class == offline.Waiting { // a citizen who stands there now is none of the backlog's
		item.Stream = item.ID
	}
	if err := p.queue.Put(ctx, item); err != nil {
		return "", err
	}
	c.say("%c%s %d", saidPromise, p.Name, d.MonoSeq)
	return item.ID, nil
}

// citizens come to a kiosk at moments by chance.
func (c *crew) citizens(ctx context.Context, p *post) error {
	var all sync.WaitGroup
	defer all.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Duration(rand.ExpFloat64() / c.Rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if s, err := p.queue.Stats(); err != nil || !c.Waits && s.Queued >= mostQueued {
			if err != nil {
				return err
			}
			continue
		}
		began := time.Now()
		id, err := c.put(ctx, p, offline.Waiting)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Waits {
			all.Go(func() { c.wait(ctx, p, id, began) })
		}
	}
}

// wait times a request from its confirmation to the bus's receipt.
func (c *crew) wait(ctx context.Context, p *post, id string, began time.Time) {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	accepted := false
	_ = p.courier.Track(ctx, id, func(g offline.Progress) { // without an end it counts as having waited so long
		if g.Stage >= offline.Accepted {
			accepted = true
			cancel()
		}
	})
	if accepted || context.Cause(ctx) == context.DeadlineExceeded {
		c.say("%c%d", saidWaited, time.Since(began).Milliseconds())
	}
}

// watch says when nothing is queued any more, and returns then.
func (c *crew) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		left := 0
		for _, p := range c.posts {
			s, err := p.queue.Stats()
			if err != nil {
				return err
			}
			left += s.Queued
		}
		if left == 0 {
			c.say("%c", saidEmpty)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *crew) tally() error {
	var sum Tally
	for _, p := range c.posts {
		s, err := p.courier.Stats()
		if err != nil {
			return err
		}
		sum.add(Tally{s.Delivered, s.Recovered, s.Retries, s.TurnedAway, s.Parked + s.Queue.Parked, s.Unverified})
	}
	b, err := json.Marshal(sum)
	c.say("%c%s", saidTally, b)
	return err
}

func (c *crew) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, format+"\n", args...) // who listens has gone, and we soon
}

// The numbers in an id: "01JX", six digits of salt, four of the kiosk, twelve of
// the request.
const mostSalt = 1_000_000

// idOf is the id of a kiosk's request, always the same one for the same salt. It
// must end in four digits.
func idOf(station string, seq, salt uint64) (request.ID, error) {
	if len(station) < 4 {
		return "", fmt.Errorf("station %s has no number", station)
	}
	return request.ParseID(fmt.Sprintf("01JX%06d%s%012d", salt, station[len(station)-4:], seq))
}

// forgetful is a line on which every attempt has an id of its own, with an
// envelope of its own, and which remembers none.
type forgetful struct {
	*bus.Client
	station *provision.Station
}

// Send seals the request anew under another id.
func (f forgetful) Send(ctx context.Context, id, trace string, _ []byte) ([]byte, offline.Pace, error) {
	seq, err := strconv.ParseUint(id[len(id)-12:], 10, 64)
	if err != nil {
		return nil, offline.Pace{}, err
	}
	d := draft(f.station, seq)
	if d.ID, err = idOf(f.station.Name, seq, rand.Uint64N(mostSalt)); err != nil {
		return nil, offline.Pace{}, err
	}
	body, err := request.Seal(d, f.station.Key, f.station.Recipient)
	if err != nil {
		return nil, offline.Pace{}, err
	}
	return f.Client.Send(ctx, string(d.ID), trace, body)
}

// Status knows nothing.
func (f forgetful) Status(context.Context, string) (offline.Progress, error) {
	return offline.Progress{}, offline.ErrNotFound
}
