package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/health"
)

// A level says how much a kiosk needs somebody.
type level int

// The levels.
const (
	fine   level = iota // nothing is wrong
	note                // worth knowing
	soon                // today
	urgent              // citizens are turned away, or promises are at risk
)

func (l level) String() string {
	return [...]string{"In order", "Worth knowing", "Needs help soon", "Needs help now"}[l]
}

// Key names the level in class attributes.
func (l level) Key() string { return [...]string{"fine", "note", "soon", "urgent"}[l] }

// A finding is one thing that is wrong.
type finding struct {
	Level level
	Text  string
}

// A kiosk is what an operator sees of one.
type kiosk struct {
	Name      string
	Enrolled  time.Time // end of its certificate; zero: none
	Removed   time.Time
	CodeOpen  bool
	LastSeen  time.Time // by message or report
	Told      bool      // it has reported
	Telling   server.Telling
	Findings  []finding // the worst first
	Level     level
	OldestAge time.Duration // of what waits in its queue
}

// When things become a matter for somebody.
const (
	silentSoon   = 10 * time.Minute
	silentUrgent = 30 * time.Minute
	fullSoon     = 70 // per cent
	fullUrgent   = 90
	paperUrgent  = 2 * time.Hour // until the roll is forecast to be empty
	expiresSoon  = 30 * 24 * time.Hour
)

// limits of a queued request's age by class: a citizen waits for the first.
var limits = map[string]struct{ soon, urgent time.Duration }{
	"waiting":  {5 * time.Minute, time.Hour},
	"today":    {8 * time.Hour, 24 * time.Hour},
	"whenever": {7 * 24 * time.Hour, 30 * 24 * time.Hour},
}

// majority are the versions that most kiosks run; the rest is compared with them.
type majority struct{ firmware, catalogue string }

func majorityOf(all []server.Telling) majority {
	firmware, catalogue := map[string]int{}, map[string]int{}
	for _, t := range all {
		firmware[t.Report.Firmware]++
		catalogue[t.Report.Catalogue]++
	}
	most := func(count map[string]int) string {
		names := slices.Sorted(maps.Keys(count))
		if len(names) == 0 {
			return ""
		}
		return slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
	}
	return majority{most(firmware), most(catalogue)}
}

// judge says what is wrong with a kiosk.
func (k *kiosk) judge(m majority, now time.Time) {
	k.silence(now)
	if k.Told {
		k.queue(k.Telling.Report.Queue)
		k.paper(k.Telling.Report.Paper)
		k.parts(k.Telling.Report.Parts)
		k.versions(m)
	}
	if left := k.Enrolled.Sub(now); !k.Enrolled.IsZero() && left < expiresSoon {
		k.add(soon, "Its certificate ends in %s.", span(max(0, left)))
	}
	slices.SortStableFunc(k.Findings, func(a, b finding) int { return int(b.Level - a.Level) })
	if len(k.Findings) > 0 {
		k.Level = k.Findings[0].Level
	}
}

func (k *kiosk) add(l level, format string, args ...any) {
	k.Findings = append(k.Findings, finding{l, fmt.Sprintf(format, args...)})
}

// silence judges how long nothing was heard.
func (k *kiosk) silence(now time.Time) {
	silent := now.Sub(k.LastSeen)
	switch {
	case k.Enrolled.IsZero() && k.CodeOpen:
		k.add(note, "Waits to be enrolled: its code is open.")
	case k.Enrolled.IsZero():
		k.add(note, "Is not enrolled, and has no open code.")
	case k.LastSeen.IsZero():
		k.add(soon, "Has not been heard since the bus started, and never reported.")
	case silent >= silentUrgent:
		k.add(urgent, "Silent for %s.", span(silent))
	case silent >= silentSoon:
		k.add(soon, "Silent for %s.", span(silent))
	case !k.Told:
		k.add(note, "Is heard, and has not reported.")
	}
}

func (k *kiosk) queue(q health.Queue) {
	if q.Bound > 0 {
		switch percent := q.Bytes * 100 / q.Bound; {
		case percent >= fullUrgent:
			k.add(urgent, "Queue is %d %% full: soon it can take no more requests.", percent)
		case percent >= fullSoon:
			k.add(soon, "Queue is %d %% full.", percent)
		}
	}
	for _, class := range slices.Sorted(maps.Keys(q.OldestS)) {
		age := time.Duration(q.OldestS[class]) * time.Second
		k.OldestAge = max(k.OldestAge, age)
		limit, ok := limits[class]
		switch {
		case ok && age >= limit.urgent:
			k.add(urgent, "A request of class “%s” waits for %s.", class, span(age))
		case ok && age >= limit.soon:
			k.add(soon, "A request of class “%s” waits for %s.", class, span(age))
		}
	}
	if q.Parked > 0 {
		k.add(soon, "%s refused and wait for an operator at the kiosk.", count(q.Parked, "request was", "requests were"))
	}
}

func (k *kiosk) paper(p health.Paper) {
	empty := time.Duration(p.EmptyInS) * time.Second
	switch {
	case p.State == "out" || p.State == "jammed":
		k.add(urgent, "Paper is %s: no slips.", p.State)
	case p.EmptyInS > 0 && empty <= paperUrgent:
		k.add(urgent, "Paper ends in about %s.", span(empty))
	case p.State == "low":
		k.add(soon, "Paper is low.")
	case p.State != "full":
		k.add(note, "State of the paper is not known.")
	}
	if p.Retracted > 0 {
		k.add(note, "%s in the bin: somebody may come back for it.", count(p.Retracted, "slip is", "slips are"))
	}
}

// parts judges components: without reader or printer a kiosk is of no use.
func (k *kiosk) parts(all []health.Part) {
	for _, p := range all {
		vital := p.Name == "card" || p.Name == "printer"
		switch {
		case p.State == "online":
		case p.State == "degraded":
			k.add(note, "Part “%s” is degraded.", p.Name)
		case vital:
			k.add(urgent, "Part “%s”: %s.", p.Name, states(p.State))
		default:
			k.add(soon, "Part “%s”: %s.", p.Name, states(p.State))
		}
	}
}

// states puts XFS4IoT's words for a device into English.
func states(s string) string {
	switch s {
	case "hardwareError":
		return "hardware error"
	case "noDevice":
		return "no device"
	}
	return s
}

func (k *kiosk) versions(m majority) {
	r := k.Telling.Report
	if r.Firmware != m.firmware {
		k.add(note, "Firmware is %s; most run %s.", r.Firmware, m.firmware)
	}
	if r.Catalogue != m.catalogue {
		k.add(note, "Catalogue is %s; most have %s.", r.Catalogue, m.catalogue)
	}
	if r.Trust.Development {
		k.add(note, "Believes cards of a development bundle.")
	}
	n := 0
	for _, f := range r.Faults {
		n += f.Count
	}
	if n > 0 {
		k.add(note, "%s met since the report before.", count(n, "fault was", "faults were"))
	}
}

// worse orders kiosks: by level, by how many findings of each level from the worst
// down, by the age of what waits longest, by how much waits, by name.
func worse(a, b kiosk) int {
	counts := func(k kiosk) (n [urgent + 1]int) {
		for _, f := range k.Findings {
			n[f.Level]++
		}
		return n
	}
	na, nb := counts(a), counts(b)
	for l := urgent; l > fine; l-- {
		if na[l] != nb[l] {
			return nb[l] - na[l]
		}
	}
	return cmp.Or(
		cmp.Compare(b.OldestAge, a.OldestAge),
		cmp.Compare(b.Telling.Report.Queue.Depth, a.Telling.Report.Queue.Depth),
		strings.Compare(a.Name, b.Name),
	)
}

// survey returns all kiosks, the worst first, and those that were shut out.
func (c *Console) survey(now time.Time) (all, removed []kiosk, err error) {
	stations, err := c.Registry.Stations()
	if err != nil {
		return nil, nil, err
	}
	tellings := c.Bus.Tellings()
	told := map[string]server.Telling{}
	for _, t := range tellings {
		told[t.Station] = t
	}
	most := majorityOf(tellings)
	for _, s := range stations {
		k := c.look(s, told, now)
		if !k.Removed.IsZero() {
			removed = append(removed, k)
			continue
		}
		k.judge(most, now)
		all = append(all, k)
	}
	slices.SortFunc(all, worse)
	return all, removed, nil
}

// look joins what is known of a station.
func (c *Console) look(s registry.Station, told map[string]server.Telling, now time.Time) kiosk {
	k := kiosk{Name: s.Name, Removed: s.Removed, CodeOpen: s.CodeOpen(now), LastSeen: c.Bus.LastSeen(s.Name)}
	for _, cert := range s.Certificates {
		if !cert.Revoked && cert.NotAfter.After(k.Enrolled) {
			k.Enrolled = cert.NotAfter
		}
	}
	k.Telling, k.Told = told[s.Name]
	if k.Told && k.Telling.ReceivedAt.After(k.LastSeen) {
		k.LastSeen = k.Telling.ReceivedAt
	}
	return k
}
