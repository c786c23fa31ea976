// Package stats counts how often each service of each agency was used in a
// month, and makes the two tables of the state's bulletin from it: uses by
// agency, and the most used services.
//
// Nothing of a person goes in. A month is one file of JSON; months in Baku's time
// (UTC+4 all year). Start at Open, Book.Add and Month.Tables.
package stats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"kosk/device/keep"
)

// Errors of the statistics. Compare with errors.Is.
var (
	// ErrMonth says that a month's file or name makes no sense.
	ErrMonth = errors.New("bad month")
	// ErrExists says that a month has counts already.
	ErrExists = errors.New("month has counts already")
	// ErrNone says that nothing was counted in a month.
	ErrNone = errors.New("nothing counted")
)

// A Month is all counts of one.
type Month struct {
	Month    string   `json:"month"`             // "2014-12"
	Through  uint64   `json:"through,omitempty"` // the last entry of the message log that is in it
	Agencies []Agency `json:"agencies"`
}

// An Agency and its services.
type Agency struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`            // as the first table has it
	Short    string    `json:"short,omitempty"` // as the second table has it, where that is another
	Services []Service `json:"services"`
}

// A Service and how often it was used. One that nobody used counts as a service.
type Service struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Uses uint64 `json:"uses"`
}

// names that a Book gives to what it counts: agency and service ids to words.
type namer = func(agency, service string) (agencyName, serviceName string)

// A Book counts. It is safe for concurrent use.
type Book struct {
	dir   string
	names namer

	saving sync.Mutex // held by who writes; before mu

	mu     sync.Mutex // guards all below
	months map[string]*Month
	dirty  map[string]bool
}

var baku = time.FixedZone("Asia/Baku", 4*60*60)

// MonthOf names the month of a time.
func MonthOf(at time.Time) string { return at.In(baku).Format("2006-01") }

// Open opens the counts in dir. names gives the words for ids.
func Open(dir string, names func(agency, service string) (agencyName, serviceName string)) (*Book, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open statistics: %w", err)
	}
	return &Book{dir: dir, names: names, months: map[string]*Month{}, dirty: map[string]bool{}}, nil
}

// Add counts one use. seq is its place in the message log: a use that a month has
// in it already isn't counted again, so that the log can be gone through anew.
func (b *Book) Add(at time.Time, seq uint64, agency, service string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := MonthOf(at)
	m, ok := b.months[name]
	if !ok {
		read, err := Read(b.dir, name)
		if errors.Is(err, ErrNone) {
			read, err = Month{Month: name}, nil
		}
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		m = &read
		b.months[name] = m
	}
	if seq <= m.Through {
		return nil
	}
	m.Through = seq
	m.service(agency, service, b.names).Uses++
	b.dirty[name] = true
	return nil
}

// service finds the line of a service, or makes it.
func (m *Month) service(agency, service string, names namer) *Service {
	i := slices.IndexFunc(m.Agencies, func(a Agency) bool { return a.ID == agency })
	agencyName, serviceName := "", ""
	if i < 0 {
		agencyName, serviceName = names(agency, service)
		m.Agencies = append(m.Agencies, Agency{ID: agency, Name: agencyName})
		i = len(m.Agencies) - 1
	}
	a := &m.Agencies[i]
	j := slices.IndexFunc(a.Services, func(s Service) bool { return s.ID == service })
	if j < 0 {
		if serviceName == "" {
			_, serviceName = names(agency, service)
		}
		a.Services = append(a.Services, Service{ID: service, Name: serviceName})
		j = len(a.Services) - 1
	}
	return &a.Services[j]
}

// Save writes what has changed, each month as a whole. logged is called when it is
// settled what will be written, and before anything is: it makes the message log
// durable so far. A month that was ahead of its log would take the entries that
// come after a power cut for those that were lost in it.
func (b *Book) Save(logged func() error) error {
	b.saving.Lock()
	defer b.saving.Unlock()
	months, err := b.changed()
	if err == nil && len(months) > 0 {
		err = logged()
	}
	for name, data := range months {
		if err == nil {
			err = keep.File(file(b.dir, name), data)
		}
		if err != nil {
			b.again(name)
		}
	}
	if err != nil {
		return fmt.Errorf("save statistics: %w", err)
	}
	return nil
}

// changed gives the months that are to be written, by name. They count as written.
func (b *Book) changed() (map[string][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	months := map[string][]byte{}
	for name := range b.dirty {
		data, err := b.months[name].encode()
		if err != nil {
			return nil, err
		}
		months[name] = data
	}
	clear(b.dirty)
	return months, nil
}

// again notes that a month is to be written still.
func (b *Book) again(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty[name] = true
}

func file(dir, month string) string { return filepath.Join(dir, month+".json") }

func (m *Month) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", " ")
	return append(data, '\n'), err
}

// Read reads a month, or ErrNone.
func Read(dir, month string) (Month, error) {
	if _, err := time.Parse("2006-01", month); err != nil {
		return Month{}, fmt.Errorf("read statistics: %w: %q", ErrMonth, month)
	}
	data, err := os.ReadFile(file(dir, month))
	if errors.Is(err, fs.ErrNotExist) {
		return Month{}, fmt.Errorf("read statistics of %s: %w", month, ErrNone)
	}
	if err != nil {
		return Month{}, fmt.Errorf("read statistics: %w", err)
	}
	m, err := Parse(data)
	if err == nil && m.Month != month {
		err = fmt.Errorf("%w: it is of %s", ErrMonth, m.Month)
	}
	if err != nil {
		return Month{}, fmt.Errorf("read statistics of %s: %w", month, err)
	}
	return m, nil
}

// Parse reads a month's file. Errors: ErrMonth.
func Parse(data []byte) (Month, error) {
	var m Month
	if err := json.Unmarshal(data, &m); err != nil {
		return Month{}, fmt.Errorf("%w: %w", ErrMonth, err)
	}
	if _, err := time.Parse("2006-01", m.Month); err != nil {
		return Month{}, fmt.Errorf("%w: %q", ErrMonth, m.Month)
	}
	seen := map[string]bool{}
	for _, a := range m.Agencies {
		for _, s := range a.Services {
			if id := a.ID + "/" + s.ID; a.ID == "" || s.ID == "" || seen[id] {
				return Month{}, fmt.Errorf("%w: %s is empty or stands twice", ErrMonth, id)
			} else {
				seen[id] = true
			}
		}
	}
	return m, nil
}

// Import puts a whole month in that was counted elsewhere. Errors: ErrExists.
func Import(dir string, m Month) error {
	if _, err := Read(dir, m.Month); !errors.Is(err, ErrNone) {
		return errors.Join(fmt.Errorf("import %s: %w", m.Month, ErrExists), err)
	}
	m.Through = 0
	data, err := m.encode()
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = keep.File(file(dir, m.Month), data)
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", m.Month, err)
	}
	return nil
}

// Tables are those of the bulletin.
type Tables struct {
	Month    string       `json:"month"`
	Services int          `json:"services"` // of all agencies
	Uses     uint64       `json:"uses"`     // of all agencies
	Agencies []AgencyRow  `json:"agencies"`
	Top      []ServiceRow `json:"top"` // the twenty most used
}

// An AgencyRow is a row of the first table.
type AgencyRow struct {
	Rank     int    `json:"rank"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	Services int    `json:"services"`
	Uses     uint64 `json:"uses"`
}

// A ServiceRow is a row of the second.
type ServiceRow struct {
	Rank   int    `json:"rank"`
	Agency string `json:"agency"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Owner  string `json:"owner"`
	Uses   uint64 `json:"uses"`
}

// topRows is how many rows the second table has.
const topRows = 20

// Tables makes them. Equals are ordered by id, so the order is always the same.
func (m Month) Tables() Tables {
	t := Tables{Month: m.Month, Agencies: []AgencyRow{}, Top: []ServiceRow{}}
	for _, a := range m.Agencies {
		row := AgencyRow{ID: a.ID, Name: a.Name, Services: len(a.Services)}
		owner := a.Name
		if a.Short != "" {
			owner = a.Short
		}
		for _, s := range a.Services {
			row.Uses += s.Uses
			t.Top = append(t.Top, ServiceRow{Agency: a.ID, ID: s.ID, Name: s.Name, Owner: owner, Uses: s.Uses})
		}
		t.Services += row.Services
		t.Uses += row.Uses
		t.Agencies = append(t.Agencies, row)
	}
	slices.SortFunc(t.Agencies, func(a, b AgencyRow) int { return order(a.Uses, b.Uses, a.ID, b.ID) })
	slices.SortFunc(t.Top, func(a, b ServiceRow) int { return order(a.Uses, b.Uses, a.Agency+"/"+a.ID, b.Agency+"/"+b.ID) })
	t.Top = t.Top[:min(len(t.Top), topRows)]
	for i := range t.Agencies {
		t.Agencies[i].Rank = i + 1
	}
	for i := range t.Top {
		t.Top[i].Rank = i + 1
	}
	return t
}

func order(a, b uint64, idA, idB string) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return strings.Compare(idA, idB)
}

// Text is both tables for people.
func (t Tables) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n\n#\tagency\tservices\tuses\n", t.Month)
	for _, r := range t.Agencies {
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\n", r.Rank, r.Name, r.Services, r.Uses)
	}
	fmt.Fprintf(w, "\tall\t%d\t%d\n\n", t.Services, t.Uses)
	fmt.Fprint(w, "#\tservice\tagency\tuses\n")
	for _, r := range t.Top {
		name := r.Name
		if name == "" {
			name = r.ID
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\n", r.Rank, name, r.Owner, r.Uses)
	}
	_ = w.Flush() // a builder takes everything
	return b.String()
}
