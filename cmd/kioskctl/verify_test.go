package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/device/catalogue"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/seal"
	"kosk/device/seal/sealtest"
	"kosk/drivers/printer/document"
)

// An issuer is a bus that signs certificates.
type issuer struct {
	t   *testing.T
	dir string
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key := sealtest.Key(t)
	return &issuer{t, t.TempDir(), key}
}

// file writes a file and returns its path.
func (i *issuer) file(name string, b []byte) string {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

func (i *issuer) keyFile() string {
	i.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.file("bus.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// outcome is a certificate that holds for a month from a day on.
func (i *issuer) outcome(number string, day time.Time) request.Outcome {
	i.t.Helper()
	o := request.Outcome{
		Kind: request.KindCertificate, Number: number, Service: "workplace_cert", IssuedAt: day, ValidUntil: day.AddDate(0, 1, 0),
		Data: []request.Datum{
			{ID: "employer", Value: "“Xəzər Logistika” MMC", Lang: "az"},
			{ID: "position", Value: "Baş mühəndis", Lang: "az"},
			{ID: "since", Value: "2019-03-01"},
			{ID: "purpose", Value: "bank"},
		},
	}
	sum, err := request.HashData(o.Data)
	if err != nil {
		i.t.Fatal(err)
	}
	o.Token, err = request.SignCertificate(request.Certificate{
		Number: number, Service: o.Service, IssuedAt: day, ValidUntil: o.ValidUntil, Holder: "AY*** MƏ***", Hash: sum,
	}, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return o
}

// page is the code and the page of a certificate, as the kiosk prints it in its own
// catalogue's words.
func (i *issuer) page(o request.Outcome, lang string) (code string, pdf []byte) {
	i.t.Helper()
	return i.pageOf(o, lang, program(i.t))
}

// program is the program's own catalogue.
func program(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (i *issuer) pageOf(o request.Outcome, lang string, offer *catalogue.Catalogue) (code string, pdf []byte) {
	i.t.Helper()
	edition, err := receipt.Edition(document.Draw)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.pageLooks(o, request.Look{Lang: lang, Catalogue: offer.Version, Edition: edition}, offer)
}

func (i *issuer) pageLooks(o request.Outcome, look request.Look, offer *catalogue.Catalogue) (code string, pdf []byte) {
	i.t.Helper()
	code, err := request.PackDocument(o, look)
	if err != nil {
		i.t.Fatal(err)
	}
	d, err := request.VerifyDocument(code, &i.key.PublicKey, o.IssuedAt)
	if err != nil {
		i.t.Fatal(err)
	}
	slip, err := receipt.Certificate(d, code, offer, true)
	if err != nil {
		i.t.Fatal(err)
	}
	if pdf, err = document.Draw(receipt.Compose(slip)); err != nil {
		i.t.Fatal(err)
	}
	return code, pdf
}

// asked is what verify says.
func asked(t *testing.T, c verifyCommand) finding {
	t.Helper()
	c.JSON = true
	var out bytes.Buffer
	err := c.Run(&out)
	var f finding
	if e := json.Unmarshal(out.Bytes(), &f); e != nil {
		t.Fatalf("%v, %v: %s", err, e, out.String())
	}
	if v, is := errors.AsType[judgementError](err); (f.Verdict == genuine) == is || is && v.judgement != f.Verdict {
		t.Errorf("judgement %s with error %v", f.Verdict, err)
	}
	return f
}

func TestVerify(t *testing.T) {
	bus, forger := newIssuer(t), newIssuer(t)
	now := time.Now().UTC().Truncate(time.Second)
	key := bus.keyFile()
	good := bus.outcome("12345678903", now)
	code, pdf := bus.page(good, "az")
	old, _ := bus.page(bus.outcome("22222222222", now.AddDate(0, -3, 0)), "ru")
	taken, takenPDF := bus.page(bus.outcome("33333333333", now), "en")
	forged, _ := forger.page(forger.outcome("12345678903", now), "az")
	other := good
	other.Data = append([]request.Datum{{ID: "employer", Value: "“Neft” ASC", Lang: "az"}}, good.Data[1:]...)
	changed, err := request.PackDocument(other, request.Look{Lang: "az", Catalogue: program(t).Version})
	if err != nil {
		t.Fatal(err)
	}
	list := request.Revocations{Seq: 1, IssuedAt: now, NextUpdate: now.AddDate(0, 0, 7)}
	list.Revoke("33333333333")
	signed, err := request.SignRevocations(list, bus.key)
	if err != nil {
		t.Fatal(err)
	}
	revokedList := bus.file("revoked.cose", signed)
	answer, err := json.Marshal(map[string]any{"seq": 1, "list": signed})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, what, list string
		want             judgement
	}{
		{"the text of a page's code", code, revokedList, genuine},
		{"a page", bus.file("page.pdf", pdf), revokedList, genuine},
		{"a text file with the code", bus.file("code.txt", []byte(code+"\n")), "", genuine},
		{"a slip's code", request.Base45(good.Token), "", genuine},
		{"a page with a byte changed", bus.file("bad.pdf", bytes.Replace(pdf, []byte("/MediaBox"), []byte("/MediaBoy"), 1)), "", altered},
		{"a page with another employer in its code", changed, "", altered},
		{"a revoked page", bus.file("taken.pdf", takenPDF), revokedList, revoked},
		{"a revoked page by the bus's answer", taken, bus.file("revoked.json", answer), revoked},
		{"a revoked page without the list", taken, "", genuine},
		{"an expired page", old, revokedList, expired},
		{"another's page", forged, "", unknown},
		{"a shopping list", "MILK AND BREAD", "", unknown},
		{"nothing", "", "", unknown},
		{"a PDF of somebody else's", bus.file("other.pdf", []byte("%PDF-1.4\n%%EOF")), "", unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := asked(t, verifyCommand{What: c.what, Key: key, Revoked: c.list})
			if f.Verdict != c.want {
				t.Errorf("%s (%s), want %s", f.Verdict, f.Why, c.want)
			}
			if c.want == unknown && f.Number != "" || c.want != unknown && c.want != altered && f.Number == "" {
				t.Errorf("number %q", f.Number)
			}
			if (f.Revocation != nil) != (c.list != "") {
				t.Errorf("revocation list: %v", f.Revocation)
			}
		})
	}
	said := judge(code, nil, &bus.key.PublicKey, nil, program(t), now).String()
	for _, want := range []string{"GENUINE", "Xəzər Logistika", "Baş mühəndis", "not checked"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
}

// A page that a program of another edition drew, with other words of ours or another
// line, is not called altered: it can't be compared, and that is said.
func TestVerifyAPageOfAnotherEdition(t *testing.T) {
	bus := newIssuer(t)
	now := time.Now().UTC().Truncate(time.Second)
	look := request.Look{Lang: "ru", Catalogue: program(t).Version, Edition: "0123456789abcdef"}
	_, pdf := bus.pageLooks(bus.outcome("12345678903", now), look, program(t))
	pdf = bytes.Replace(pdf, []byte("/MediaBox"), []byte("/MediaBoy"), 1) // as that one drew it
	f := asked(t, verifyCommand{What: bus.file("page.pdf", pdf), Key: bus.keyFile()})
	if f.Verdict != unknown || !strings.Contains(f.Why, look.Edition) || f.Number == "" || len(f.Text) == 0 {
		t.Errorf("%s (%s), number %q, text %q", f.Verdict, f.Why, f.Number, f.Text)
	}
	code, _ := bus.pageLooks(bus.outcome("12345678903", now), look, program(t))
	if f := asked(t, verifyCommand{What: code, Key: bus.keyFile()}); f.Verdict != genuine || f.Why != "" {
		t.Errorf("its code: %s (%s)", f.Verdict, f.Why)
	}
}

// TestAFileThatIsNotThereIsNoCertificate: a slip of the pen is no forgery.
func TestAFileThatIsNotThereIsNoCertificate(t *testing.T) {
	bus := newIssuer(t)
	for _, what := range []string{"nothing.png", filepath.Join(bus.dir, "page.pdf"), bus.dir} {
		err := verifyCommand{What: what, Key: bus.keyFile()}.Run(io.Discard)
		if verdict := (judgementError{}); err == nil || errors.As(err, &verdict) {
			t.Errorf("%s: %v, want an error", what, err)
		}
	}
}

// A page in the words of a catalogue that came by the line can be compared by who
// has that catalogue, signed by the bus; else its code is read, and no more.
func TestVerifyAPageOfAnotherCatalogue(t *testing.T) {
	bus := newIssuer(t)
	own := program(t)
	m, err := own.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	m.Version, m.Issued, m.Catalogue = 7, time.Now().UTC().Truncate(time.Second), "9999.1"
	for _, it := range m.Services {
		if it["id"] == "workplace_cert" {
			it["name"].(map[string]any)["az"] = "İş yeri arayışı"
		}
	}
	sealed, err := m.Seal(bus.key)
	if err != nil {
		t.Fatal(err)
	}
	next, err := m.Offer()
	if err != nil {
		t.Fatal(err)
	}
	words, key := bus.file("catalogue.json", sealed), bus.keyFile()
	o := bus.outcome("12345678903", time.Now().UTC().Truncate(time.Second))
	code, pdf := bus.pageOf(o, "az", next)
	page := bus.file("page.pdf", pdf)
	_, mine := bus.page(o, "az")
	other := bus.file("other.pdf", mine)
	for _, c := range []struct {
		name, what, words string
		want              judgement
		why               string
	}{
		{"its page, with the catalogue", page, words, genuine, ""},
		{"its page, without", page, "", unknown, "catalogue 9999.1"},
		{"its code, with the catalogue", code, words, genuine, ""},
		{"its code, without", code, "", genuine, "catalogue 9999.1"},
		{"a page of the program's catalogue, with another", other, words, unknown, own.Version},
		{"a page that names a catalogue and has another's words", bus.file("bent.pdf", bytes.Replace(pdf, []byte("/MediaBox"), []byte("/MediaBoy"), 1)), words, altered, ""},
	} {
		f := asked(t, verifyCommand{What: c.what, Key: key, Words: c.words})
		if f.Verdict != c.want || !strings.Contains(f.Why, c.why) || len(f.Text) == 0 {
			t.Errorf("%s: %s (%s), want %s", c.name, f.Verdict, f.Why, c.want)
		}
	}
	uncomparable(t, bus, next)
	if err := (verifyCommand{What: code, Key: newIssuer(t).keyFile(), Words: words}).Run(io.Discard); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a catalogue that another signed: %v", err)
	}
}

// uncomparable has pages judged whose words can't be compared, though it is known
// that their certificates hold no longer.
func uncomparable(t *testing.T, bus *issuer, next *catalogue.Catalogue) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	list := request.Revocations{Seq: 1, IssuedAt: now, NextUpdate: now.AddDate(0, 0, 7)}
	list.Revoke("33333333333")
	list.Revoke("44444444444")
	signed, err := request.SignRevocations(list, bus.key)
	if err != nil {
		t.Fatal(err)
	}
	revokedList := bus.file("revoked.cose", signed)
	for _, c := range []struct {
		name, number string
		day          time.Time
		bent         bool
		want         judgement
	}{
		{"one that holds", "12345678903", now, false, unknown},
		{"one taken back", "33333333333", now, false, revoked},
		{"an expired one", "22222222222", now.AddDate(0, -3, 0), false, expired},
		{"one taken back, then expired", "44444444444", now.AddDate(0, -3, 0), false, revoked},
		{"one taken back, with a byte changed", "33333333333", now, true, revoked},
	} {
		_, pdf := bus.pageOf(bus.outcome(c.number, c.day), "az", next)
		if c.bent {
			pdf = bytes.Replace(pdf, []byte("/MediaBox"), []byte("/MediaBoy"), 1)
		}
		f := asked(t, verifyCommand{What: bus.file(c.number+".pdf", pdf), Key: bus.keyFile(), Revoked: revokedList})
		if f.Verdict != c.want || !strings.Contains(f.Why, "could not be compared") || !strings.Contains(f.Why, "9999.1") {
			t.Errorf("%s: %s (%s), want %s", c.name, f.Verdict, f.Why, c.want)
		}
	}
}

// TestVerifyPaper goes by way of paper: the page as 300 dpi dots, which pdftoppm
// makes of it, read by the code alone.
func TestVerifyPaper(t *testing.T) {
	tool, err := exec.LookPath("pdftoppm")
	if err != nil {
		t.Skip("pdftoppm is not installed: build/deps does that")
	}
	bus := newIssuer(t)
	_, pdf := bus.page(bus.outcome("12345678903", time.Now().UTC().Truncate(time.Second)), "ru")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, tool, "-r", "300", "-png", "-singlefile", bus.file("page.pdf", pdf),
		filepath.Join(bus.dir, "scan")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f := asked(t, verifyCommand{What: filepath.Join(bus.dir, "scan.png"), Key: bus.keyFile()})
	if f.Verdict != genuine || f.Number != "12345678903" {
		t.Errorf("got %+v", f)
	}
}

// A slip of an application is genuine, says of itself that it is no certificate,
// and doesn't expire.
func TestVerifyApplication(t *testing.T) {
	bus := newIssuer(t)
	day := time.Now().UTC().Truncate(time.Second)
	token, err := request.SignCertificate(request.Certificate{
		Kind: request.KindApplication, Number: "12345678903", Service: "childcare_sheet", IssuedAt: day, ValidUntil: day.AddDate(0, 0, 15), Holder: "AY*** MƏ***",
	}, bus.key)
	if err != nil {
		t.Fatal(err)
	}
	f := judge(request.Base45(token), nil, &bus.key.PublicKey, nil, program(t), day.AddDate(1, 0, 0))
	if said := f.String(); f.Verdict != genuine || f.Kind != request.KindApplication || !strings.Contains(said, "answer by") || strings.Contains(said, "valid until") {
		t.Errorf("says %s", said)
	}
}

// TestVerifyHelpTellsTheExitCodes holds the words that scripts are written from.
func TestVerifyHelpTellsTheExitCodes(t *testing.T) {
	words := map[judgement]string{genuine: "genuine", altered: "altered", revoked: "taken back", expired: "expired", unknown: "unknown"}
	help := strings.ReplaceAll(verifyCommand{}.Help(), "for a genuine", "genuine")
	for j, code := range exitJudgements {
		if want := fmt.Sprintf("%d %s", code, words[j]); !strings.Contains(help, want) {
			t.Errorf("no %q in %s", want, help)
		}
	}
}
