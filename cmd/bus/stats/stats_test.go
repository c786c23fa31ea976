package stats

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// A bulletin is what was printed about December 2014.
type bulletin struct {
	Month string
	Total struct {
		Services int
		Uses     uint64
	}
	Agencies []AgencyRow
	Top      []struct {
		Rank     int
		ID       string
		Agency   string
		Name     string `json:"name_printed"`
		Provider string `json:"provider_printed"`
		Uses     uint64
	}
}

func readBulletin(t *testing.T) bulletin {
	t.Helper()
	data, err := os.ReadFile("testdata/bulletin-2014-12.json")
	if err != nil {
		t.Fatal(err)
	}
	var b bulletin
	if err := json.Unmarshal(data, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// uses gives each service of an agency its uses. The bulletin prints those of the
// top twenty alone; an agency's other services share what is left of its sum.
func (b bulletin) uses(a AgencyRow) (ids []string, uses []uint64) {
	left, others := a.Uses, a.Services
	for _, s := range b.Top {
		if s.Agency == a.ID {
			ids, uses = append(ids, s.ID), append(uses, s.Uses)
			left -= s.Uses
			others--
		}
	}
	for i := range others {
		n := left / uint64(others)
		if uint64(i) < left%uint64(others) {
			n++
		}
		ids, uses = append(ids, fmt.Sprintf("other-%02d", i+1)), append(uses, n)
	}
	return ids, uses
}

func (b bulletin) names(agency, service string) (string, string) {
	name := ""
	for _, a := range b.Agencies {
		if a.ID == agency {
			name = a.Name
		}
	}
	for _, s := range b.Top {
		if s.ID == service && s.Agency == agency {
			return name, s.Name
		}
	}
	return name, ""
}

// Every one of the 595,596 uses of December 2014 is counted, one after the other,
// with a new start in the middle; what comes out is compared with what was printed.
func TestDecember2014(t *testing.T) {
	b := readBulletin(t)
	dir := t.TempDir()
	book, err := Open(dir, b.names)
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	at := time.Date(2014, 12, 1, 0, 0, 0, 0, baku)
	for row, a := range b.Agencies {
		ids, uses := b.uses(a)
		for i, id := range ids {
			for range uses[i] {
				seq++
				if err := book.Add(at, seq, a.ID, id); err != nil {
					t.Fatal(err)
				}
			}
		}
		if row == 20 {
			if err := book.Save(logged); err != nil {
				t.Fatal(err)
			}
			if book, err = Open(dir, b.names); err != nil {
				t.Fatal(err)
			}
			if err := book.Add(at, seq, a.ID, ids[0]); err != nil { // the log is gone through anew
				t.Fatal(err)
			}
		}
	}
	if err := book.Save(logged); err != nil {
		t.Fatal(err)
	}
	m, err := Read(dir, "2014-12")
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Agencies {
		for _, s := range b.Top {
			if s.Agency == m.Agencies[i].ID && s.Provider != m.Agencies[i].Name {
				m.Agencies[i].Short = s.Provider
			}
		}
	}
	tables := m.Tables()
	if len(tables.Agencies) != 43 || tables.Services != 336 || tables.Uses != 595_596 || seq != 595_596 {
		t.Errorf("%d rows, %d services, %d uses, %d counted", len(tables.Agencies), tables.Services, tables.Uses, seq)
	}
	if diff := cmp.Diff(b.Agencies, tables.Agencies); diff != "" {
		t.Errorf("first table (printed, made):\n%s", diff)
	}
	for i, want := range b.Top {
		got := tables.Top[i]
		if got != (ServiceRow{want.Rank, want.Agency, want.ID, want.Name, want.Provider, want.Uses}) {
			t.Errorf("second table: %+v, want %+v", got, want)
		}
	}
	golden(t, "2014-12.txt", tables.Text())
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "2014-12.json", string(text)+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (want, got):\n%s", name, diff)
	}
}

func TestMonthsEndInBaku(t *testing.T) {
	if got := MonthOf(time.Date(2026, 10, 31, 20, 0, 0, 0, time.UTC)); got != "2026-11" {
		t.Errorf("20:00 UTC on 31 October is of %s", got)
	}
	if got := MonthOf(time.Date(2026, 10, 31, 19, 59, 59, 0, time.UTC)); got != "2026-10" {
		t.Errorf("19:59:59 UTC on 31 October is of %s", got)
	}
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	m := Month{Month: "2014-12", Agencies: []Agency{{ID: "a", Services: []Service{{ID: "s", Uses: 3}}}}}
	if err := Import(dir, m); err != nil {
		t.Fatal(err)
	}
	if err := Import(dir, m); !errors.Is(err, ErrExists) {
		t.Errorf("again: %v", err)
	}
	if got, err := Read(dir, "2014-12"); err != nil || got.Tables().Uses != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Read(dir, "2014-11"); !errors.Is(err, ErrNone) {
		t.Errorf("another month: %v", err)
	}
	if _, err := Read(dir, "../2014-12"); !errors.Is(err, ErrMonth) {
		t.Errorf("a path: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"month":"2014-12","agencies":[{"id":"a","services":[{"id":"s","uses":1}]}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if m, err := Parse(b); err == nil {
			_ = m.Tables().Text()
		}
	})
}

// logged is of a log that is durable as it stands.
func logged() error { return nil }

// TestNoMonthIsAheadOfItsLog: a month is written after the log was made durable,
// with what had been counted before that; and not at all when the log can't be.
func TestNoMonthIsAheadOfItsLog(t *testing.T) {
	dir, at := t.TempDir(), time.Date(2025, 3, 1, 12, 0, 0, 0, baku)
	book, err := Open(dir, func(agency, service string) (string, string) { return agency, service })
	if err != nil {
		t.Fatal(err)
	}
	use := func(seq uint64) {
		t.Helper()
		if err := book.Add(at, seq, "a", "s"); err != nil {
			t.Fatal(err)
		}
	}
	through := func(want uint64) {
		t.Helper()
		m, err := Read(dir, "2025-03")
		if err != nil && !errors.Is(err, ErrNone) || m.Through != want {
			t.Errorf("written through %d, %v, want %d", m.Through, err, want)
		}
	}
	use(1)
	broken := errors.New("log can't be synced")
	if err := book.Save(func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	through(0)
	use(2)
	err = book.Save(func() error {
		through(0)
		use(3) // comes while the log is synced: it may not be in it
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	through(2)
	if err := book.Save(logged); err != nil {
		t.Fatal(err)
	}
	through(3)
	if err := book.Save(func() error { return broken }); err != nil {
		t.Errorf("nothing to write, and the log was asked: %v", err)
	}
}
