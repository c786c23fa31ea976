package agency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"kosk/device/catalogue"
	"kosk/device/request"
)

func TestPopulationIsOfOnePiece(t *testing.T) {
	seen := map[string]bool{}
	without := 0
	letters := ""
	for _, p := range Population() {
		for _, unique := range []string{p.FIN, p.DocumentNumber, p.CAN} {
			if seen[unique] {
				t.Errorf("%s is there twice", unique)
			}
			seen[unique] = true
		}
		if !finShape.MatchString(p.FIN) || len(p.CAN) != 6 || len(p.DocumentNumber) != 9 || p.Sex != "F" && p.Sex != "M" {
			t.Errorf("person %s is malformed", p.FIN)
		}
		if !p.HasContract() {
			without++
		} else if p.Position == "" || p.Since.IsZero() || p.Since.Before(p.BirthDate) {
			t.Errorf("contract of %s is malformed", p.FIN)
		}
		if strings.ContainsAny(p.Employer, `"'`) {
			t.Errorf("typewriter quotes in %s", p.Employer)
		}
		letters += p.Surname + p.GivenNames + p.Patronymic
	}
	if without != 1 {
		t.Errorf("%d persons are without a contract, want 1", without)
	}
	for _, letter := range "ƏŞĞIİÇÖÜ" {
		if !strings.ContainsRune(letters, letter) {
			t.Errorf("nobody has %c in the name", letter)
		}
	}
	if p := Population()[0]; p.FIN != "5ARPXK2" || p.Employer != "“Xəzər Gəmiçilik” ASC" {
		t.Error("the main test person is not the first")
	}
}

func TestDevices(t *testing.T) {
	states := map[string]int{}
	for _, d := range Devices() {
		if !ValidIMEI(d.IMEI) {
			t.Errorf("%s has a wrong check digit", d.IMEI)
		}
		states[d.Status]++
	}
	for _, s := range []string{Registered, NotRegistered, Blocked} {
		if states[s] < 2 {
			t.Errorf("%d devices are %s", states[s], s)
		}
	}
	for _, bad := range []string{"", "49015420323751", "490154203237517", "49015420323751a", "4901542032375180"} {
		if ValidIMEI(bad) {
			t.Errorf("%q passes", bad)
		}
	}
}

// Whatever kiosks offer, somebody answers, with the data that the catalogue names.
func TestEveryServiceOfTheCatalogueIsAnswered(t *testing.T) {
	offered, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	a := New(func(request.Certificate) ([]byte, error) { return []byte("signed"), nil })
	p, device := Population()[0], Devices()[0]
	for _, s := range offered.Services {
		answered := map[string]bool{}
		if s.Lookup != "" {
			got := a.Lookup(s.Lookup, fmt.Appendf(nil, `{"fin":%q,"imei":%q}`, p.FIN, device.IMEI), time.Now())
			is, ok := got.Body.(facts)
			if !Answers(s.Lookup) || !ok || got.Status != http.StatusOK {
				t.Errorf("%s: %s is not answered: %+v", s.ID, s.Lookup, got)
			}
			for _, d := range is.Data {
				answered[d.ID] = true
			}
		}
		for _, f := range s.Fields { // what the person types is theirs
			answered[f.ID] = true
		}
		for _, d := range s.Data {
			if !answered[d.ID] {
				t.Errorf("%s: nobody tells %q", s.ID, d.ID)
			}
		}
		if !s.Submit {
			continue
		}
		d, err := a.Decide(request.Draft{
			ID: request.NewID(time.Now()), Service: string(s.ID), Holder: request.Holder{FIN: p.FIN, DocumentNumber: p.DocumentNumber},
		}, time.Now())
		if err != nil || d.Outcome == nil {
			t.Errorf("%s: %q, %v", s.ID, d.Reason, err)
		}
	}
	if len(offered.Services) == 0 {
		t.Error("nothing is offered")
	}
}

func TestNothingPersonalCanBePrinted(t *testing.T) {
	p := Population()[0]
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "p", p, "in", struct{ P Person }{p})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		fmt.Fprintf(&out, verb, []Person{p})
		fmt.Fprintf(&out, verb, &p)
	}
	for _, word := range []string{p.FIN, p.Surname, p.CAN, p.DocumentNumber} {
		if strings.Contains(out.String(), word) {
			t.Errorf("%q comes out", word)
		}
	}
}

func TestASignatureThatFailsIsNoDecision(t *testing.T) {
	broken := errors.New("no key")
	a := New(func(request.Certificate) ([]byte, error) { return nil, broken })
	p := Population()[0]
	d, err := a.Decide(request.Draft{
		ID: request.NewID(time.Now()), Service: WorkCertificate,
		Holder: request.Holder{FIN: p.FIN, DocumentNumber: p.DocumentNumber},
	}, time.Now())
	if !errors.Is(err, broken) || d.Outcome != nil || d.Reason != "" {
		t.Errorf("got reason %q, error %v", d.Reason, err)
	}
}

func FuzzLookup(f *testing.F) {
	a := New(nil)
	f.Add(ContractByFIN, []byte(`{"fin":"5ARPXK2"}`))
	f.Add(DeviceStatus, []byte(`{"imei":"490154203237518"}`))
	f.Add(DeviceStatus, []byte(`{"imei":17}`))
	f.Fuzz(func(t *testing.T, service string, question []byte) {
		answer := a.Lookup(service, question, time.Unix(0, 0))
		if b, err := json.Marshal(answer.Body); err != nil || answer.Status < 200 || answer.Status > 499 || len(b) < 3 {
			t.Errorf("status %d, body %s, %v", answer.Status, b, err)
		}
	})
}

// Who signs for an employer has one sheet to send: the register says so before,
// and the fund afterwards.
func TestSheets(t *testing.T) {
	a := New(func(c request.Certificate) ([]byte, error) { return []byte(c.Kind), nil })
	all := Population()
	for name, c := range map[string]struct {
		person Person
		reason string
	}{"due": {all[0], ""}, "sent before": {all[1], ReasonAlreadyApplied}, "nobody's employer": {all[2], ReasonNotEntitled}} {
		t.Run(name, func(t *testing.T) {
			p := c.person
			answer := a.Lookup(BenefitSheet, []byte(`{"fin":"`+p.FIN+`"}`), time.Now())
			d, err := a.Decide(request.Draft{
				ID: request.NewID(time.Now()), Service: ChildcareSheet,
				Holder: request.Holder{FIN: p.FIN, DocumentNumber: p.DocumentNumber},
			}, time.Now())
			if err != nil || d.Reason != c.reason {
				t.Fatalf("decided %q, %v", d.Reason, err)
			}
			if c.reason != "" {
				if answer.Body != any(reason{c.reason}) || d.Outcome != nil {
					t.Errorf("the register says %v", answer.Body)
				}
				return
			}
			told, ok := answer.Body.(facts)
			if !ok || len(told.Data) != 6 || told.Data[1].Value != p.Sheet.InsurerNo {
				t.Errorf("the register says %v", answer.Body)
			}
			if o := d.Outcome; o.Kind != request.KindApplication || string(o.Token) != request.KindApplication || o.Number == "" || len(o.Data) != 3 {
				t.Error("no application was registered")
			}
		})
	}
}
