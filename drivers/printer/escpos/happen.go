package escpos

import (
	"context"
	"errors"
	"time"

	"kosk/drivers/printer"
)

// toldMost is how many events wait for somebody who watches; older ones go.
const toldMost = 64

// happens takes the path one step on. What needs no line is done here; actions
// on the printer are returned for the caller to do.
func (p *Printer) happens(h happening) []action {
	actions, next, _ := step(p.path, h)
	known := statusOf(next)
	known.Model = p.profile.Title
	p.mu.Lock()
	p.path, p.known = next, known
	p.mu.Unlock()
	var left []action
	for _, a := range actions {
		switch a {
		case doRenew:
			p.keep(func(a *account) { a.renew(time.Now()) })
		case doCount:
			p.keep(func(a *account) { a.low(p.profile.NearEndMM) })
		case doEmpty:
			p.keep(func(a *account) { a.end(time.Now()) })
		case doBin:
			p.keep(func(a *account) { a.retracted++ })
		case doConfirm, doUnknown:
			p.verdict = a
		case doStart:
			p.verdict = ""
			left = append(left, a)
		case tellPresented:
			p.presented(time.Now())
			p.tell(printer.MediaPresented)
		case tellRetracted:
			p.tell(printer.MediaAutoRetracted)
			if p.journal.paper().retracted >= p.bin {
				p.tell(printer.RetractBinThreshold)
			}
		case tellStatus, tellPaper, tellNotTaken, tellTaken:
			p.tell(kinds[a])
		default:
			left = append(left, a)
		}
	}
	return left
}

var kinds = map[action]printer.EventKind{
	tellStatus: printer.StatusChanged, tellPaper: printer.PaperThreshold,
	tellNotTaken: printer.MediaNotTaken, tellTaken: printer.MediaTaken,
}

// tell leaves an event for whoever watches.
func (p *Printer) tell(k printer.EventKind) {
	e := printer.Event{Kind: k, Retracted: p.journal.paper().retracted}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.Status = p.known
	switch {
	case p.path.in(lineGone):
		e.Err = printer.ErrUnplugged
	case p.path.in(lineMute):
		e.Err = printer.ErrMute
	default:
		e.Err = e.Status.Err()
	}
	if len(p.told) == toldMost {
		p.told = p.told[1:]
	}
	p.told = append(p.told, e)
	nudge(p.news)
}

// statusOf puts a state into the contract's words.
func statusOf(s state) printer.Status {
	paper := map[state]printer.Paper{
		paperFull: printer.PaperFull, paperLow: printer.PaperLow, paperOut: printer.PaperOut, paperJammed: printer.PaperJammed,
	}
	media := map[state]printer.Media{
		mediaPresent: printer.MediaPresent, mediaJammed: printer.MediaJammed, mediaRetracted: printer.MediaRetracted,
	}
	t := printer.Status{
		Paper: paper[s&parts[2]], Media: media[s&parts[3]],
		CoverOpen: s.in(coverOpen), Cutter: s.in(cutterFault), Head: s.in(headFault), Online: true,
	}
	t.Online = s.in(lineUp) && t.Err() == nil
	return t
}

// sights are what a status shows, part by part.
func sights(t printer.Status) []happening {
	paper := map[printer.Paper]happening{
		printer.PaperFull: sawPaperFull, printer.PaperLow: sawPaperLow, printer.PaperOut: sawPaperOut, printer.PaperJammed: sawPaperJammed,
	}
	media := map[printer.Media]happening{
		printer.MediaNotPresent: sawMediaTaken, printer.MediaPresent: sawMediaPresent, printer.MediaJammed: sawMediaJammed,
	}
	seen := []happening{media[t.Media], either(t.CoverOpen, sawCoverOpen, sawCoverClosed)}
	if h, ok := paper[t.Paper]; ok {
		seen = append(seen, h)
	}
	return append(seen,
		either(t.Cutter, sawCutterFault, sawCutterFine),
		either(t.Head || t.Fault, sawHeadFault, sawHeadFine))
}

func either(on bool, yes, no happening) happening {
	if on {
		return yes
	}
	return no
}

// sees tells the path what the printer said of itself.
func (p *Printer) sees(t printer.Status) {
	p.happens(lineAnswered)
	for _, h := range sights(t) {
		p.happens(h) // sights call for nothing to be done on the line
	}
}

// hears tells the path of an error of the line, and passes it on.
func (p *Printer) hears(err error) error {
	switch {
	case errors.Is(err, printer.ErrUnplugged):
		p.drop()
	case errors.Is(err, printer.ErrMute):
		p.happens(lineSilent)
	}
	return err
}

// asked asks for every part of the printer's state, and tells the path.
func (p *Printer) asked(ctx context.Context) (printer.Status, error) {
	s, err := p.status(ctx)
	if err != nil {
		return s, p.hears(err)
	}
	p.sees(s)
	return s, nil
}

// unasked is the status in what a printer says by itself.
func (p *Printer) unasked(e event) (printer.Status, bool) {
	switch {
	case e.kind == autoStatus:
		return autoStatusOf(e.data), true
	case e.kind == customReply:
		return customStatus(e.data), true
	}
	return printer.Status{}, false
}

// clears empties the buffers, and cuts off and takes back what is left of a slip
// if that is possible now.
func (p *Printer) clears(ctx context.Context) error {
	for range readyMost {
		for _, a := range p.happens(visitEnds) {
			var err error
			switch a {
			case doClear:
				err = p.clear(ctx)
			case doRetract:
				err = p.retract(ctx)
			case doCut:
				return p.cutTail(ctx)
			case doRefuse: // what hangs there waits until it can be cut
				return nil
			}
			if err != nil {
				return err
			}
		}
		if !p.path.in(tail) {
			return nil
		}
	}
	return nil
}
