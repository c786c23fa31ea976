// Package metrics counts and times what the bus does, for Prometheus: answers by
// call and class, the ledger's appends, work, enrolments, and how each kiosk says
// that it stands.
//
// Labels are calls, classes and station names, all of which there are few; nothing
// of a person. Start at New.
package metrics

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/server"
)

// MaxStations is how many kiosks have gauges of their own: those whose names come
// first. The others are only counted.
const MaxStations = 2000

// Metrics of one bus. It is safe for concurrent use.
type Metrics struct {
	registry    *prometheus.Registry
	submissions *prometheus.CounterVec
	took        *prometheus.HistogramVec
	append      *prometheus.HistogramVec
	enrolments  *prometheus.CounterVec
}

// New makes the metrics of a bus that has done nothing yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		submissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kosk_bus_submissions_total", Help: "Answers to submissions by class: created, ok (the same again), busy, bad_envelope ...",
		}, []string{"class"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kosk_bus_call_seconds", Help: "Time from a call's first byte to its answer's end. Waiting calls wait up to 25 s.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"call"}),
		append: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kosk_bus_ledger_append_seconds", Help: "Time to append an entry durably.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 13),
		}, []string{"result"}),
		enrolments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kosk_bus_enrolments_total", Help: "Certificates asked for over EST, by call and class of the answer.",
		}, []string{"call", "class"}),
	}
	m.registry.MustRegister(m.submissions, m.took, m.append, m.enrolments,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Answered counts an answer: server.Config.Answered.
func (m *Metrics) Answered(a server.Answer) {
	call := a.Call
	if call == "" {
		call = "none"
	}
	m.took.WithLabelValues(call).Observe(a.Took.Seconds())
	switch {
	case a.Call == "submit":
		m.submissions.WithLabelValues(a.Class()).Inc()
	case strings.HasSuffix(a.Call, "enroll"):
		m.enrolments.WithLabelValues(a.Call, a.Class()).Inc()
	}
}

// Ledger is a ledger whose appends are timed.
func (m *Metrics) Ledger(l ledger.Ledger) ledger.Ledger { return timed{l, m.append} }

type timed struct {
	ledger.Ledger
	took *prometheus.HistogramVec
}

// Append is ledger.Ledger's.
func (t timed) Append(ctx context.Context, key string, body []byte) (ledger.Entry, bool, error) {
	start := time.Now()
	e, created, err := t.Ledger.Append(ctx, key, body)
	result := "created"
	if err != nil {
		result = "error"
	} else if !created {
		result = "known"
	}
	t.took.WithLabelValues(result).Observe(time.Since(start).Seconds())
	return e, created, err
}

// Watch adds what a server and its kiosks tell when they are asked.
func (m *Metrics) Watch(s *server.Server) { m.registry.MustRegister(watched{s}) }

// Handler answers GET /metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 10 * time.Second}))
	return mux
}

// A watched server is asked at each scrape.
type watched struct{ s *server.Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What a server and its kiosks tell.
var (
	descInFlight  = desc("kosk_bus_submissions_in_flight", "Submissions that are being accepted now.")
	descWork      = desc("kosk_bus_work", "Accepted submissions without a decision: waiting, or at an agency.", "state")
	descAccepted  = desc("kosk_bus_ledger_submissions", "Submissions in the ledger.")
	descDecided   = desc("kosk_bus_ledger_decisions", "Decisions in the ledger.")
	descEntry     = desc("kosk_bus_message_log_seq", "Number of the message log's last entry.")
	descStations  = desc("kosk_bus_stations", "Registered stations.")
	descUntold    = desc("kosk_bus_kiosks_without_gauges", "Kiosks that report and have no gauges of their own here: there are too many.")
	descTold      = desc("kosk_kiosk_report_age_seconds", "Time since the kiosk's last report.", "station")
	descDepth     = desc("kosk_kiosk_queue_depth", "Requests that the kiosk holds and the bus has not accepted.", "station")
	descParked    = desc("kosk_kiosk_queue_parked", "Requests that wait for an operator.", "station")
	descFull      = desc("kosk_kiosk_queue_used_ratio", "Part of the queue's file that is used.", "station")
	descDelivered = desc("kosk_kiosk_queue_delivered_total", "Requests that the bus has accepted from the kiosk's outbox since its program's start.", "station")
	descTwice     = desc("kosk_kiosk_queue_duplicates_total", "Requests that were stored again and were there already, since then.", "station")
	descCommit    = desc("kosk_kiosk_queue_commit_seconds", "Time of a commit of the outbox to the disk, by quantile of the last few hundred.", "station", "quantile")
	descOldest    = desc("kosk_kiosk_queue_oldest_seconds", "Age of the oldest request, by class.", "station", "class")
	descPaper     = desc("kosk_kiosk_paper_state", "1 for the state that the paper is in.", "station", "state")
	descPartsDown = desc("kosk_kiosk_parts_not_online", "Parts that are not online.", "station")
)

// Describe is prometheus.Collector's.
func (w watched) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descInFlight, descWork, descAccepted, descDecided, descEntry, descStations, descUntold, descTold, descDepth, descParked,
		descFull, descDelivered, descTwice, descCommit, descOldest, descPaper, descPartsDown,
	} {
		out <- d
	}
}

// Collect is prometheus.Collector's.
func (w watched) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		kind := prometheus.GaugeValue
		if d == descDelivered || d == descTwice {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	load := w.s.Load()
	gauge(descInFlight, float64(load.InFlight))
	gauge(descWork, float64(load.Waiting), "waiting")
	gauge(descWork, float64(load.Working), "working")
	gauge(descEntry, float64(load.Entry))
	if st, err := w.s.Status(); err == nil {
		gauge(descStations, float64(st.Stations))
		gauge(descAccepted, float64(st.Accepted))
		gauge(descDecided, float64(st.Effects))
	}
	all := w.s.Tellings()
	slices.SortFunc(all, func(a, b server.Telling) int { return strings.Compare(a.Station, b.Station) })
	shown := all[:min(len(all), MaxStations)]
	gauge(descUntold, float64(len(all)-len(shown)))
	for _, t := range shown {
		kiosk(gauge, t, time.Now())
	}
}

// The words that labels are made of; what else a kiosk says is "other".
var (
	classes = []string{"waiting", "today", "whenever"}
	papers  = []string{"full", "low", "out", "jammed", "unknown"}
)

func known(word string, words []string) string {
	if slices.Contains(words, word) {
		return word
	}
	return "other"
}

func kiosk(gauge func(*prometheus.Desc, float64, ...string), t server.Telling, now time.Time) {
	q := t.Report.Queue
	gauge(descTold, max(0, now.Sub(t.ReceivedAt).Seconds()), t.Station)
	gauge(descDepth, float64(q.Depth), t.Station)
	gauge(descParked, float64(q.Parked), t.Station)
	if q.Bound > 0 {
		gauge(descFull, float64(q.Bytes)/float64(q.Bound), t.Station)
	}
	gauge(descDelivered, float64(q.Delivered), t.Station)
	gauge(descTwice, float64(q.Duplicates), t.Station)
	gauge(descCommit, q.CommitP50MS/1000, t.Station, "0.5")
	gauge(descCommit, q.CommitP99MS/1000, t.Station, "0.99")
	oldest := map[string]int64{}
	for class, age := range q.OldestS {
		c := known(class, classes)
		oldest[c] = max(oldest[c], age)
	}
	for class, age := range oldest {
		gauge(descOldest, float64(age), t.Station, class)
	}
	gauge(descPaper, 1, t.Station, known(t.Report.Paper.State, papers))
	down := 0
	for _, p := range t.Report.Parts {
		if p.State != "online" {
			down++
		}
	}
	gauge(descPartsDown, float64(down), t.Station)
}
