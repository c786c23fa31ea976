package request

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gowebpki/jcs"
)

// documentVersion is the first element of a document's code.
const documentVersion = 2

// maxDocumentData is how long the data of a document may be, as canonical JSON
// in bytes. A QR code holds far less (ISO/IEC 18004, table 7: 2,864 bytes).
const maxDocumentData = 64 << 10

// A documentCode is what the 2-D code of a document carries: the signed
// certificate, and the data that its hash binds, so that whoever scans the page
// has the very text that was signed.
type documentCode struct {
	_         struct{} `cbor:",toarray"`
	Version   int
	Lang      string // these three are a Look
	Catalogue string
	Edition   string
	Token     []byte // of a Certificate
	Data      []byte // canonical JSON (RFC 8785), deflated (RFC 1951)
}

// A Look is how a page shows what was signed, and no part of it: with another one
// the same page looks different. Whoever made the page says which.
type Look struct {
	Lang      string // "az", "ru" or "en"
	Catalogue string // version of the one whose words stand on the page
	Edition   string // of the words and the drawing of pages: receipt.Edition
}

// PackDocument writes a certificate and all its data as the text of a 2-D code,
// in base 45.
func PackDocument(o Outcome, look Look) (string, error) {
	data, err := json.Marshal(o.Data)
	if err == nil {
		data, err = jcs.Transform(data)
	}
	if err != nil {
		return "", fmt.Errorf("pack document: %w", err)
	}
	var small bytes.Buffer
	w, err := flate.NewWriter(&small, flate.BestCompression)
	if err != nil {
		return "", fmt.Errorf("pack document: %w", err)
	}
	if _, err = w.Write(data); err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("pack document: %w", err)
	}
	b, err := cbor.Marshal(documentCode{
		Version: documentVersion, Lang: look.Lang, Catalogue: look.Catalogue, Edition: look.Edition, Token: o.Token, Data: small.Bytes(),
	})
	if err != nil {
		return "", fmt.Errorf("pack document: %w", err)
	}
	return Base45(b), nil
}

// A Document is what the 2-D code of a certificate's page says, verified.
type Document struct {
	Certificate Certificate
	Outcome     Outcome
	Look        Look // as the code says
}

// String keeps the document out of logs.
func (Document) String() string { return hiddenOutcome }

// VerifyDocument checks the text of a document's 2-D code against the bus's key.
// With ErrExpired the document is returned as well: it is genuine. Other errors:
// ErrBase45, ErrToken (no document's code), ErrKey, ErrAltered.
func VerifyDocument(code string, key *ecdsa.PublicKey, now time.Time) (Document, error) {
	b, err := ParseBase45(code)
	if err != nil {
		return Document{}, fmt.Errorf("verify document: %w", err)
	}
	var d documentCode
	mode, err := cbor.DecOptions{MaxNestedLevels: 4}.DecMode()
	if err != nil {
		return Document{}, fmt.Errorf("verify document: %w", err)
	}
	if err := mode.Unmarshal(b, &d); err != nil || d.Version != documentVersion {
		return Document{}, fmt.Errorf("verify document: %w", ErrToken)
	}
	c, expired := VerifyCertificate(d.Token, key, now)
	if c.Number == "" {
		return Document{}, expired
	}
	if c.Kind != KindCertificate { // no page is made of anything else
		return Document{}, fmt.Errorf("verify document: %w", ErrToken)
	}
	data, err := inflate(d.Data)
	if err != nil {
		return Document{}, fmt.Errorf("verify document: %w", ErrAltered)
	}
	out := Document{Certificate: c, Look: Look{d.Lang, d.Catalogue, d.Edition}, Outcome: Outcome{
		Kind: KindCertificate, Number: c.Number, Service: c.Service,
		IssuedAt: c.IssuedAt, ValidUntil: c.ValidUntil, Token: d.Token,
	}}
	if err := json.Unmarshal(data, &out.Outcome.Data); err != nil {
		return Document{}, fmt.Errorf("verify document: %w", ErrAltered)
	}
	if err := c.Check(out.Outcome); err != nil {
		return Document{}, fmt.Errorf("verify document: %w: %w", ErrAltered, err)
	}
	return out, expired
}

// inflate undoes deflate, within maxDocumentData.
func inflate(b []byte) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(b))
	data, err := io.ReadAll(io.LimitReader(r, maxDocumentData+1))
	if err == nil && len(data) > maxDocumentData {
		err = ErrToken
	}
	return data, err
}
