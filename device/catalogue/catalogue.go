// Package catalogue is what the kiosk offers: agencies and their services as
// tables of facts, in CPSV-AP's words (public organisation, public service,
// evidence, output).
//
// A service is data: names, agency, the level of identification it needs, its
// fields, where each datum comes from. Nothing in code names a single service.
package catalogue

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"

	"kosk/device/text"
)

// A ServiceID names a service: "workplace_cert".
type ServiceID string

// Names is a phrase in the kiosk's languages.
type Names struct{ Az, Ru, En string }

// In is the phrase in one language.
func (n Names) In(lang text.Lang) text.Words {
	s := map[text.Lang]string{text.Az: n.Az, text.Ru: n.Ru, text.En: n.En}[lang]
	return text.Say(lang, text.Plain, s)
}

func (n Names) complete() bool { return n.Az != "" && n.Ru != "" && n.En != "" }

// An Agency is a public organisation.
type Agency struct {
	ID   string
	Name Names
}

// A Level is how far a person must be known for a service.
type Level string

// The levels, from the least.
const (
	Anyone         Level = "none"
	Read           Level = "read"
	Authentic      Level = "authentic"
	Genuine        Level = "genuine"
	HolderVerified Level = "holder_verified"
)

var levels = []Level{Anyone, Read, Authentic, Genuine, HolderVerified}

// Reaches reports whether somebody known as far as l may use what needs need. An
// unknown need is beyond everybody.
func (l Level) Reaches(need Level) bool { return rank(need) >= 0 && rank(l) >= rank(need) }

func rank(l Level) int {
	for i, k := range levels {
		if k == l {
			return i
		}
	}
	return -1
}

// A FieldType is what a field holds.
type FieldType string

// The types of fields.
const (
	Choice FieldType = "choice"
	IMEI   FieldType = "imei" // 15 digits with a check digit: 3GPP TS 23.003, 6.2.1
)

// A Field is one question to the person.
type Field struct {
	ID      string
	Type    FieldType
	Title   Names // the question
	Label   Names // above the answer on the review and the slip
	Hint    Names // why it is asked, how to find it
	Options []Option
}

// Option returns the option with the id, or nil.
func (f *Field) Option(id string) *Option {
	for i := range f.Options {
		if f.Options[i].ID == id {
			return &f.Options[i]
		}
	}
	return nil
}

// An Option is one answer of a choice.
type Option struct {
	ID   string
	Name Names
}

// A Datum is something that a register knows: how it is labelled, and the words
// of its values where they are codes.
type Datum struct {
	ID     string
	Label  Names
	Kind   string // "name", "date", "money" (manats) or "" for words as they come
	Values []Value
}

// Value returns the value with the id, or nil.
func (d *Datum) Value(id string) *Value {
	for i := range d.Values {
		if d.Values[i].ID == id {
			return &d.Values[i]
		}
	}
	return nil
}

// A Value is the meaning of a code.
type Value struct {
	ID   string
	Name Names
	Good bool
}

// An Output is what a request leads to (CPSV-AP, 3.10).
type Output string

// The outputs of requests.
const (
	Certificate Output = ""            // issued at once, and printed
	Application Output = "application" // a number, under which an agency goes on working
)

// A Service is a public service.
type Service struct {
	ID       ServiceID
	Agency   string
	Name     Names
	Icon     string
	Level    Level
	Lookup   string // X-Road service code asked: for the prefill, or as the whole service
	Register Names  // the register behind Lookup
	Submit   bool   // it is a request, queued and delivered once; else Lookup answers it
	Sign     bool   // the person signs what they saw, with a means that can
	TTL      int    // days that a request may wait for the line before it is given up; 0 with a look-up
	Wait     int    // seconds that a person waits for the outcome before a provisional slip
	Uses     int    // in December 2014, for the order of the most used
	Fields   []Field
	Data     []Datum

	Output     Output // of a request
	Operations Names  // in a consent: which data are used, and how; none: the usual words
}

// Datum returns the datum with the id, or nil.
func (s *Service) Datum(id string) *Datum {
	for i := range s.Data {
		if s.Data[i].ID == id {
			return &s.Data[i]
		}
	}
	return nil
}

// A MeansID names a means of identification: "card".
type MeansID string

// Means is a means of identification: a way to say who one is, and perhaps to
// sign (eIDAS, article 3).
type Means struct {
	ID     MeansID
	Name   Names
	Hint   Names        // what the person needs for it
	Level  Level        // how far it makes a person known
	Sign   bool         // it can sign, too
	Card   bool         // its keys are on the card in the slot
	Fields []Credential // what the person types for it; for a card's PIN none
}

// A Credential is something that the person types for a means: digits.
type Credential struct {
	ID       string
	Min, Max int
	Secret   bool // never shown nor said
	Title    Names
	Label    Names
	Hint     Names
}

func (m *Means) check() error {
	switch {
	case m.ID == "":
		return errors.New("its id is empty")
	case rank(m.Level) <= 0:
		return unknown("level", string(m.Level))
	case !m.Name.complete(), !m.Hint.complete():
		return errWords
	}
	for _, c := range m.Fields {
		if c.ID == "" || c.Min < 1 || c.Max < c.Min || c.Max > MaxCredential {
			return fmt.Errorf("field %q: %d to %d digits", c.ID, c.Min, c.Max)
		}
		if !c.Title.complete() || !c.Label.complete() || !c.Hint.complete() {
			return fmt.Errorf("field %s: %w", c.ID, errWords)
		}
	}
	return nil
}

// MaxCredential is the most digits that a credential has.
const MaxCredential = 16

// maxTTL is how many days a request may wait at most: the bus forgets ids after them.
const maxTTL = 400

// maxWait is the longest that anybody is kept waiting for an outcome, in seconds.
const maxWait = 60

// WaitTime is Wait as a duration.
func (s *Service) WaitTime() time.Duration { return time.Duration(s.Wait) * time.Second }

// Lifetime is TTL as a duration.
func (s *Service) Lifetime() time.Duration { return time.Duration(s.TTL) * 24 * time.Hour }

// Catalogue is all that is offered, read-only after Load.
type Catalogue struct {
	Version  string
	Agencies []Agency  `toml:"agency"`
	Services []Service `toml:"service"`
	Means    []Means   `toml:"means"`
}

//go:embed data/catalogue.toml
var data string

// Load returns the catalogue that the program carries.
var Load = sync.OnceValues(func() (*Catalogue, error) { return Parse(data) })

// Parse reads a catalogue and checks that every reference leads somewhere and
// every phrase stands in three languages.
func Parse(doc string) (*Catalogue, error) {
	var c Catalogue
	meta, err := toml.Decode(doc, &c)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	if left := meta.Undecoded(); len(left) > 0 {
		return nil, fmt.Errorf("catalogue: unknown key %s", left[0])
	}
	if err := c.checkAll(); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	return &c, nil
}

// checkAll checks what is read, from whatever form.
func (c *Catalogue) checkAll() error {
	for i := range c.Services {
		if err := c.check(&c.Services[i]); err != nil {
			return fmt.Errorf("service %s: %w", c.Services[i].ID, err)
		}
	}
	for i := range c.Means {
		m := &c.Means[i]
		err := m.check()
		if err == nil && c.MeansOf(m.ID) != m {
			err = errors.New("its id stands twice")
		}
		if err != nil {
			return fmt.Errorf("means %s: %w", m.ID, err)
		}
	}
	return nil
}

func (c *Catalogue) check(s *Service) error {
	a := c.Agency(s.Agency)
	switch {
	case s.ID == "" || c.Service(s.ID) != s:
		return fmt.Errorf("its id is empty or stands twice")
	case a == nil:
		return fmt.Errorf("no agency %q", s.Agency)
	case rank(s.Level) < 0:
		return unknown("level", string(s.Level))
	case !a.Name.complete(), !s.Name.complete(), s.Lookup != "" && !s.Register.complete():
		return fmt.Errorf("a name is missing")
	case !s.Submit && s.Lookup == "":
		return fmt.Errorf("neither submitted nor looked up")
	case s.Submit && s.Level == Anyone:
		return fmt.Errorf("submitted for nobody: level %q", s.Level)
	case s.Sign && (!s.Submit || s.Level != HolderVerified):
		return fmt.Errorf("signed, but no request of a verified person")
	case s.Output != Certificate && s.Output != Application:
		return unknown("output", string(s.Output))
	case s.Output == Application && !s.Submit:
		return fmt.Errorf("an application that nobody submits")
	case s.Operations != Names{} && !s.Operations.complete():
		return errWords
	case s.Wait <= 0 || s.Wait > maxWait:
		return fmt.Errorf("no wait between 1 and %d seconds", maxWait)
	case s.Submit && (s.TTL < 1 || s.TTL > maxTTL):
		return fmt.Errorf("no ttl between 1 and %d days", maxTTL)
	case !s.Submit && s.TTL != 0:
		return fmt.Errorf("a ttl of what never waits")
	case len(s.Fields) == 0:
		return fmt.Errorf("no fields")
	}
	for i := range s.Fields {
		if err := s.Fields[i].check(); err != nil {
			return fmt.Errorf("field %s: %w", s.Fields[i].ID, err)
		}
	}
	for i := range s.Data {
		if err := s.Data[i].check(); err != nil {
			return fmt.Errorf("datum %s: %w", s.Data[i].ID, err)
		}
	}
	return nil
}

func (f *Field) check() error {
	switch {
	case f.Type != Choice && f.Type != IMEI:
		return unknown("type", string(f.Type))
	case !f.Title.complete(), !f.Label.complete(), !f.Hint.complete():
		return errWords
	case f.Type == Choice && len(f.Options) == 0:
		return fmt.Errorf("nothing to choose")
	}
	for _, o := range f.Options {
		if !o.Name.complete() {
			return fmt.Errorf("option %s: %w", o.ID, errWords)
		}
	}
	return nil
}

func (d *Datum) check() error {
	if !slices.Contains([]string{"", "name", "date", "money"}, d.Kind) {
		return unknown("kind", d.Kind)
	}
	if !d.Label.complete() {
		return errWords
	}
	for _, v := range d.Values {
		if !v.Name.complete() {
			return fmt.Errorf("value %s: %w", v.ID, errWords)
		}
	}
	return nil
}

// errWords says that a phrase doesn't stand in all languages.
var errWords = errors.New("words are missing")

// ErrNewer says that a catalogue needs something that this program doesn't know.
var ErrNewer = errors.New("not known to this program")

// unknown says which word isn't known.
func unknown(what, word string) error { return fmt.Errorf("no %s %q: %w", what, word, ErrNewer) }

// Agency returns the agency with the id, or nil.
func (c *Catalogue) Agency(id string) *Agency {
	for i := range c.Agencies {
		if c.Agencies[i].ID == id {
			return &c.Agencies[i]
		}
	}
	return nil
}

// MeansOf returns the means with the id, or nil.
func (c *Catalogue) MeansOf(id MeansID) *Means {
	for i := range c.Means {
		if c.Means[i].ID == id {
			return &c.Means[i]
		}
	}
	return nil
}

// Service returns the service with the id, or nil.
func (c *Catalogue) Service(id ServiceID) *Service {
	for i := range c.Services {
		if c.Services[i].ID == id {
			return &c.Services[i]
		}
	}
	return nil
}

// Open lists the services that need no card, or, with card, those that do.
func (c *Catalogue) Open(card bool) []*Service {
	var all []*Service
	for i := range c.Services {
		if (c.Services[i].Level != Anyone) == card {
			all = append(all, &c.Services[i])
		}
	}
	return all
}

// Valid reports whether s is a well-formed answer to the field.
func (f *Field) Valid(s string) bool {
	switch f.Type {
	case IMEI:
		return len(s) == 15 && strings.Trim(s, "0123456789") == "" && luhn(s)
	case Choice:
		return f.Option(s) != nil
	}
	return false
}

// luhn checks a number's last digit: ISO/IEC 7812-1, annex B.
func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
