package main

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kosk/device/catalogue"
	"kosk/device/provision"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/drivers/printer/document"
)

type verifyCommand struct {
	What    string `arg:"" help:"The text of a code, or a file: a page in PDF, a scan of one (PNG, JPEG), or a text with the code's. - reads a text from the standard input."`
	Key     string `type:"existingfile" xor:"key" help:"The bus's public key of receipts, PEM ('bus key')."`
	Dir     string `type:"existingdir" xor:"key" help:"Folder of an enrolled kiosk, whose bus is asked about."`
	Revoked string `type:"existingfile" help:"The bus's signed list of what holds no longer ('bus revocations', or its answer to GET v1/revocations). Without it that isn't checked."`
	Words   string `name:"catalogue" type:"existingfile" help:"The bus's signed catalogue ('bus catalogue show --out'), when a page's words are of another one than this program's."`
	JSON    bool   `name:"json" help:"Say it in JSON."`
}

// A judgement is what is known of a certificate.
type judgement string

// The verdicts, and the exit codes that go with them.
const (
	genuine judgement = "genuine" // the bus signed exactly this, and it holds
	altered judgement = "altered" // something differs from what was signed
	revoked judgement = "revoked" // genuine, and taken back
	expired judgement = "expired" // genuine, and too old
	unknown judgement = "unknown" // no code of ours, or not this bus's
)

// exitJudgements are the exit codes, after those of all commands.
var exitJudgements = map[judgement]int{genuine: exitOK, altered: 3, revoked: 4, expired: 5, unknown: 6}

// A finding is what verify found. What was signed is there only if the
// signature is good.
type finding struct {
	Verdict    judgement      `json:"verdict"`
	Why        string         `json:"why,omitempty"`
	Kind       string         `json:"kind,omitempty"` // "certificate", or "application": its slip proves only that it was registered
	Number     string         `json:"number,omitempty"`
	Service    string         `json:"service,omitempty"`
	Holder     string         `json:"holder,omitempty"` // masked, as it was signed
	IssuedAt   *time.Time     `json:"issued_at,omitempty"`
	ValidUntil *time.Time     `json:"valid_until,omitempty"` // of an application: by when it is answered
	Text       []string       `json:"text,omitempty"`        // of a page
	Revocation *revocationAge `json:"revocation_list"`       // null: not checked
	document   *request.Document
}

type revocationAge struct {
	IssuedAt time.Time `json:"issued_at"`
	TooOld   bool      `json:"too_old"`
}

// A judgementError ends the command with the judgement's exit code.
type judgementError struct{ judgement }

func (e judgementError) Error() string { return string(e.judgement) }

// ExitCode is the judgement's, so that scripts can ask.
func (e judgementError) ExitCode() int { return exitJudgements[e.judgement] }

// Help is what scripts must know.
func (verifyCommand) Help() string {
	return "It ends with 0 for a genuine certificate, 3 altered, 4 taken back, 5 expired, 6 unknown (no code of this bus's), 1 when it couldn't look."
}

// Run needs no line and no kiosk: only the bus's public key.
func (c verifyCommand) Run(out io.Writer) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	list, err := c.list(key)
	if err != nil {
		return err
	}
	offer, err := c.offer(key)
	if err != nil {
		return err
	}
	code, page, err := c.read()
	if err != nil {
		return err
	}
	f := judge(code, page, key, list, offer, time.Now())
	if c.JSON {
		b, err := json.MarshalIndent(f, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", b)
		}
		if err != nil {
			return err
		}
	} else if _, err := io.WriteString(out, f.String()); err != nil {
		return err
	}
	if f.Verdict != genuine {
		return judgementError{f.Verdict}
	}
	return nil
}

func (c verifyCommand) key() (*ecdsa.PublicKey, error) {
	if c.Dir != "" {
		station, err := provision.Load(c.Dir)
		if err != nil {
			return nil, err
		}
		return station.ReceiptKey, nil
	}
	if c.Key == "" {
		return nil, errors.New("whose certificates? give --key or --dir")
	}
	b, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: no key in PEM", c.Key)
	}
	return provision.ParseReceiptKey(block.Bytes)
}

// list is the revocation list, or nil without one.
func (c verifyCommand) list(key *ecdsa.PublicKey) (*request.Revocations, error) {
	if c.Revoked == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.Revoked)
	if err != nil {
		return nil, err
	}
	var answer struct {
		List []byte `json:"list"`
	}
	if json.Unmarshal(b, &answer) == nil { // as the bus answers GET v1/revocations
		b = answer.List
	}
	list, err := request.VerifyRevocations(b, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Revoked, err)
	}
	return &list, nil
}

// offer is the catalogue with the words of pages: the given one, or the program's
// own.
func (c verifyCommand) offer(key *ecdsa.PublicKey) (*catalogue.Catalogue, error) {
	if c.Words == "" {
		return catalogue.Load()
	}
	b, err := os.ReadFile(c.Words)
	if err != nil {
		return nil, err
	}
	m, err := catalogue.OpenManifest(b, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Words, err)
	}
	return m.Offer()
}

// maxFile is the longest file that is read, in bytes.
const maxFile = 64 << 20

// read returns the text of the code, and the page that it stood on if that is a
// PDF.
func (c verifyCommand) read() (code string, page []byte, err error) {
	in := io.Reader(os.Stdin)
	if c.What != "-" {
		f, err := os.Open(c.What)
		if err != nil && codeLike(c.What) {
			return trim(c.What), nil, nil
		}
		if err != nil {
			return "", nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return "", nil, err
	}
	switch {
	case bytes.HasPrefix(b, []byte("%PDF-")):
		code, err = document.Code(bytes.NewReader(b))
		return code, b, err
	case bytes.HasPrefix(b, []byte(pngMagic)), bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		code, err = scan(b)
		return code, nil, err
	}
	return trim(string(b)), nil, nil
}

// codeLike reports whether a text that opens as no file can be a code: base 45
// has no small letters, and few names of files have none. RFC 9285, table 1.
func codeLike(s string) bool {
	return !strings.ContainsFunc(trim(s), func(r rune) bool { return r > '~' || unicode.IsLower(r) })
}

// trim takes away the ends of lines. A blank is a letter of base 45.
func trim(s string) string { return strings.Trim(s, "\r\n\t") }

// pngMagic begins a PNG. Source: PNG specification, 5.2.
const pngMagic = "\x89PNG"

// maxPixels is the largest scan: A4 at 600 dpi, and a little more.
const maxPixels = 40 << 20

// scan reads the QR code in a picture; "" if there is none.
func scan(b []byte) (string, error) {
	config, decode := png.DecodeConfig, png.Decode
	if !bytes.HasPrefix(b, []byte(pngMagic)) {
		config, decode = jpeg.DecodeConfig, jpeg.Decode
	}
	size, err := config(bytes.NewReader(b))
	if err != nil {
		return "", fmt.Errorf("picture: %w", err)
	}
	if size.Width*size.Height > maxPixels {
		return "", fmt.Errorf("picture of %d x %d dots is too large", size.Width, size.Height)
	}
	img, err := decode(bytes.NewReader(b))
	if err != nil {
		return "", fmt.Errorf("picture: %w", err)
	}
	bits, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", fmt.Errorf("picture: %w", err)
	}
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
	result, err := qrcode.NewQRCodeReader().Decode(bits, hints)
	if err != nil {
		return "", nil // no code that can be read: unknown
	}
	return result.GetText(), nil
}

// judge is the judgement on a code and the page around it.
func judge(code string, page []byte, key *ecdsa.PublicKey, list *request.Revocations, offer *catalogue.Catalogue, now time.Time) finding {
	f := finding{Verdict: genuine}
	if list != nil {
		f.Revocation = &revocationAge{list.IssuedAt, now.After(list.NextUpdate)}
	}
	c, err := f.open(code, key, now)
	switch {
	case errors.Is(err, request.ErrAltered):
		f.Verdict, f.Why = altered, "the signature doesn't fit what the code says"
		return f
	case errors.Is(err, request.ErrKey):
		f.Verdict, f.Why = unknown, "signed by another key than this bus's"
		return f
	case err != nil && !errors.Is(err, request.ErrExpired):
		f.Verdict, f.Why = unknown, "no certificate's code could be read"
		return f
	case errors.Is(err, request.ErrExpired):
		f.Verdict = expired
	}
	f.Kind, f.Number, f.Service, f.Holder, f.IssuedAt, f.ValidUntil = c.Kind, c.Number, c.Service, c.Holder, &c.IssuedAt, &c.ValidUntil
	if list != nil && list.Revoked(c.Number) {
		f.Verdict = revoked
	}
	if f.document != nil {
		f.compare(code, page, offer)
	}
	return f
}

// open reads a page's code, or a slip's.
func (f *finding) open(code string, key *ecdsa.PublicKey, now time.Time) (request.Certificate, error) {
	d, err := request.VerifyDocument(code, key, now)
	if err == nil || errors.Is(err, request.ErrExpired) {
		f.document = &d
	}
	if !errors.Is(err, request.ErrToken) {
		return d.Certificate, err
	}
	b, err := request.ParseBase45(code)
	if err != nil {
		return request.Certificate{}, err
	}
	return request.VerifyCertificate(b, key, now)
}

// compare writes down what was signed, in the words of a catalogue, and holds the
// page against it. A page in the words of another one can't be: who made it says
// which, so that it is never taken for genuine by that. What was taken back or is
// too old holds no longer, whatever the words on it.
func (f *finding) compare(code string, page []byte, offer *catalogue.Catalogue) {
	slip, err := receipt.Certificate(*f.document, code, offer, false)
	if err != nil { // the catalogue doesn't know it: in the register's own words
		for _, d := range f.document.Outcome.Data {
			f.Text = append(f.Text, d.ID+": "+d.Value)
		}
	} else {
		for _, w := range receipt.Text(slip) {
			f.Text = append(f.Text, w.String())
		}
	}
	if c := f.document.Look.Catalogue; c != offer.Version {
		f.Why = fmt.Sprintf("the words on the page are of catalogue %s: give it with --catalogue", c)
	}
	if page == nil {
		return
	}
	switch why := incomparable(f.document.Look, offer, err); {
	case why != "":
		f.Why = "the words on the page could not be compared: " + why
		if f.Verdict == genuine {
			f.Verdict = unknown
		}
	case !f.drawn(code, page, offer):
		f.Verdict, f.Why = altered, "the page is not the one that was signed"
	}
}

// incomparable says why a page can't be drawn again here, "" when it can. noWords is
// what the catalogue lacks for it.
func incomparable(look request.Look, offer *catalogue.Catalogue, noWords error) string {
	switch {
	case look.Catalogue != offer.Version:
		return fmt.Sprintf("they are of catalogue %s, give it with --catalogue", look.Catalogue)
	case noWords != nil:
		return fmt.Sprintf("catalogue %s doesn't know the service", offer.Version)
	}
	switch edition, err := receipt.Edition(document.Draw); {
	case err != nil:
		return err.Error()
	case look.Edition != edition:
		return fmt.Sprintf("it was drawn by a program of edition %q, this one is of %q: compare it with what was signed by eye", look.Edition, edition)
	}
	return ""
}

// drawn reports whether a page is, byte for byte, one that was drawn of what was
// signed, with or without the marks of a test and of a copy.
func (f *finding) drawn(code string, page []byte, offer *catalogue.Catalogue) bool {
	for _, test := range []bool{false, true} {
		slip, err := receipt.Certificate(*f.document, code, offer, test)
		if err != nil {
			return false
		}
		for _, again := range []bool{false, true} {
			composed := receipt.Compose(slip)
			composed.Copy = again
			if drawn, err := document.Draw(composed); err == nil && bytes.Equal(drawn, page) {
				return true
			}
		}
	}
	return false
}

// String is the finding for a person.
func (f finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", strings.ToUpper(string(f.Verdict)))
	if f.Why != "" {
		fmt.Fprintf(&b, "  %s\n", f.Why)
	}
	if f.Number != "" {
		until := "valid until"
		if f.Kind == request.KindApplication {
			until = "answer by"
		}
		fmt.Fprintf(&b, "  kind         %s\n  number       %s\n  service      %s\n  holder       %s\n  issued       %s\n  %-11s  %s\n", f.Kind, f.Number,
			f.Service, f.Holder, f.IssuedAt.Format(time.DateTime), until, f.ValidUntil.Format(time.DateTime))
	}
	if len(f.Text) > 0 {
		b.WriteString("what was signed, to compare with the paper:\n")
		for line := range slices.Values(f.Text) {
			fmt.Fprintf(&b, "  | %s\n", line)
		}
	}
	switch {
	case f.Verdict == unknown || f.Verdict == altered:
	case f.Revocation == nil:
		b.WriteString("not checked: whether it was taken back (no --revoked list)\n")
	case f.Revocation.TooOld:
		fmt.Fprintf(&b, "the list of what was taken back is of %s: too old to tell\n", f.Revocation.IssuedAt.Format(time.DateOnly))
	}
	return b.String()
}
