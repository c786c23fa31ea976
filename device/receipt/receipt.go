// Package receipt says what stands on a slip: a request's result, its
// acceptance, its provisional acceptance without the line, or an answer.
//
// A slip is a value. Compose makes printer lines of it and Text what the voice
// reads, both from one list, so that what is printed is what is said. Printer
// codes are the driver's.
package receipt

import (
	"strings"
	"time"

	"kosk/device/text"
	"kosk/drivers/printer"
)

// A Kind is what a slip promises.
type Kind int

// The kinds of slip.
const (
	Final       Kind = iota + 1 // done: the result is here
	Accepted                    // the bus has it, and has signed for it
	Provisional                 // this kiosk has it; the bus doesn't know yet
	Answer                      // a look-up's answer: nothing was asked for
	Paged                       // done: the result is a page of its own, and this is its number
	Registered                  // done: the agency goes on working on it, under this number
)

var headings = map[Kind]text.Key{
	Final:       "slip.heading.final",
	Accepted:    "slip.heading.accepted",
	Provisional: "slip.heading.provisional",
	Answer:      "slip.heading.answer",
	Paged:       "slip.heading.paged",
	Registered:  "slip.heading.registered",
}

// A Row is one fact and the register that it comes from.
type Row struct{ Label, Value, Source text.Words }

// A Slip is all that can stand on one. What is empty is left out.
type Slip struct {
	ID      string // names the slip in journals; it isn't printed
	Kind    Kind
	Lang    text.Lang
	Office  text.Words // whose kiosk it is
	Number  string     // of the request, without spaces
	Service text.Words
	Agency  text.Words
	Holder  text.Words // masked by the caller
	Rows    []Row
	When    time.Time
	Next    text.Words // what happens next
	By      time.Time  // by which day
	Code    string     // what the QR code carries, best in base 45
	Test    bool       // made with test cards: no legal force
	Copy    bool       // printed again
}

// String keeps the slip's facts out of logs.
func (s Slip) String() string { return "slip " + s.ID }

// GoString keeps the slip's facts out of logs, too.
func (s Slip) GoString() string { return s.String() }

// An entry is one piece of a slip, for the eye and for the ear.
type entry struct {
	style printer.Style
	words text.Words // said as they are shown, unless quiet
	right text.Words // set at the right edge; said after words
	plain string     // shown in the place of words, where the eye needs another form
	quiet bool       // for the eye only
}

// Compose is the slip as the printer gets it.
func Compose(s Slip) printer.Slip {
	out := printer.Slip{ID: s.ID, Copy: s.Copy}
	for _, e := range s.entries() {
		line := printer.Line{Style: e.style, Text: e.plain, Right: e.right.String()}
		if line.Text == "" {
			line.Text = e.words.String()
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

// Text is the slip as the voice reads it, phrase by phrase, in the order of the
// paper.
func Text(s Slip) []text.Words {
	var all []text.Words
	if s.Copy {
		all = append(all, text.In(s.Lang, "slip.copy"))
	}
	for _, e := range s.entries() {
		if said := text.Join(": ", e.words, e.right); !e.quiet && !said.Empty() {
			all = append(all, said)
		}
	}
	return all
}

// entries is the slip from top to bottom.
func (s Slip) entries() []entry {
	var all []entry
	if s.Test {
		all = append(all, entry{style: printer.Reversed, words: text.In(s.Lang, "slip.test")}, gap)
	}
	if s.Kind == Provisional {
		all = append(all, entry{style: printer.Reversed, words: text.In(s.Lang, "slip.bar.provisional")}, gap)
	}
	all = append(all, s.head()...)
	all = append(all, s.facts()...)
	all = append(all, s.future()...)
	all = append(all, s.foot()...)
	return all
}

var gap = entry{style: printer.Gap, quiet: true}

// head is whose slip it is, of what kind, and its number.
func (s Slip) head() []entry {
	all := []entry{{style: printer.Mark, quiet: true}}
	if !s.Office.Empty() {
		all = append(all, entry{style: printer.Strong, words: s.Office})
	}
	all = append(all, s.ornament())
	if key, ok := headings[s.Kind]; ok {
		all = append(all, entry{style: printer.Heading, words: text.In(s.Lang, key)})
	}
	if s.Number != "" {
		all = append(all, gap,
			entry{style: printer.Small, words: text.In(s.Lang, "slip.number")},
			entry{style: printer.Numerals, words: text.Say(s.Lang, text.Number, s.Number), plain: grouped(s.Number)})
	}
	if s.Kind == Provisional {
		all = append(all, gap, entry{style: printer.Body, words: text.In(s.Lang, "slip.provisional.what")})
	}
	return append(all, entry{style: printer.Rule, quiet: true})
}

// ornament stands only on a slip that says that something is done or known: what
// is still to come is plainer, and a provisional slip is known by its bar.
func (s Slip) ornament() entry {
	if s.Kind == Final || s.Kind == Answer || s.Kind == Paged {
		return entry{style: printer.Lattice, quiet: true}
	}
	return entry{style: printer.Rule, quiet: true}
}

// grouped sets a long number in threes.
func grouped(n string) string {
	return text.Words{{Kind: text.Number, Text: n}}.String()
}

// facts are what, who, when, and what registers say.
func (s Slip) facts() []entry {
	var all []entry
	fact := func(label, value text.Words) {
		if value.Empty() {
			return
		}
		if len(all) > 0 && all[len(all)-1].style == printer.Strong {
			all = append(all, gap)
		}
		all = append(all, entry{style: printer.Small, words: label}, entry{style: printer.Strong, words: value})
	}
	fact(text.In(s.Lang, "slip.service"), s.Service)
	fact(text.In(s.Lang, "slip.agency"), s.Agency)
	fact(text.In(s.Lang, "slip.holder"), s.Holder)
	if !s.When.IsZero() {
		fact(text.In(s.Lang, "slip.when"), text.Moment(s.Lang, s.When))
	}
	if len(s.Rows) > 0 && len(all) > 0 {
		all = append(all, entry{style: printer.Rule, quiet: true})
	}
	for i, r := range s.Rows {
		fact(r.Label, r.Value)
		// One source for several facts stands once, below the last of them.
		last := i == len(s.Rows)-1
		if !r.Source.Empty() && (last || s.Rows[i+1].Source.String() != r.Source.String()) {
			source := text.Arg{Name: "source", Words: r.Source}
			all = append(all, entry{style: printer.Small, words: text.In(s.Lang, "slip.source", source)})
			if !last {
				all = append(all, gap)
			}
		}
	}
	return all
}

// future is what happens next, and by which day.
func (s Slip) future() []entry {
	if s.Next.Empty() && s.By.IsZero() {
		return nil
	}
	all := []entry{{style: printer.Rule, quiet: true}}
	if !s.Next.Empty() {
		all = append(all,
			entry{style: printer.Strong, words: text.In(s.Lang, "slip.next")},
			entry{style: printer.Body, words: s.Next})
	}
	if !s.By.IsZero() {
		day := text.Arg{Name: "date", Words: text.Day(s.Lang, s.By)}
		all = append(all, entry{style: printer.Strong, words: text.In(s.Lang, "slip.by", day)})
	}
	return all
}

// foot is the code, the thanks, and once more that a test is a test.
func (s Slip) foot() []entry {
	var all []entry
	if s.Code != "" {
		all = append(all,
			entry{style: printer.Code, plain: s.Code, quiet: true},
			entry{style: printer.Small, words: text.In(s.Lang, "slip.code")})
	}
	all = append(all, s.ornament(), entry{style: printer.Body, words: text.In(s.Lang, "slip.thanks")})
	if s.Test {
		all = append(all, gap, entry{style: printer.Reversed, words: text.In(s.Lang, "slip.test")})
	}
	return all
}

// Lines is the slip as plain text, as wide as need be: for screens that show a
// slip when the printer can't.
func Lines(s Slip) string {
	var b strings.Builder
	for _, w := range Text(s) {
		b.WriteString(w.String())
		b.WriteByte('\n')
	}
	return b.String()
}
