// Package fleet puts a reference bus under the load of many kiosks: the real
// program bus on loopback with a fresh folder, stations that enrolled by EST and
// hold a TLS 1.3 connection each, and sealed envelopes.
//
// Load measures what the bus takes; Outage how a fleet of real queues and
// couriers delivers what it holds after the bus was away. The processes of that
// fleet run Crew. Nothing here is simulated but the citizens.
package fleet

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"kosk/cmd/bus/agency"
	"kosk/device/provision"
	"kosk/device/request"
	"kosk/offline/bus"
)

// A kiosk is one enrolled station.
type kiosk struct {
	*provision.Station
	line  *bus.Client
	login request.Proof // of its only citizen; zero when the bus doesn't ask for one
}

// names of stations.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("FLEET-%04d", i+1)
	}
	return all
}

// enrolAll makes stations of the bus, a few at a time.
func enrolAll(ctx context.Context, b *Bus, n int) ([]*kiosk, error) {
	codes, err := b.Codes(ctx, names(n))
	if err != nil {
		return nil, err
	}
	all := make([]*kiosk, n)
	err = inParallel(n, func(i int) (err error) {
		all[i], err = enrol(ctx, b.URL(), codes[i])
		return err
	})
	return all, err
}

// enrol goes from a one-time code to a station with its line.
func enrol(ctx context.Context, url, code string) (*kiosk, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	got, err := bus.Enrol(ctx, bus.Enrolment{URL: url, Code: code, Key: key})
	if err != nil {
		return nil, err
	}
	s, err := provision.NewStation(got.Station, url, key, got.Certificate, got.CA[0])
	if err != nil {
		return nil, err
	}
	line, err := dial(s)
	if err != nil {
		return nil, err
	}
	keys, err := line.Keys(ctx)
	if err != nil {
		return nil, err
	}
	if s.Recipient, err = age.ParseHybridRecipient(keys.Recipient); err != nil {
		return nil, err
	}
	s.ReceiptKey, err = provision.ParseReceiptKey(keys.ReceiptKey)
	return &kiosk{Station: s, line: line}, err
}

// dial makes the station's client. It doesn't touch the network.
func dial(s *provision.Station) (*bus.Client, error) {
	return bus.Open(bus.Options{
		URL: s.URL, Instance: s.Provider.Instance, Client: s.Client(), Service: s.Provider.Service(), TLS: s.TLSConfig(),
	})
}

// save writes the station as kioskctl does, and returns its folder.
func (k *kiosk) save(dir string) (string, error) {
	dir = filepath.Join(dir, k.Name)
	return dir, provision.Save(dir, k.Station)
}

// draft is a request that the bus accepts, under an id that has not been before.
func draft(s *provision.Station, seq uint64) request.Draft {
	p := agency.Population()[0]
	now := time.Now()
	return request.Draft{
		ID: request.NewID(now), Station: s.Name, Service: agency.WorkCertificate, CatalogueVersion: "1", CreatedAt: now,
		Clock: request.ClockTrusted, MonoSeq: seq, BootID: "fleet", Lang: "az", Answers: request.Answers{"purpose": "bank"},
		Holder: request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber},
	}
}

// verifier checks receipts as the kiosk does.
func verifier(s *provision.Station) func(id string, body, receipt []byte) error {
	return func(id string, body, receipt []byte) error {
		return request.CheckReceipt(receipt, s.ReceiptKey, id, sha256.Sum256(body))
	}
}

// atOnce is how many kiosks are made, or envelopes sealed, at the same time.
const atOnce = 4

// inParallel calls do for 0 to n-1 and returns the first error.
func inParallel(n int, do func(i int) error) error {
	var mu sync.Mutex
	var failed error
	var next int
	take := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= n && failed == nil
	}
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := do(i); err != nil {
					mu.Lock()
					failed = cmp.Or(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return failed
}

// percentiles are of times in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// percentilesOf sorts the times.
func percentilesOf(times []time.Duration) percentiles {
	if len(times) == 0 {
		return percentiles{}
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[int(share*float64(len(times)-1))].Microseconds()) / 1000
	}
	return percentiles{at(0.5), at(0.95), at(0.99), at(1)}
}
