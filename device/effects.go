package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/card/icao"
	"kosk/offline"
)

// Limits of what runs beside the loop.
const (
	readTimeout = 30 * time.Second
	releaseTime = 2 * time.Second // for a card to be let go of
	// putTimeout is how long a disk may take to store a request. After it the
	// person is told that we will find out, with the number.
	putTimeout = 8 * time.Second
	// waitLineDown is how long a person waits for an outcome when the line is
	// known to be down: long enough to read that the request is stored.
	waitLineDown = 1500 * time.Millisecond
)

// carryOut starts an effect.
func (k *Kiosk) carryOut(ctx context.Context, e session.Effect) {
	visit, personal := k.number, k.personal
	answer := func(f func(context.Context) session.Event) {
		k.beside(ctx, visit, func() { k.post(personal, visit, f(personal)) })
	}
	switch e := e.(type) {
	case session.ReadHolder:
		k.startReading(ctx, e)
	case session.Unread:
		k.stopReading()
	case session.OpenKeys:
		answer(func(ctx context.Context) session.Event { return k.openKeys(ctx, e) })
	case session.Prove:
		k.prove(ctx, e)
	case session.Withdraw:
		k.withdraw()
	case session.Lookup:
		answer(func(ctx context.Context) session.Event { return k.lookup(ctx, e) })
	case session.Submit:
		draft, stream := k.draft()
		trace := health.NewTrace()
		k.trace = trace
		wait := k.visit.Service.WaitTime()
		if k.visit.Line != nil {
			wait = waitLineDown
		}
		k.beside(ctx, visit, func() { k.submit(ctx, personal, visit, draft, stream, trace, wait) })
	case session.Print:
		trace := k.trace
		answer(func(ctx context.Context) session.Event { return k.print(ctx, e.Slip, trace) })
	case session.PrintPage:
		offer := k.visit.Catalogue
		answer(func(ctx context.Context) session.Event { return k.printPage(ctx, e, offer) })
	case session.Retract:
		k.retract(ctx)
	case session.Wait:
		k.then = e.Then
		k.timer.Reset(e.For)
	case session.Forget:
		k.forget(ctx)
	case session.Heeded:
		k.Voice.Heed()
	case session.Anew:
		k.ring, k.focus = false, ""
		k.Voice.Reset()
		k.Voice.Headphones(k.visit.Private)
		if k.Ended != nil {
			k.Ended()
		}
	default:
		panic(fmt.Sprintf("device: no way to carry out %T", e))
	}
}

// forget ends everything that runs for the person. A request that was agreed to
// goes on: it isn't the person's any more but the bus's.
func (k *Kiosk) forget(ctx context.Context) {
	k.withdraw()
	k.stopReading()
	k.end()
	k.personal, k.end = context.WithCancel(ctx)
	k.number++
	k.trace = health.Trace{}
	k.Voice.Forget()
	k.clearPrinters(ctx)
}

// startReading reads the chip beside the loop. What an earlier reading still
// says is dropped: the number may have been corrected since.
func (k *Kiosk) startReading(ctx context.Context, e session.ReadHolder) {
	k.stopReading()
	asked, stop := context.WithCancel(k.personal)
	k.unread = stop
	visit, reading := k.number, k.reading
	before, done := k.readUp, make(chan struct{})
	k.readUp = done
	k.beside(ctx, visit, func() {
		defer close(done)
		defer stop()
		patience := time.NewTimer(releaseTime)
		defer patience.Stop()
		select { // a reading that was given up lets go of the card first
		case <-before:
		case <-patience.C:
		case <-asked.Done():
		}
		tell := func(e session.Event) { k.send(asked, post{visit: visit, reading: reading, event: e}) }
		tell(k.readHolder(asked, visit, e, tell))
	})
}

// stopReading gives up what is being read.
func (k *Kiosk) stopReading() {
	k.unread()
	k.reading++
}

// readHolder reads the chip and believes it, or says why not.
func (k *Kiosk) readHolder(ctx context.Context, visit int, e session.ReadHolder, tell func(session.Event)) session.Event {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	holder, err := k.believe(ctx, visit, e, tell)
	if err != nil {
		k.Log.Warn("card not read", "err", err, "visit", visit)
		return session.ReadFailed{Err: err}
	}
	return session.HolderRead{Holder: holder}
}

func (k *Kiosk) believe(ctx context.Context, visit int, e session.ReadHolder, tell func(session.Event)) (identity.Holder, error) {
	c, err := k.Reader.Connect(ctx)
	if err != nil {
		return identity.Holder{}, fmt.Errorf("connect: %w", mute(err))
	}
	defer c.Close()
	chip, err := k.readChip(ctx, c, e, func(dg1 []byte) {
		if mrz, err := icao.ParseDG1(dg1); err == nil {
			tell(session.NameRead{GivenNames: text.Title(text.En, mrz.GivenNames)})
		}
	})
	if err != nil {
		return identity.Holder{}, fmt.Errorf("read holder: %w", mute(err))
	}
	holder, err := identity.Believe(chip, k.trust.Load().anchors, k.now())
	if err != nil {
		return identity.Holder{}, fmt.Errorf("believe: %w", err)
	}
	k.Log.Info("card read", "apdus", chip.APDUs, "bytes", chip.Bytes, "card_ms", chip.Took.Milliseconds(),
		"protocol", chip.Protocol, "assurance", holder.Assurance.String(), "visit", visit)
	return holder, nil
}

// readChip opens a chip with what was typed, and reads it.
func (k *Kiosk) readChip(ctx context.Context, c card.Card, e session.ReadHolder, early func([]byte)) (*card.Chip, error) {
	if e.CAN == "" {
		return k.Chip.ReadHolderByZone(ctx, c, e.Zone, early)
	}
	return k.Chip.ReadHolder(ctx, c, e.CAN, early)
}

// mute says of a card that took too long that it doesn't answer.
func mute(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", card.ErrMute, err)
	}
	return err
}

// answerOf is the shape of a register's answer to a look-up.
type answerOf struct {
	Data []struct {
		ID    string `json:"id"`
		Value string `json:"value"`
		Lang  string `json:"lang"`
	} `json:"data"`
	Register string    `json:"register"`
	AsOf     time.Time `json:"as_of"`
}

func (k *Kiosk) lookup(ctx context.Context, e session.Lookup) session.Event {
	raw, err := k.Lookup.Lookup(ctx, e.Service, e.Question)
	var a answerOf
	if err == nil {
		if err = json.Unmarshal(raw, &a); err != nil {
			err = fmt.Errorf("%w: answer not understood", offline.ErrAgency) // json's own words may quote it
		}
	}
	if err != nil {
		k.Log.Warn("look-up failed", "service", e.Service, "err", err)
		return session.LookupFailed{For: e.For, Err: err}
	}
	done := session.LookedUp{For: e.For, At: a.AsOf}
	for _, d := range a.Data {
		done.Found = append(done.Found, session.Found{ID: d.ID, Value: d.Value, Lang: d.Lang, Register: a.Register})
	}
	k.Log.Info("looked up", "service", e.Service)
	return done
}

// draft is the request as the visit holds it, and the stream that it belongs to.
func (k *Kiosk) draft() (request.Draft, string) {
	v := k.visit
	now, clock := k.clock()
	k.seq++
	h, agreed := v.Holder, v.Consent.Items
	d := request.Draft{
		ID: request.NewID(now), Station: k.Signer.Station, Service: string(v.Service.ID),
		CatalogueVersion: v.Catalogue.Version, CreatedAt: now, Clock: clock, MonoSeq: k.seq,
		BootID: k.Signer.BootID, Lang: string(v.Consent.Lang), TTL: v.Service.Lifetime(), Answers: request.Answers{}, Assurance: h.Assurance.String(),
		Holder: request.Holder{FIN: h.FIN, Surname: h.Surname, GivenNames: h.GivenNames, DocumentNumber: h.DocumentNumber},
		Consent: request.Consent{
			Person: agreed["person"], Operator: agreed["operator"], Purpose: agreed["purpose"],
			Operations: agreed["operations"], Period: agreed["period"], Deletion: agreed["deletion"],
			AgreedAt: now, TextVersion: v.Catalogue.Version,
		},
	}
	for f, a := range v.Answers {
		d.Answers[f] = a
	}
	if h.Evidence != nil {
		d.Evidence = request.EvidenceOf(h.Evidence)
	}
	d.Login, d.CitizenSignature = proofOf(v.Login), proofOf(v.Signed)
	if s, err := request.ParseStatement(d.CitizenSignature.Statement); err == nil {
		d.ID = s.Request // what was signed names it
	}
	return d, request.Stream(k.Signer.StreamKey, h.FIN, string(v.Service.ID))
}

// submit seals and stores the request, then follows it for as long as the
// person waits. Storing goes on when the person leaves: they agreed.
func (k *Kiosk) submit(ctx, personal context.Context, visit int, d request.Draft, stream string, trace health.Trace, wait time.Duration) {
	id, number := string(d.ID), d.ID.Number()
	end := k.Health.Root(trace, "confirm")
	var body []byte
	err := k.traced(trace, "seal", kindSeal, func() (err error) {
		body, err = request.Seal(d, k.Signer.Key, k.Signer.Recipient)
		return err
	})
	if err == nil {
		err = k.traced(trace, "store", kindStore, func() error {
			return k.put(ctx, offline.Item{ID: id, Stream: stream, Class: offline.Waiting, TTL: d.TTL, Trace: trace.Parent(), Body: body})
		})
	}
	end(kindOf(err, kindStore))
	if err != nil {
		k.Log.Error("request not stored", "request_id", id, "err", err)
		k.post(ctx, visit, session.PutFailed{Err: err, Number: number}) // of a doubt the loop must know
		if errors.Is(err, offline.ErrUnknown) && k.Doubt != nil {
			k.Doubt(id)
		}
		return
	}
	k.Log.Info("request stored", "request_id", id, "bytes", len(body), "visit", visit)
	token, err := request.SignProvisional(request.Provisional{Number: number, Service: d.Service, CreatedAt: d.CreatedAt}, k.Signer.Key)
	if err != nil {
		k.Log.Error("provisional token", "request_id", id, "err", err)
	}
	k.post(personal, visit, session.PutDone{ID: d.ID, Number: number, At: d.CreatedAt, Token: request.Base45(token)})
	k.follow(personal, visit, id, wait)
}

// put stores an item. A disk that hangs isn't waited for.
func (k *Kiosk) put(ctx context.Context, item offline.Item) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err := k.Outbox.Put(ctx, item)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, offline.ErrUnknown) {
		return fmt.Errorf("%w: %w", offline.ErrStopped, err) // the outbox never took it
	}
	return err
}

// follow brings the news of a request to the visit until the wait is over.
func (k *Kiosk) follow(personal context.Context, visit int, id string, wait time.Duration) {
	ctx, cancel := context.WithTimeout(personal, wait)
	defer cancel()
	ended := false
	_ = k.Tracker.Track(ctx, id, func(p offline.Progress) {
		k.Log.Info("request", "request_id", id, "stage", p.Stage.String(), "visit", visit)
		switch p.Stage {
		case offline.Accepted:
			k.post(personal, visit, session.BusAccepted{Token: request.Base45(p.Receipt)})
		case offline.Done:
			ended = k.outcome(personal, visit, id, p.Outcome)
		case offline.Refused:
			ended = true
			k.post(personal, visit, session.RefusedCame{Reason: p.Reason})
		}
	})
	if !ended {
		k.post(personal, visit, session.WaitEnded{})
	}
}

// errOutcome stands for json's own words, which may quote the outcome.
var errOutcome = errors.New("outcome not understood")

// outcome checks the bus's word for the certificate before anybody sees it.
func (k *Kiosk) outcome(personal context.Context, visit int, id string, raw json.RawMessage) bool {
	var o request.Outcome
	err := errOutcome
	if json.Unmarshal(raw, &o) == nil {
		var c request.Certificate
		if c, err = request.VerifyCertificate(o.Token, k.Signer.Receipts, k.now()); err == nil {
			err = c.Check(o)
		}
	}
	if err != nil {
		k.Log.Error("outcome not believed", "request_id", id, "err", err)
		return false
	}
	k.post(personal, visit, session.OutcomeCame{Outcome: o, Token: request.Base45(o.Token)})
	return true
}
