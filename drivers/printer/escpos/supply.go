package escpos

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// The rules of the account are: millimetres count as used before the first byte
// of a slip is on the line; what is left is only known once the near-end sensor
// has spoken; a roll that seems new but is near its end at once is the old one,
// since sensors flicker when a roll swings.

// forecastAfter is the least use from which a forecast is made.
const (
	forecastAfter = time.Hour
	forecastMM    = 500
)

// An account is what was printed on a roll. It is kept in the journal.
type account struct {
	left      int   // mm; -1: not known
	resume    int   // left on the roll before, should it turn out to be the same; -1: none
	used      int   // mm of this roll
	since     int64 // when it was put in or first seen, Unix seconds
	retracted int   // slips in the bin
}

func newAccount(now time.Time) account { return account{left: -1, resume: -1, since: now.Unix()} }

// renew begins a new roll after one that was near its end.
func (a *account) renew(now time.Time) {
	if a.left >= 0 {
		a.resume, a.left, a.used, a.since = a.left, -1, 0, now.Unix()
	}
}

// end is the end of a roll: what follows is another one for sure.
func (a *account) end(now time.Time) {
	a.resume, a.left, a.used, a.since = -1, -1, 0, now.Unix()
}

// low begins to count what is left, from nearEnd millimetres; 0 is a model that
// doesn't know.
func (a *account) low(nearEnd int) {
	switch {
	case nearEnd == 0 || a.left >= 0:
	case a.resume >= 0 && a.used < nearEnd/2:
		a.left = max(0, a.resume-a.used)
	default:
		a.left = nearEnd
	}
}

// use takes a slip off the roll.
func (a *account) use(mm int) {
	a.used += mm
	if a.left >= 0 {
		a.left = max(0, a.left-mm)
	}
}

// enough is nil when a slip of so many millimetres fits on what is left.
func (a *account) enough(mm int) error {
	if a.left >= 0 && mm > a.left {
		return fmt.Errorf("%w: %d mm are left, %d are needed", printer.ErrNoPaper, a.left, mm)
	}
	return nil
}

// emptyIn is when the roll will end if it is used as it was; 0 is not known.
func (a *account) emptyIn(now time.Time) time.Duration {
	elapsed := now.Sub(time.Unix(a.since, 0))
	if a.left <= 0 || a.used < forecastMM || elapsed < forecastAfter {
		return 0
	}
	return time.Duration(float64(elapsed) * float64(a.left) / float64(a.used))
}

func (a *account) String() string {
	return fmt.Sprintf("%d %d %d %d %d", a.left, a.resume, a.used, a.since, a.retracted)
}

// parseAccount reads what String wrote, and nothing that can't be true.
func parseAccount(fields []string) (account, bool) {
	if len(fields) != 5 {
		return account{}, false
	}
	var n [5]int64
	for i, f := range fields {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil || v < -1 || i >= 2 && v < 0 || i != 3 && v > 1<<30 || v > 1<<40 {
			return account{}, false
		}
		n[i] = v
	}
	return account{int(n[0]), int(n[1]), int(n[2]), n[3], int(n[4])}, true
}

// millimetres is how much paper so many dots take, rounded up.
func millimetres(n int) int { return (n + dots.PerMM - 1) / dots.PerMM }

// Supply says what is left of the paper, by what was seen and counted.
func (p *Printer) Supply() printer.Supply {
	p.mu.Lock()
	paper := p.known.Paper
	p.mu.Unlock()
	a := p.journal.paper()
	s := printer.Supply{Paper: paper, LeftMM: max(0, a.left), EmptyIn: a.emptyIn(time.Now()), Retracted: a.retracted}
	if paper != printer.PaperLow && paper != printer.PaperUnknown {
		s.LeftMM, s.EmptyIn = 0, 0
	}
	return s
}

// keep changes the account on the disk. Paper goes on being printed when the
// disk fails: the account is then wrong after a restart, and says so in the log.
func (p *Printer) keep(change func(*account)) {
	if err := p.journal.account(change); err != nil {
		p.log.Error("paper not accounted", "error", err)
	}
}

// accountLine is how an account stands in the journal.
func accountLine(now time.Time, a account) string {
	return strings.Join([]string{now.UTC().Format(time.RFC3339), "paper", a.String()}, " ") + "\n"
}
