package device_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"go.uber.org/goleak"

	"kosk/device"
	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/identity/identitytest"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/voice"
	"kosk/drivers/card"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/vcard"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
	"kosk/drivers/speech"
	"kosk/drivers/speech/mute"
	"kosk/offline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The world is what stands around a kiosk: fakes of the contracts that check
// what they are sent. The chip is the virtual card, read by the real reader of
// chips; time is the bubble's.

const can = "739164"

// aygun is whose card it is.
func aygun() vcard.Person {
	return vcard.Person{
		FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün", Sex: 'F', DocumentNumber: "AA1234567", CAN: can,
		BirthDate: time.Date(1990, 5, 12, 0, 0, 0, 0, time.UTC), Expires: time.Date(2033, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

type world struct {
	t       *testing.T
	kiosk   *device.Kiosk
	slot    *slot
	chip    *chips
	printer *paper
	outbox  *outbox
	tracker *tracker
	lookup  *lookup
	line    chan error
	log     *notes // of the loop, at debug level
	speech  *notes // the speech log
	heard   *notes // all that was made to be said, private words too
	ended   chan error
	keys    *identitytest.Keys
	pages   *sheets
	bus     *ecdsa.PublicKey // its key for certificates
	anchors *identity.Anchors
	stop    context.CancelFunc

	mu     sync.Mutex
	views  []scene.View
	doubts []string
}

func (w *world) doubted(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubts = append(w.doubts, id)
}

// visit runs a kiosk in a bubble of time, and the test in it.
func visit(t *testing.T, do func(w *world)) {
	t.Helper()
	visiting(t, false, do)
}

// paging is visit at a kiosk with a printer for pages.
func paging(t *testing.T, do func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := build(t, false, &sheets{})
		do(w)
		w.stop()
		synctest.Wait()
	})
}

// visiting is visit at a kiosk whose certificate has to be signed for, or not.
func visiting(t *testing.T, signing bool, do func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := build(t, signing, nil)
		do(w)
		w.stop()
		synctest.Wait()
	})
}

// invite is how often the idle kiosk speaks: seldom enough for the other tests.
const invite = 2 * time.Hour

func build(t *testing.T, signing bool, pages *sheets) *world {
	t.Helper()
	return buildWith(t, signing, pages, newLights(t))
}

// buildWith is build with the test's own lamps.
func buildWith(t *testing.T, signing bool, pages *sheets, lamps panel.Panel) *world {
	t.Helper()
	pki, err := vcard.NewPKI()
	check(t, err)
	chip, err := vcard.New(pki, aygun(), vcard.Profile{Latency: 10 * time.Millisecond})
	check(t, err)
	persons, err := identitytest.NewAuthority("Persons", time.Now())
	check(t, err)
	keys, err := identitytest.NewKeys(persons, "MƏMMƏDOVA", "AYGÜN", "PNOAZ-5ARPXK2")
	check(t, err)
	anchors, err := identity.NewAnchors(identity.Bundle{
		Version: 1, Issued: time.Now(), Development: true, Anchors: pki.Bundle(), Persons: [][]byte{persons.Certificate},
	})
	check(t, err)
	station, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	bus, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	box, err := age.GenerateHybridIdentity()
	check(t, err)
	offer, err := catalogue.Load()
	check(t, err)
	if signing {
		offer = sessiontest.Signing().Catalogue
	}

	w := &world{
		keys: keys, anchors: anchors,
		t: t, slot: &slot{events: make(chan card.Event), card: chip}, line: make(chan error), log: new(notes), speech: new(notes), heard: new(notes),
		ended: make(chan error, 1), printer: &paper{t: t, takes: 2 * time.Second, news: make(chan printer.Event)}, pages: pages, lookup: &lookup{t: t},
		outbox: &outbox{t: t, box: box, station: &station.PublicKey},
	}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: false}))
	w.chip = &chips{HolderReader: eid.New(log)}
	w.tracker = &tracker{bus: bus, outbox: w.outbox}
	speaker := voice.New(voice.Options{Synth: overheard{mute.New(), w.heard}, Sink: ear{}, Log: w.speech, Logger: log})
	parts := device.Parts{
		Kiosk:  session.Kiosk{Catalogue: offer, Office: catalogue.Names{Az: "ASAN", Ru: "ASAN", En: "ASAN"}, Test: true},
		Reader: w.slot, Chip: w.chip, Anchors: anchors, Printer: w.printer, Voice: speaker, Outbox: w.outbox, Tracker: w.tracker,
		Lookup: w.lookup,
		Means: map[identity.MeansID]identity.Means{
			"card": identity.Token{Keys: keys, Anchors: anchors},
			"sima": identity.Approval{ID: "sima", Lookup: w.lookup, Anchors: anchors, Scanned: true},
		},
		Line: line{w.line}, Log: log, Show: w.show, Invite: invite,
		Signer: device.Signer{
			Station: "test-1", Key: station, Recipient: box.Recipient(), Receipts: &bus.PublicKey, StreamKey: []byte("key"), BootID: "boot",
		},
		Doubt: w.doubted, Panel: lamps,
	}
	if pages != nil {
		pages.w, parts.Document = w, pages
		parts.Edition = func() (string, error) { return "1", nil }
	}
	w.bus = &bus.PublicKey
	w.kiosk = device.New(parts)
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.ended <- w.kiosk.Run(ctx) }()
	go func() { _ = speaker.Run(ctx) }()
	synctest.Wait()
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) show(v scene.View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.views = append(w.views, v)
}

// view is what the person sees now.
func (w *world) view() *scene.View {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.views[len(w.views)-1]
	return &v
}

// seen is all that was shown from a moment on.
func (w *world) seen(from int) []scene.View {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.views[from:])
}

// at fails the test when another scene is shown.
func (w *world) at(id session.State) *scene.View {
	w.t.Helper()
	v := w.view()
	if v.Scene.ID != string(id) {
		w.t.Fatalf("at %q, want %q", v.Scene.ID, id)
	}
	return v
}

// touch touches a node that must be on the screen.
func (w *world) touch(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		v := w.view()
		n := v.Scene.Find(id)
		if n == nil || n.Action == nil {
			w.t.Fatalf("%s: nothing to touch at %q", v.Scene.ID, id)
		}
		w.kiosk.Input(scene.Input{Activate: id})
		synctest.Wait()
	}
}

// key presses keys.
func (w *world) key(commands ...scene.Command) {
	for _, c := range commands {
		w.kiosk.Input(scene.Input{Command: c})
		synctest.Wait()
	}
}

// types types on the keypad.
func (w *world) types(s string) {
	for _, r := range s {
		w.kiosk.Input(scene.Input{Rune: r})
		synctest.Wait()
	}
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) put()  { w.slot.happens(card.Event{Kind: card.MediaInserted}) }
func (w *world) pull() { w.slot.happens(card.Event{Kind: card.MediaRemoved}) }

// The ways to the places where tests begin.

func (w *world) toCAN() {
	w.t.Helper()
	w.touch("lang.en", "with-card")
	w.put()
	w.at(session.AskingCAN)
}

func (w *world) toChoosing() {
	w.t.Helper()
	w.toCAN()
	w.types(can) // the last digit begins
	w.wait(3 * time.Second)
	w.at(session.Choosing)
}

func (w *world) toConsent() {
	w.t.Helper()
	w.toChoosing()
	w.pick()
	w.touch("option.bank")
	w.wait(time.Second)
	w.at(session.Reviewing)
	w.touch("next")
	w.at(session.Consenting)
}

// The card's PINs: identitytest's.
const (
	pin1 = "8642"
	pin2 = "97531"
)

// pick picks the certificate and proves who is here.
func (w *world) pick() {
	w.t.Helper()
	w.touch("service.workplace_cert")
	w.at(session.AskingPIN)
	w.types(pin1)
	w.touch("next")
	w.at(session.Filling)
}

// toAttract takes the card and lets the parting words pass.
func (w *world) toAttract() {
	w.t.Helper()
	w.at(session.TakingCard)
	w.pull()
	w.at(session.Parting)
	w.wait(6 * time.Second)
	w.at(session.Attracting)
}

// A slot is a scripted reader with one card.
type slot struct {
	events chan card.Event
	card   card.Card
}

func (s *slot) happens(e card.Event) {
	s.events <- e
	synctest.Wait()
}

func (s *slot) Watch(ctx context.Context, seen func(card.Event)) error {
	seen(card.Event{Kind: card.ReaderReady})
	for {
		select {
		case e := <-s.events:
			seen(e)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *slot) Connect(context.Context) (card.Card, error) { return s.card, nil }

// chips reads chips, or does what the test wants.
type chips struct {
	card.HolderReader
	instead func(ctx context.Context, c card.Card, can string, early func([]byte)) (*card.Chip, error)
}

func (c *chips) ReadHolder(ctx context.Context, k card.Card, can string, early func([]byte)) (*card.Chip, error) {
	if c.instead != nil {
		return c.instead(ctx, k, can, early)
	}
	return c.HolderReader.ReadHolder(ctx, k, can, early)
}

// paper is a printer that reads what it prints.
type paper struct {
	t     *testing.T
	takes time.Duration

	mu      sync.Mutex
	outcome printer.Outcome
	err     error
	busy    bool
	slips   []printer.Slip
	cleared int
	news    chan printer.Event
	taken   int // slips that it was told to take back
}

// happens has the printer tell something.
func (p *paper) happens(k printer.EventKind) {
	p.news <- printer.Event{Kind: k}
	synctest.Wait()
}

func (p *paper) Watch(ctx context.Context, tell func(printer.Event)) error {
	for {
		select {
		case e := <-p.news:
			tell(e)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *paper) Presents() bool { return true }

func (p *paper) Retract(context.Context) (printer.Media, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy {
		p.t.Error("retracted in the middle of a slip")
	}
	p.taken++
	return printer.MediaRetracted, nil
}

func (p *paper) EmptyBin() error { return nil }

// sheets is a printer of pages, which holds them to what was signed.
type sheets struct {
	w *world

	mu      sync.Mutex
	outcome printer.Outcome // 0: confirmed
	pages   int
	cleared int
}

func (s *sheets) Print(ctx context.Context, page printer.Slip) (printer.Outcome, error) {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return printer.Unknown, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range page.Lines {
		if l.Style != printer.Code {
			continue
		}
		d, err := request.VerifyDocument(l.Text, s.w.bus, time.Now())
		if err != nil || d.Look != (request.Look{Lang: "en", Catalogue: d.Look.Catalogue, Edition: "1"}) || len(d.Outcome.Data) != 2 {
			s.w.t.Errorf("the page's code: %d data in %q, %v", len(d.Outcome.Data), d.Look, err)
		}
		s.pages++
	}
	switch s.outcome {
	case printer.Failed:
		return printer.Failed, printer.ErrNoPaper
	case printer.Unknown:
		return printer.Unknown, printer.ErrMute
	}
	return printer.Confirmed, nil
}

func (s *sheets) Status(context.Context) (printer.Status, error) {
	return printer.Status{Online: true}, nil
}

func (s *sheets) Clear(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleared++
	return nil
}

func (s *sheets) Close() error { return nil }

func (p *paper) Print(ctx context.Context, s printer.Slip) (printer.Outcome, error) {
	p.mu.Lock()
	if p.busy {
		p.t.Error("two slips at once")
	}
	p.busy = true
	p.mu.Unlock()
	p.read(s)
	timer := time.NewTimer(p.takes)
	defer timer.Stop()
	var cut error
	select {
	case <-timer.C:
	case <-ctx.Done():
		cut = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	switch {
	case cut != nil:
		return printer.Unknown, cut
	case p.outcome != 0:
		return p.outcome, p.err
	}
	p.slips = append(p.slips, s)
	return printer.Confirmed, nil
}

// read checks what no slip may lack or hold.
func (p *paper) read(s printer.Slip) {
	count := map[printer.Style]int{}
	for _, l := range s.Lines {
		count[l.Style]++
		for _, own := range []string{"5ARPXK2", "Məmmədova", "AA1234567", can} {
			if strings.Contains(l.Text+l.Right, own) {
				p.t.Errorf("the slip says %q", own)
			}
		}
	}
	if s.ID == "" || count[printer.Heading] != 1 || count[printer.Reversed] < 2 {
		p.t.Errorf("slip %q: %d headings, %d bars; TEST stands at both ends", s.ID, count[printer.Heading], count[printer.Reversed])
	}
}

func (p *paper) Status(context.Context) (printer.Status, error) {
	return printer.Status{Online: true, Paper: printer.PaperFull}, nil
}

func (p *paper) Clear(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy {
		p.t.Error("cleared in the middle of a slip")
	}
	p.cleared++
	return nil
}

func (p *paper) Close() error { return nil }

func (p *paper) clears() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cleared
}

// says are the texts of the only slip.
func (p *paper) says() string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slips) != 1 {
		p.t.Fatalf("%d slips", len(p.slips))
	}
	var b strings.Builder
	for _, l := range p.slips[0].Lines {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

// outbox opens what is put into it.
type outbox struct {
	t       *testing.T
	box     *age.HybridIdentity
	station *ecdsa.PublicKey
	hold    chan struct{} // Put waits for it when it is not nil

	mu     sync.Mutex
	err    error
	full   bool
	breaks bool // the next question for room panics, once
	drafts map[string]request.Draft
	bodies map[string][]byte
	puts   int
}

func (o *outbox) Room(int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.breaks {
		o.breaks = false
		panic("broken")
	}
	if o.full {
		return offline.ErrFull
	}
	return nil
}

func (o *outbox) Put(ctx context.Context, item offline.Item) error {
	if o.hold != nil {
		select {
		case <-o.hold:
		case <-ctx.Done():
			if o.err != nil { // it was handed over
				return fmt.Errorf("%w: %w", o.err, ctx.Err())
			}
			return ctx.Err()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return fmt.Errorf("put: %w", o.err)
	}
	o.puts++
	if item.Class != offline.Waiting || len(item.Stream) != 32 || strings.Contains(item.Stream, "5ARPXK2") {
		o.t.Errorf("item of class %d in stream %q", item.Class, item.Stream)
	}
	d, err := request.Open(item.Body, o.box, func(string) ([]crypto.PublicKey, error) { return []crypto.PublicKey{o.station}, nil })
	if err != nil || string(d.ID) != item.ID {
		o.t.Errorf("the envelope doesn't open for the bus: %v", err)
	}
	if offer, err := catalogue.Load(); err != nil || item.TTL != offer.Service(catalogue.ServiceID(d.Service)).Lifetime() || item.TTL != d.TTL || item.TTL == 0 {
		o.t.Errorf("%v: the item lives %v, the request %v", err, item.TTL, d.TTL)
	}
	if o.drafts == nil {
		o.drafts, o.bodies = map[string]request.Draft{}, map[string][]byte{}
	}
	o.drafts[item.ID], o.bodies[item.ID] = d, item.Body
	return nil
}

// draft is the only request that was stored, once.
func (o *outbox) draft() request.Draft {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.puts != 1 || len(o.drafts) != 1 {
		o.t.Fatalf("%d puts, %d requests", o.puts, len(o.drafts))
	}
	for _, d := range o.drafts {
		return d
	}
	return request.Draft{}
}

// tracker is the bus's word for what is in the outbox: so far as it goes.
type tracker struct {
	bus    *ecdsa.PrivateKey
	outbox *outbox
	goes   offline.Stage // 0: to the outcome
	reason string        // refused for it
	spoil  func(o *request.Outcome)
}

func (k *tracker) Track(ctx context.Context, id string, seen func(offline.Progress)) error {
	last := k.goes
	if last == 0 {
		last = offline.Done
	}
	for stage := offline.Stored; stage <= last; stage++ {
		if stage == offline.Done && last == offline.Refused {
			continue
		}
		p, err := k.progress(id, stage)
		if err != nil {
			return err
		}
		seen(p)
		timer := time.NewTimer(500 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
	if last < offline.Done {
		<-ctx.Done()
	}
	return nil
}

func (k *tracker) progress(id string, stage offline.Stage) (offline.Progress, error) {
	p := offline.Progress{ID: id, Stage: stage}
	k.outbox.mu.Lock()
	body, draft := k.outbox.bodies[id], k.outbox.drafts[id]
	k.outbox.mu.Unlock()
	var err error
	switch stage {
	case offline.Accepted:
		p.Receipt, err = request.SignReceipt(request.Receipt{ID: draft.ID, Hash: sha256.Sum256(body), Seq: 1, ReceivedAt: time.Now()}, k.bus)
	case offline.Done:
		p.Outcome, err = k.outcome(draft)
	case offline.Refused:
		p.Reason = k.reason
	}
	return p, err
}

func (k *tracker) outcome(d request.Draft) (json.RawMessage, error) {
	now := time.Now().Truncate(time.Second)
	o := request.Outcome{
		Kind: request.KindCertificate, Number: d.ID.Number(), Service: d.Service, IssuedAt: now, ValidUntil: now.Add(time.Hour),
		Data: []request.Datum{{ID: "employer", Value: "“Xəzər Gəmiçilik” ASC", Lang: "az"}, {ID: "purpose", Value: d.Answers["purpose"]}},
	}
	hash, err := request.HashData(o.Data)
	if err != nil {
		return nil, err
	}
	if o.Token, err = request.SignCertificate(request.Certificate{
		Number: o.Number, Service: o.Service, IssuedAt: o.IssuedAt, ValidUntil: o.ValidUntil,
		Holder: request.MaskName(d.Holder.GivenNames, d.Holder.Surname), Hash: hash,
	}, k.bus); err != nil {
		return nil, err
	}
	if k.spoil != nil {
		k.spoil(&o)
	}
	return json.Marshal(o)
}

// lookup is the registers.
type lookup struct {
	t  *testing.T
	mu sync.Mutex
	// err is what comes instead of an answer.
	err   error
	raw   string // instead of an answer
	asked int
}

func (l *lookup) Lookup(ctx context.Context, service string, question any) (json.RawMessage, error) {
	timer := time.NewTimer(300 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", offline.ErrLineDown, ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.err != nil || l.raw != "" {
		return json.RawMessage(l.raw), l.err
	}
	got, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	answers := map[string][2]string{
		"employment.contract.by_fin": {`{"fin":"5ARPXK2"}`, `{"data":[{"id":"employer","value":"“Xəzər Gəmiçilik” ASC","lang":"az"}],"register":"r","as_of":"2026-11-22T10:00:00Z"}`},
		"device.status":              {`{"imei":"490154203237518"}`, `{"data":[{"id":"status","value":"registered"}],"register":"r","as_of":"2026-11-22T10:00:00Z"}`},
	}
	a, ok := answers[service]
	if !ok || !bytes.Equal(got, []byte(a[0])) {
		l.t.Errorf("%s was asked %s", service, got)
	}
	return json.RawMessage(a[1]), nil
}

// A line is up, and then what the test says.
type line struct{ news chan error }

func (l line) Watch(ctx context.Context, seen func(error)) error {
	seen(nil)
	for {
		select {
		case err := <-l.news:
			seen(err)
		case <-ctx.Done():
			return nil
		}
	}
}

// An ear hears clips as long as they last.
type ear struct{}

func (ear) Play(ctx context.Context, c speech.Clip) error {
	timer := time.NewTimer(c.Duration())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (ear) Close() error { return nil }

// overheard is a synthesiser of which all texts are noted.
type overheard struct {
	speech.Synthesiser
	texts *notes
}

func (o overheard) Synthesise(ctx context.Context, u speech.Utterance) (speech.Clip, error) {
	_, _ = o.texts.Write([]byte(u.Text + "\n"))
	return o.Synthesiser.Synthesise(ctx, u)
}

// notes keep what was written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}
