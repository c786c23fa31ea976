package console

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/cmd/bus/stats"
	"kosk/device/request"
)

// A kiosksBody is the list of kiosks.
type kiosksBody struct {
	Kiosks, Removed []kiosk
	Counts          []tally // by level, the worst first
}

// A tally is how many kiosks stand at a level.
type tally struct {
	Level level
	N     int
}

func (c *Console) kiosks(w http.ResponseWriter, _ *http.Request, s session) {
	all, removed, err := c.survey(time.Now())
	if err != nil {
		c.broken(w, s, err)
		return
	}
	b := kiosksBody{Kiosks: all, Removed: removed}
	for l := urgent; l >= fine; l-- {
		t := tally{Level: l}
		for _, k := range all {
			if k.Level == l {
				t.N++
			}
		}
		b.Counts = append(b.Counts, t)
	}
	c.show(w, http.StatusOK, "kiosks", page{Title: "Kiosks", Nav: "/", Session: s, Body: b})
}

func (c *Console) kiosk(w http.ResponseWriter, r *http.Request, s session) {
	all, removed, err := c.survey(time.Now())
	if err != nil {
		c.broken(w, s, err)
		return
	}
	all = append(all, removed...)
	i := slices.IndexFunc(all, func(k kiosk) bool { return k.Name == r.PathValue("name") })
	if i < 0 {
		c.problem(w, s, http.StatusNotFound, "There is no such kiosk", "No station is registered under this name.")
		return
	}
	c.show(w, http.StatusOK, "kiosk", page{Title: all[i].Name, Nav: "/", Session: s, Body: all[i]})
}

// remove shuts a station out.
func (c *Console) remove(w http.ResponseWriter, r *http.Request, s session) {
	name := r.PathValue("name")
	if r.PostFormValue("sure") != "yes" {
		c.problem(w, s, http.StatusBadRequest, "Nothing was done", "Tick the box to say that you are sure.")
		return
	}
	err := c.Registry.Remove(name, time.Now())
	if errors.Is(err, registry.ErrUnknown) {
		c.problem(w, s, http.StatusNotFound, "There is no such kiosk", "No station is registered under this name.")
		return
	}
	if err != nil {
		c.broken(w, s, err)
		return
	}
	c.Log.Info("station shut out", "station", name, "operator", s.Name)
	http.Redirect(w, r, "/kiosk/"+name, http.StatusSeeOther)
}

// A messagesBody is the page of the message log.
type messagesBody struct {
	Asked    string // the id, when it is one
	Problem  string
	Number   string // as slips bear it
	Tracked  *server.Tracked
	Entries  []exchange
	Verified *verification
	Last     uint64 // entry of the log
}

// An exchange is an entry of the message log without what only looks like an id,
// and without digests.
type exchange struct {
	msglog.Entry
	Message, Issue string
}

// uuidForm is the form of X-Road's ids. RFC 9562, 4.
var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// idOf brings an id into its form, or returns "": anything else isn't looked for,
// kept, or shown again. People type names and FINs into search fields.
func idOf(text string) string {
	text = strings.TrimSpace(text)
	if _, err := request.ParseID(strings.ToUpper(text)); err == nil {
		return strings.ToUpper(text)
	}
	if lower := strings.ToLower(text); uuidForm.MatchString(lower) {
		return lower
	}
	return ""
}

func (c *Console) messages(w http.ResponseWriter, r *http.Request, s session) {
	b := messagesBody{Last: c.Bus.Load().Entry}
	c.mu.Lock()
	b.Verified = c.verified
	c.mu.Unlock()
	status := http.StatusOK
	if text := r.URL.Query().Get("id"); text != "" {
		if err := c.search(r, text, &b); err != nil {
			c.broken(w, s, err)
			return
		}
		if b.Problem != "" {
			status = http.StatusNotFound
		}
	}
	c.show(w, status, "messages", page{Title: "Messages", Nav: "/messages", Session: s, Body: b})
}

// search finds what the bus knows of an id.
func (c *Console) search(r *http.Request, text string, b *messagesBody) error {
	if b.Asked = idOf(text); b.Asked == "" {
		b.Problem = "This is no id. An id is that of a request (26 letters and digits) or of a message (a UUID); names and FINs are never searched."
		return nil
	}
	tracked, err := c.Bus.Track(r.Context(), b.Asked)
	switch {
	case err == nil:
		b.Tracked, b.Number = &tracked, request.ID(b.Asked).Number()
	case !errors.Is(err, server.ErrUnknownSubmission):
		return err
	}
	found, err := msglog.Find(filepath.Join(c.Registry.Dir(), server.MessageFolder), b.Asked)
	if errors.Is(err, msglog.ErrNotFound) {
		if b.Tracked == nil {
			b.Problem = "Nothing is known of this id."
		}
		return nil
	}
	for _, e := range found {
		b.Entries = append(b.Entries, exchange{Entry: e, Message: idOf(e.Message), Issue: idOf(e.Issue)})
	}
	return err
}

// verify checks the whole message log, as bus log verify does. It changes nothing.
func (c *Console) verify(w http.ResponseWriter, r *http.Request, s session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &verification{At: time.Now(), By: s.Name}
	var err error
	if v.Report, err = msglog.Verify(filepath.Join(c.Registry.Dir(), server.MessageFolder), &c.Registry.Keys().Receipt.PublicKey, nil, nil); err != nil {
		v.Err = "The log is not what was written."
		if !errors.Is(err, msglog.ErrDamaged) {
			v.Err = "The log could not be read."
		}
		c.Log.Error("message log verified", "operator", s.Name, "err", err)
	}
	c.verified = v
	http.Redirect(w, r, "/messages#verification", http.StatusSeeOther)
}

// A busBody is the page of the bus itself.
type busBody struct {
	server.Status
	Load     server.Load
	Evidence string
}

func (c *Console) bus(w http.ResponseWriter, _ *http.Request, s session) {
	st, err := c.Bus.Status()
	if err != nil {
		c.broken(w, s, err)
		return
	}
	b := busBody{Status: st, Load: c.Bus.Load(), Evidence: "Cards are checked."}
	switch t := st.Evidence; {
	case t.Error != "":
		b.Evidence = "Cards can't be checked, and requests are refused: the trust bundle is damaged or stale."
	case !t.Checked:
		b.Evidence = "Cards are not checked: there is no trust bundle."
	case t.Development:
		b.Evidence = "Cards are checked with a bundle for development."
	}
	c.show(w, http.StatusOK, "bus", page{Title: "Bus", Nav: "/bus", Session: s, Body: b})
}

func (c *Console) clearFaults(w http.ResponseWriter, r *http.Request, s session) {
	c.Bus.ClearFaults()
	c.Log.Info("scripted faults cleared", "operator", s.Name)
	http.Redirect(w, r, "/bus", http.StatusSeeOther)
}

// A statisticsBody is the page of statistics.
type statisticsBody struct {
	Months   []string // the newest first
	Month    stats.Month
	Tables   stats.Tables
	Chosen   string // "agency" or "agency/service"; "" is everything
	ChosenAs string
	Course   course
	Agencies bars
	Top      bars
}

func (c *Console) statistics(w http.ResponseWriter, r *http.Request, s session) {
	dir := filepath.Join(c.Registry.Dir(), server.StatsFolder)
	months, err := monthsIn(dir)
	if err != nil {
		c.broken(w, s, err)
		return
	}
	b := statisticsBody{Months: months}
	all := map[string]stats.Month{}
	for _, name := range months {
		m, err := stats.Read(dir, name)
		if err != nil {
			c.broken(w, s, err)
			return
		}
		all[name] = m
	}
	month := r.URL.Query().Get("month")
	if month == "" && len(months) > 0 {
		month = months[0]
	}
	m, ok := all[month]
	if !ok && month != "" {
		c.problem(w, s, http.StatusNotFound, "Nothing was counted", "There are no counts of this month.")
		return
	}
	b.Month, b.Tables = m, m.Tables()
	b.Chosen, b.ChosenAs = choose(m, r.URL.Query().Get("of"))
	b.Course = courseOf(all, b.Chosen, month)
	for _, a := range b.Tables.Agencies {
		b.Agencies = append(b.Agencies, a.Uses)
	}
	for _, t := range b.Tables.Top {
		b.Top = append(b.Top, t.Uses)
	}
	c.show(w, http.StatusOK, "statistics", page{Title: "Statistics", Nav: "/statistics", Session: s, Body: b})
}

// monthsIn lists the months that have counts, the newest first.
func monthsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var months []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if _, err := time.Parse("2006-01", name); ok && err == nil {
			months = append(months, name)
		}
	}
	slices.Reverse(months) // ReadDir sorts
	return months, nil
}

// choose finds what is asked for among a month's agencies and services; what isn't
// there is everything.
func choose(m stats.Month, of string) (chosen, name string) {
	for _, a := range m.Agencies {
		if a.ID == of {
			return of, a.Name
		}
		for _, s := range a.Services {
			if a.ID+"/"+s.ID == of {
				return of, serviceName(s.Name, s.ID)
			}
		}
	}
	return "", "All services"
}

func serviceName(name, id string) string {
	if name == "" {
		return id
	}
	return name
}
