package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"kosk/cmd/bus/stats"
)

// words are what templates say things with.
var words = template.FuncMap{
	"ago":     ago,
	"span":    span,
	"seconds": func(s int64) string { return span(time.Duration(s) * time.Second) },
	"clock":   func(t time.Time) string { return t.In(baku).Format("2 Jan 2006, 15:04:05") },
	"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"day":     func(t time.Time) string { return t.In(baku).Format("2 Jan 2006") },
	"number":  number,
	"bytes":   size,
	"percent": func(part, whole int64) int64 { return part * 100 / max(1, whole) },
	"month":   monthName,
	"states":  states,
	"service": serviceName,
	"of":      func(agency, service string) string { return agency + "/" + service },
	"classes": func() []string { return []string{"waiting", "today", "whenever"} },
	"state": func(s string) string {
		return map[string]string{"accepted": "Accepted", "in_work": "At the agency", "done": "Done", "refused": "Refused"}[s]
	},
}

// baku is the zone that operators live in: UTC+4 all year.
var baku = time.FixedZone("Asia/Baku", 4*60*60)

// span says a duration with one unit, two where it matters. A number isn't parted
// from its unit at the end of a line.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d\u00a0s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d\u00a0min", int(d.Minutes()))
	case d < 24*time.Hour:
		if m := int(d.Minutes()) % 60; m > 0 && d < 10*time.Hour {
			return fmt.Sprintf("%d\u00a0h %d\u00a0min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d\u00a0h", int(d.Hours()))
	}
	return count(int(d.Hours())/24, "day", "days")
}

func ago(now, t time.Time) string {
	if d := now.Sub(t); d >= time.Second {
		return span(d) + " ago"
	}
	return "just now"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number sets digits in threes, as the bulletin does.
func number(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// monthName turns 2014-12 into December 2014.
func monthName(m string) string {
	t, err := time.Parse("2006-01", m)
	if err != nil {
		return m
	}
	return t.Format("January 2006")
}

// bars are the counts of a table, drawn in its rows.
type bars []uint64

// Width of a row's bar in per cent of the longest.
func (b bars) Width(i int) string {
	most := uint64(1)
	for _, n := range b {
		most = max(most, n)
	}
	return percentOf(b[i], most)
}

func percentOf(n, most uint64) string {
	return strconv.FormatFloat(float64(n)*100/float64(most), 'f', 2, 64)
}

// A course is how something went from month to month.
type course []column

// A column is one month of it. Places and sizes are per cent of the drawing.
type column struct {
	Month                       string
	Label                       string // number of the month
	Uses                        uint64
	X, Middle, Width, Y, Height string
	Above                       string // where the number stands, in the whole drawing
}

// longestCourse is how many months are drawn.
const longestCourse = 12

// The columns stand in a part of the drawing, in per cent of its height, as
// statistics.html has it; below are the months, above the highest its number.
const (
	plotTop    = 8
	plotHeight = 82
)

// courseOf draws the uses of an agency, a service, or everything, up to a month.
func courseOf(all map[string]stats.Month, of, upto string) course {
	last, err := time.Parse("2006-01", upto)
	if err != nil {
		return nil
	}
	oldest := upto
	for name := range all {
		oldest = min(oldest, name)
	}
	var c course
	for i := longestCourse - 1; i >= 0; i-- {
		name := last.AddDate(0, -i, 0).Format("2006-01")
		if name >= oldest {
			c = append(c, column{Month: name, Label: strings.TrimPrefix(name[5:], "0"), Uses: usesOf(all[name], of)})
		}
	}
	c.place()
	return c
}

// place gives every column its place.
func (c course) place() {
	most := uint64(1)
	for _, one := range c {
		most = max(most, one.Uses)
	}
	each := 100 / float64(max(len(c), 8))
	per := func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + "%" }
	for i := range c {
		height := float64(c[i].Uses) * 100 / float64(most)
		c[i].X, c[i].Width, c[i].Middle = per((float64(i)+.15)*each), per(.7*each), per((float64(i)+.5)*each)
		c[i].Y, c[i].Height, c[i].Above = per(100-height), per(height), per(plotTop+plotHeight*(100-height)/100-2)
	}
}

// Highest is the column with the most uses.
func (c course) Highest() column {
	var high column
	for _, one := range c {
		if one.Uses > high.Uses {
			high = one
		}
	}
	return high
}

func usesOf(m stats.Month, of string) (n uint64) {
	for _, a := range m.Agencies {
		for _, s := range a.Services {
			if of == "" || of == a.ID || of == a.ID+"/"+s.ID {
				n += s.Uses
			}
		}
	}
	return n
}
