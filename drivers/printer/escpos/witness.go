package escpos

import (
	"context"
	"errors"

	"kosk/drivers/printer"
)

// A printer that is switched off and on in the middle of a slip forgets what it
// had of it, prints what is still on the way, and answers at the end as if
// nothing had been. So each slip calls a witness: a macro is defined at its begin
// that only the loss of power (or a reset) makes the printer forget, ESC @ does
// not; and it is run at the end. It holds GS r 1, so it answers as often as it is
// run, and once more when it is defined, on printers that obey a macro at once.

var (
	sensorAsked    = []byte{0x1D, 0x72, 1}                         // GS r 1
	witnessDefined = []byte{0x1D, 0x3A, 0x1D, 0x72, 1, 0x1D, 0x3A} // GS : GS r 1 GS :
	witnessCalled  = []byte{0x1D, 0x5E, witnessTimes, 0, 0}        // GS ^, so many times, at once
	initialized    = []byte{0x1B, 0x40}                            // ESC @
)

const witnessTimes = 2

// witness is how a printer's macros behave. Manuals differ on whether a macro
// is also obeyed while it is defined, so each printer is tried once a plugging.
type witness struct {
	tried bool
	works bool
	echo  int // answers to the definition
}

func (p *Printer) untried() bool { return p.profile.Macros && !p.link.witness.tried }

// tryWitness defines the witness and calls it, and counts the answers. Whatever
// a printer that knows no macros makes of it is dropped by ESC @, and not printed.
func (p *Printer) tryWitness(ctx context.Context) error {
	var try []byte
	for _, part := range [][]byte{initialized, witnessDefined, witnessCalled, initialized, sensorAsked} {
		try = append(try, part...)
	}
	if _, err := p.link.line.Write(ctx, try); err != nil {
		return p.hears(lineError(err))
	}
	answers, patience := 0, p.patience.clear
	for {
		err := p.link.await(ctx, patience, func(e event) (bool, error) { return e.kind == sensorReply, nil })
		if errors.Is(err, printer.ErrMute) && answers > 0 {
			break
		}
		if err != nil {
			return p.hears(err)
		}
		answers++
		patience = p.patience.answer
		if answers == witnessTimes+2 {
			break
		}
	}
	p.link.witness = witness{tried: true, works: answers > witnessTimes, echo: answers - witnessTimes - 1}
	if !p.link.witness.works {
		p.link.witness.echo = answers - 1
		p.log.Warn("printer has no macros", "profile", p.profile.Name, "answers", answers)
	}
	return nil
}

// A question is what the printer answers when all before it is on paper.
type question struct {
	bytes   []byte
	id      [4]byte // of the process, when byID
	byID    bool
	sensors int // answers to GS r 1, in the slip and after it
}

// question asks for the printer's word on a slip.
func (p *Printer) question(j job) question {
	q := question{sensors: len(j.ends)}
	if p.profile.Confirm == "process-id" {
		p.job++
		q.byID = true
		for i, n := 0, p.job; i < len(q.id); i, n = i+1, n/95 { // digits in base 95, each 20h to 7Eh
			q.id[i] = byte(0x20 + n%95)
		}
		q.bytes = append([]byte{0x1D, 0x28, 0x48, 6, 0, 0x30, 0x30}, q.id[:]...)
	} else {
		q.bytes = append(q.bytes, sensorAsked...)
		q.sensors++
	}
	if p.profile.Macros {
		q.sensors += p.link.witness.echo
	}
	if p.link.witness.works {
		q.bytes = append(q.bytes, witnessCalled...)
		q.sensors += witnessTimes
	}
	return q
}

// An answer is what of a question was answered so far.
type answer struct {
	question
	id      bool
	sensors int
}

func (a *answer) hear(e event) {
	switch {
	case e.kind == sensorReply:
		a.sensors++
	case e.kind == processReply && a.byID && e.data == a.question.id:
		a.id = true
	}
}

// complete reports whether every answer has come, so that the slip is out and
// the printer had power from its begin to its end.
func (a *answer) complete() bool {
	return a.id == a.byID && a.sensors >= a.question.sensors
}
