package server

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/msglog"
	"kosk/device/identity"
	"kosk/device/request"
)

// sheetOf is a childcare sheet as a kiosk fills it for a person of the
// population, and the statement of what stood on its screens.
func sheetOf(k *kiosk, p agency.Person) (request.Draft, request.Statement) {
	d := draftOf(k, 0)
	d.Service, d.Answers = agency.ChildcareSheet, request.Answers{"payer": "employer"}
	d.Holder = request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber}
	d.Consent = request.Consent{
		Person: "Aygün Məmmədova", Operator: "Dövlət Sosial Müdafiə Fondu", Purpose: "Uşağa qulluq müavinəti üzrə haqq-hesab cədvəli",
		Operations: "Ad, FİN, işçi, uşaq, məbləğ", Period: "Yalnız bu müraciət üçün", Deletion: "Köşkdən dərhal", AgreedAt: d.CreatedAt, TextVersion: "1",
	}
	s := request.NewStatement(request.UseSign, k.name, d.CreatedAt)
	s.Request, s.Service, s.Lang, s.Answers = d.ID, d.Service, d.Lang, map[string]string{"payer": "employer"}
	s.Shown = []request.Line{
		{ID: "review/title", Name: "Cavablarınızı yoxlayın"},
		{ID: "review/datum.child", Name: "Uşaq", Value: "Səlimov Tural Rüfət oğlu", Hint: "Mənbə: sığortaolunanların fərdi uçotu"},
		{ID: "review/datum.amount", Name: "Aylıq müavinət", Value: "30 manat"},
	}
	c := d.Consent
	for _, l := range [][2]string{
		{"person", c.Person}, {"operator", c.Operator}, {"purpose", c.Purpose}, {"operations", c.Operations}, {"period", c.Period}, {"deletion", c.Deletion},
	} {
		s.Shown = append(s.Shown, request.Line{ID: "consent/consent." + l[0], Name: l[0], Value: l[1]})
	}
	return d, s
}

// sends puts a request, and says whether the bus took it.
func (k *kiosk) sends(d request.Draft) (taken bool, reason any) {
	k.t.Helper()
	resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
	return resp.StatusCode == http.StatusCreated, v["reason"]
}

// changed is a proof with other bytes in the place of its statement's.
func changed(t *testing.T, p request.Proof, old, new string) request.Proof {
	t.Helper()
	if strings.Count(string(p.Statement), old) != 1 {
		t.Fatalf("%q doesn't stand once in what was signed", old)
	}
	p.Statement = []byte(strings.Replace(string(p.Statement), old, new, 1))
	if _, err := request.ParseStatement(p.Statement); err != nil {
		t.Fatalf("the change is not a statement's any more: %v", err)
	}
	return p
}

// A signature is good for the very bytes that were signed: whatever is changed in
// the request or in what is said to have been signed, the bus doesn't take it.
func TestASignatureIsOverWhatWasSeen(t *testing.T) {
	b := trusting(t)
	k := b.station("K-1")
	p := agency.Population()[0]
	d, s := sheetOf(k, p)
	d.Login = k.login(p, request.UseLogin)
	d.CitizenSignature = k.signs(p, s)
	with := func(change func(*request.Draft)) request.Draft {
		other := d
		other.Answers = request.Answers{"payer": "employer"}
		change(&other)
		return other
	}
	for name, other := range map[string]request.Draft{
		"unsigned":            with(func(d *request.Draft) { d.CitizenSignature = request.Proof{} }),
		"signed by the login": with(func(d *request.Draft) { d.CitizenSignature = d.Login }),
		"another answer":      with(func(d *request.Draft) { d.Answers["payer"] = "fund" }),
		"another language":    with(func(d *request.Draft) { d.Lang = "ru" }),
		"another consent":     with(func(d *request.Draft) { d.Consent.Operations = "Hər şey" }),
		"another answer, in the statement too": with(func(d *request.Draft) {
			d.Answers["payer"] = "fund"
			d.CitizenSignature = changed(t, d.CitizenSignature, `"payer":"employer"`, `"payer":"fund"`)
		}),
		"another line": with(func(d *request.Draft) {
			d.CitizenSignature = changed(t, d.CitizenSignature, "30 manat", "90 manat")
		}),
		"a line's source": with(func(d *request.Draft) {
			d.CitizenSignature = changed(t, d.CitizenSignature, "Mənbə: sığortaolunanların fərdi uçotu", "Mənbə: ?")
		}),
		"another language, in the statement too": with(func(d *request.Draft) {
			d.Lang = "ru"
			d.CitizenSignature = changed(t, d.CitizenSignature, `"lang":"az"`, `"lang":"ru"`)
		}),
		"another consent, in the statement too": with(func(d *request.Draft) {
			d.Consent.Period = "Həmişə"
			d.CitizenSignature = changed(t, d.CitizenSignature, "Yalnız bu müraciət üçün", "Həmişə")
		}),
		"another person's": with(func(d *request.Draft) { d.CitizenSignature = k.signs(agency.Population()[1], s) }),
		"under another number": with(func(d *request.Draft) {
			d.ID = request.NewID(d.CreatedAt)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if taken, reason := k.sends(other); taken || reason != reasonBadProof {
				t.Errorf("taken %v, %v", taken, reason)
			}
		})
	}
	if taken, reason := k.sends(d); !taken {
		t.Errorf("as it was signed: %v", reason)
	}
}

// Long afterwards the log, the ledger and a certificate show who signed what: the
// log names the ledger's entry, whose envelope has the very bytes.
func TestTheLogHoldsWhatWasSigned(t *testing.T) {
	dir := t.TempDir()
	phones := newPhones(t)
	b := open(t, dir, func(c *Config) { c.Approvals = phones })
	if _, err := b.Registry.SetTrust(newIssuer(t, 1, phones).bundle, nil); err != nil {
		t.Fatal(err)
	}
	k := b.station("K-1")
	p := agency.Population()[0]
	d, s := sheetOf(k, p)
	d.Login, d.CitizenSignature = k.login(p, request.UseLogin), k.signs(p, s)
	if taken, reason := k.sends(d); !taken {
		t.Fatal(reason)
	}
	k.registers(d)
	e, body, err := b.Ledger.Get(t.Context(), submissionKey(string(d.ID)))
	if err != nil {
		t.Fatal(err)
	}
	station, sealed, err := unpackSubmission(body)
	if err != nil || station != k.name {
		t.Fatal(station, err)
	}
	kept, err := b.Server.open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	asked := keyed(b.secrets.digest, sealed)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	entries, err := msglog.Find(filepath.Join(dir, MessageFolder), string(d.ID))
	if err != nil || !slices.ContainsFunc(entries, func(m msglog.Entry) bool {
		return m.LedgerSeq == e.Seq && m.Asked == asked && m.Status == http.StatusCreated && m.UsedService == agency.ChildcareSheet && m.UsedAgency == "sspf"
	}) {
		t.Errorf("the log doesn't name it: %+v, %v", entries, err)
	}
	want, err := s.Bytes()
	if err != nil || string(kept.CitizenSignature.Statement) != string(want) {
		t.Fatal("the envelope holds other bytes than were signed", err)
	}
	signedBy(t, kept.CitizenSignature, "PNOAZ-"+p.FIN)
}

// signedBy checks a signature as a stranger would, with nothing of ours.
func signedBy(t *testing.T, p request.Proof, serial string) {
	t.Helper()
	cert, err := x509.ParseCertificate(p.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("a key of another kind: %T", cert.PublicKey)
	}
	half := len(p.Signature) / 2
	sum := sha256.Sum256(p.Statement)
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(p.Signature[:half]), new(big.Int).SetBytes(p.Signature[half:])) {
		t.Error("a stranger finds another signature")
	}
	if cert.Subject.SerialNumber != serial || cert.KeyUsage != x509.KeyUsageContentCommitment {
		t.Error("the certificate is another person's, or not for signatures")
	}
}

// registers waits for the fund's answer, and checks that it is an application's.
func (k *kiosk) registers(d request.Draft) {
	k.t.Helper()
	_, v := k.ask(http.MethodGet, path(d)+"?wait=10", nil)
	b, err := json.Marshal(v["outcome"])
	if err != nil {
		k.t.Fatal(err)
	}
	var o request.Outcome
	if err := json.Unmarshal(b, &o); err != nil {
		k.t.Fatal(err)
	}
	c, err := request.VerifyCertificate(o.Token, &k.Registry.Keys().Receipt.PublicKey, time.Now())
	if err != nil || c.Check(o) != nil || c.Kind != request.KindApplication || o.Number != d.ID.Number() {
		k.t.Errorf("state %v, kind %q: %v", v["state"], c.Kind, err)
	}
}

// signs has a person sign a statement by ASAN İmza, over the wire.
func (k *kiosk) signs(p agency.Person, s request.Statement) request.Proof {
	k.t.Helper()
	b, err := s.Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	return k.approve(p, identity.Sign, b)
}

// What has to be signed is what the operator's catalogue says, not the program's.
func TestTheOperatorsCatalogueSaysWhatIsSigned(t *testing.T) {
	b := trusting(t)
	k := b.station("K-1")
	d := draftOf(k, 0)
	d.Login = k.login(agency.Population()[0], request.UseLogin)
	if taken, reason := k.sends(d); !taken {
		t.Fatal(reason)
	}
	own, err := os.ReadFile("../../../device/catalogue/data/catalogue.toml")
	if err != nil {
		t.Fatal(err)
	}
	const unsigned = `lookup = "employment.contract.by_fin"`
	signed := strings.Replace(string(own), unsigned, unsigned+"\nsign = true", 1)
	signed = regexp.MustCompile(`(?m)^version = .*$`).ReplaceAllString(signed, `version = "9999.1"`) // only newer ones are published
	for _, file := range []string{signed, "broken"} {                                                // a broken one leaves the last
		if err := os.WriteFile(filepath.Join(b.Registry.Dir(), CatalogueFile), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		again := d
		again.ID = request.NewID(d.CreatedAt)
		if taken, reason := k.sends(again); taken || reason != reasonBadProof {
			t.Errorf("taken %v, %v", taken, reason)
		}
	}
}
