package agency

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"kosk/device/request"
)

// The services that somebody here answers.
const (
	ContractByFIN   = "employment.contract.by_fin" // look-up
	DeviceStatus    = "device.status"              // look-up
	BenefitSheet    = "sspf.benefit.sheet"         // look-up
	WorkCertificate = "workplace_cert"             // request
	ChildcareSheet  = "childcare_sheet"            // request
)

// The reasons why somebody is told no. device/text has words for each.
const (
	ReasonUnknownService = "unknown_service"
	ReasonUnknownPerson  = "unknown_person"
	ReasonNoContract     = "no_contract"
	ReasonHolderMismatch = "holder_mismatch" // the card is not the one that the register of persons knows
	ReasonBadIMEI        = "bad_imei"
	ReasonBadFIN         = "bad_fin"
	ReasonBadQuestion    = "bad_question"
	ReasonNotEntitled    = "not_entitled"    // who asks doesn't sign for an employer
	ReasonAlreadyApplied = "already_applied" // the register has it
	ReasonAgencyRefused  = "agency_refused"  // by a fault script
)

// The registers that data comes from.
const (
	registerContracts = "employment_contracts"
	registerPersons   = "persons"
	registerInsured   = "insured_persons"
)

const (
	certificateLife = 30 * 24 * time.Hour // of an employment certificate
	answerTerm      = 15 * 24 * time.Hour // in which the fund answers: calendar days
)

// Agencies answer for all of them. It is safe for concurrent use: it never changes.
type Agencies struct {
	sign    func(request.Certificate) ([]byte, error)
	persons map[string]Person
	devices map[string]Device
}

// New gives agencies whose certificates sign signs.
func New(sign func(request.Certificate) ([]byte, error)) *Agencies {
	a := &Agencies{sign: sign, persons: map[string]Person{}, devices: map[string]Device{}}
	for _, p := range Population() {
		a.persons[p.FIN] = p
	}
	for _, d := range Devices() {
		a.devices[d.IMEI] = d
	}
	return a
}

// An Answer is a provider's: an HTTP status and a JSON value.
type Answer struct {
	Status int
	Body   any
}

type reason struct {
	Reason string `json:"reason"`
}

func no(status int, why string) Answer { return Answer{status, reason{why}} }

// facts is the answer of a register.
type facts struct {
	Data     []request.Datum `json:"data"`
	Register string          `json:"register,omitempty"`
	AsOf     time.Time       `json:"as_of"`
}

// Answers says whether a look-up service exists.
func Answers(service string) bool {
	return service == ContractByFIN || service == DeviceStatus || service == BenefitSheet
}

// Lookup answers a question that changes nothing.
func (a *Agencies) Lookup(service string, question []byte, now time.Time) Answer {
	switch service {
	case ContractByFIN, BenefitSheet:
		var q struct {
			FIN string `json:"fin"`
		}
		if json.Unmarshal(question, &q) != nil {
			return no(http.StatusBadRequest, ReasonBadQuestion)
		}
		if service == BenefitSheet {
			return a.sheet(q.FIN, now)
		}
		return a.contract(q.FIN, now)
	case DeviceStatus:
		var q struct {
			IMEI string `json:"imei"`
		}
		if json.Unmarshal(question, &q) != nil {
			return no(http.StatusBadRequest, ReasonBadQuestion)
		}
		return a.device(q.IMEI, now)
	}
	return no(http.StatusNotFound, ReasonUnknownService)
}

var finShape = regexp.MustCompile(`^[0-9A-HJ-NP-Z]{7}$`)

// ValidFIN says whether s has the shape of a FIN.
func ValidFIN(s string) bool { return finShape.MatchString(s) }

func (a *Agencies) contract(fin string, now time.Time) Answer {
	if !finShape.MatchString(fin) {
		return no(http.StatusBadRequest, ReasonBadFIN)
	}
	p, ok := a.persons[fin]
	if !ok {
		return no(http.StatusNotFound, ReasonUnknownPerson)
	}
	if !p.HasContract() {
		return no(http.StatusNotFound, ReasonNoContract)
	}
	return Answer{http.StatusOK, facts{Data: contractData(p, ""), Register: registerContracts, AsOf: whole(now)}}
}

// contractData are the facts of a contract; register is set on each when they
// come from more than one.
func contractData(p Person, register string) []request.Datum {
	return []request.Datum{
		{ID: "employer", Value: p.Employer, Lang: "az", Register: register},
		{ID: "position", Value: p.Position, Lang: "az", Register: register},
		{ID: "since", Value: p.Since.Format(time.DateOnly), Register: register},
	}
}

func (a *Agencies) device(imei string, now time.Time) Answer {
	if !ValidIMEI(imei) {
		return no(http.StatusBadRequest, ReasonBadIMEI)
	}
	d, ok := a.devices[imei]
	if !ok {
		d.Status = NotRegistered
	}
	data := []request.Datum{{ID: "status", Value: d.Status}}
	if d.Model != "" {
		data = append(data, request.Datum{ID: "model", Value: d.Model})
	}
	return Answer{http.StatusOK, facts{Data: data, AsOf: whole(now)}}
}

// A Decision is what an agency made of a request: an outcome, or the reason for no.
type Decision struct {
	Outcome *request.Outcome `json:"outcome,omitempty"`
	Reason  string           `json:"reason,omitempty"`
}

func (a *Agencies) sheet(fin string, now time.Time) Answer {
	if !finShape.MatchString(fin) {
		return no(http.StatusBadRequest, ReasonBadFIN)
	}
	p, ok := a.persons[fin]
	switch reason := sheetReason(p); {
	case !ok:
		return no(http.StatusNotFound, ReasonUnknownPerson)
	case reason == ReasonAlreadyApplied:
		return no(http.StatusConflict, reason)
	case reason != "":
		return no(http.StatusNotFound, reason)
	}
	return Answer{http.StatusOK, facts{Data: append([]request.Datum{
		{ID: "insurer", Value: p.Employer, Lang: "az"},
		{ID: "insurer_no", Value: p.Sheet.InsurerNo},
		{ID: "born", Value: p.Sheet.Born.Format(time.DateOnly)},
	}, sheetData(p, "")...), Register: registerInsured, AsOf: whole(now)}}
}

// sheetReason says why a person has no sheet to send, "" when they have.
func sheetReason(p Person) string {
	switch {
	case p.Sheet == nil:
		return ReasonNotEntitled
	case p.Sheet.Registered:
		return ReasonAlreadyApplied
	}
	return ""
}

func sheetData(p Person, register string) []request.Datum {
	return []request.Datum{
		{ID: "employee", Value: p.Sheet.Employee, Lang: "az", Register: register},
		{ID: "child", Value: p.Sheet.Child, Lang: "az", Register: register},
		{ID: "amount", Value: strconv.Itoa(p.Sheet.Amount), Register: register},
	}
}

// Decide works on a request. It has no effect of its own: the decision that
// is written into the ledger first is the one that counts.
func (a *Agencies) Decide(d request.Draft, now time.Time) (Decision, error) {
	p, ok := a.persons[d.Holder.FIN]
	switch {
	case d.Service != WorkCertificate && d.Service != ChildcareSheet:
		return Decision{Reason: ReasonUnknownService}, nil
	case !ok:
		return Decision{Reason: ReasonUnknownPerson}, nil
	case d.Holder.DocumentNumber != p.DocumentNumber && (len(d.Evidence.SOD) > 0 || d.Holder.DocumentNumber != "" || d.Login.Means == ""):
		// who came without a card has been named by a means, perhaps without a document
		return Decision{Reason: ReasonHolderMismatch}, nil
	case d.Service == ChildcareSheet:
		return a.register(d, p, whole(now))
	case !p.HasContract():
		return Decision{Reason: ReasonNoContract}, nil
	}
	return a.certify(d, p, whole(now))
}

func (a *Agencies) certify(d request.Draft, p Person, now time.Time) (Decision, error) {
	return a.signed(request.Outcome{
		Kind: request.KindCertificate, Number: d.ID.Number(), Service: d.Service,
		IssuedAt: now, ValidUntil: now.Add(certificateLife),
		Data: append([]request.Datum{{
			ID: "holder", Value: p.Surname + " " + p.GivenNames + " " + p.Patronymic, Lang: "az", Register: registerPersons,
		}}, contractData(p, registerContracts)...),
	}, p)
}

// register takes a sheet that its sender has signed: the fund goes on working on it.
func (a *Agencies) register(d request.Draft, p Person, now time.Time) (Decision, error) {
	if reason := sheetReason(p); reason != "" {
		return Decision{Reason: reason}, nil
	}
	return a.signed(request.Outcome{
		Kind: request.KindApplication, Number: d.ID.Number(), Service: d.Service,
		IssuedAt: now, ValidUntil: now.Add(answerTerm), Data: sheetData(p, registerInsured),
	}, p)
}

// signed is the decision for an outcome, with the bus's word for it.
func (a *Agencies) signed(o request.Outcome, p Person) (Decision, error) {
	hash, err := request.HashData(o.Data)
	if err != nil {
		return Decision{}, fmt.Errorf("decide: %w", err)
	}
	o.Token, err = a.sign(request.Certificate{
		Kind: o.Kind, Number: o.Number, Service: o.Service, IssuedAt: o.IssuedAt, ValidUntil: o.ValidUntil,
		Holder: request.MaskName(p.GivenNames, p.Surname), Hash: hash,
	})
	if err != nil {
		return Decision{}, fmt.Errorf("decide: %w", err)
	}
	return Decision{Outcome: &o}, nil
}

func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
