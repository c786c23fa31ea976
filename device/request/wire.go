package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gowebpki/jcs"
)

// ErrVersion says that a draft is of a version that this program doesn't know.
var ErrVersion = errors.New("unknown version of the request")

// wire is a draft as the envelope carries it. Unknown fields are ignored,
// unknown versions refused.
type wire struct {
	Version          int               `json:"v"`
	ID               ID                `json:"id"`
	Station          string            `json:"station"`
	Service          string            `json:"service"`
	CatalogueVersion string            `json:"catalogue_version"`
	CreatedAt        time.Time         `json:"created_at"`
	ClockState       ClockState        `json:"clock_state"`
	MonoSeq          uint64            `json:"mono_seq"`
	BootID           string            `json:"boot_id"`
	Lang             string            `json:"lang"`
	Answers          map[string]string `json:"answers"`
	Consent          wireConsent       `json:"consent"`
	Holder           wireHolder        `json:"holder"`
	Assurance        string            `json:"assurance"`
	Evidence         wireEvidence      `json:"evidence"`
	Login            *wireProof        `json:"login,omitempty"`
	CitizenSignature *wireProof        `json:"citizen_signature,omitempty"`
	TTL              int64             `json:"ttl"` // seconds
}

type wireHolder struct {
	FIN            string `json:"fin"`
	Surname        string `json:"surname"`
	GivenNames     string `json:"given_names"`
	DocumentNumber string `json:"document_number"`
}

type wireConsent struct {
	Person      string    `json:"person"`
	Operator    string    `json:"operator"`
	Purpose     string    `json:"purpose"`
	Operations  string    `json:"operations"`
	Period      string    `json:"period"`
	Deletion    string    `json:"deletion"`
	AgreedAt    time.Time `json:"agreed_at"`
	TextVersion string    `json:"text_version"`
}

type wireEvidence struct {
	Protocol    string            `json:"protocol,omitempty"`
	CardAccess  []byte            `json:"card_access,omitempty"`
	COM         []byte            `json:"com,omitempty"`
	SOD         []byte            `json:"sod,omitempty"`
	Groups      map[string][]byte `json:"groups,omitempty"`
	AAChallenge []byte            `json:"aa_challenge,omitempty"`
	AAResponse  []byte            `json:"aa_response,omitempty"`
	CASecret    []byte            `json:"ca_secret,omitempty"`
	CAResponse  []byte            `json:"ca_response,omitempty"`
	MappingKey  []byte            `json:"mapping_key,omitempty"`
	MappingData []byte            `json:"mapping_data,omitempty"`
	Security    []byte            `json:"card_security,omitempty"`
}

type wireProof struct {
	Means       string `json:"means"`
	Statement   []byte `json:"statement"`
	Certificate []byte `json:"certificate"`
	Signature   []byte `json:"signature"`
	Word        []byte `json:"word,omitempty"`
}

func (p Proof) wire() *wireProof {
	if p.Means == "" {
		return nil
	}
	w := wireProof(p)
	return &w
}

func (w *wireProof) proof() Proof {
	if w == nil {
		return Proof{}
	}
	return Proof(*w)
}

// canonical is the draft in the JSON Canonicalization Scheme, RFC 8785.
func (d Draft) canonical() ([]byte, error) {
	w := wire{
		Version: Version, ID: d.ID, Station: d.Station, Service: d.Service,
		CatalogueVersion: d.CatalogueVersion, CreatedAt: d.CreatedAt.UTC(), ClockState: d.Clock,
		MonoSeq: d.MonoSeq, BootID: d.BootID, Lang: d.Lang, Answers: d.Answers,
		Consent: wireConsent(d.Consent), Holder: wireHolder(d.Holder), Assurance: d.Assurance,
		Evidence: wireEvidence(d.Evidence), TTL: int64(d.TTL / time.Second),
		Login: d.Login.wire(), CitizenSignature: d.CitizenSignature.wire(),
	}
	w.Consent.AgreedAt = w.Consent.AgreedAt.UTC()
	b, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(b)
}

// parseDraft reads what canonical wrote.
func parseDraft(b []byte) (Draft, error) {
	var v struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return Draft{}, fmt.Errorf("%w: draft", ErrEnvelope)
	}
	if v.Version != Version {
		return Draft{}, fmt.Errorf("%w: %d", ErrVersion, v.Version)
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Draft{}, fmt.Errorf("%w: draft", ErrEnvelope)
	}
	if w.TTL < 0 || w.TTL > int64(maxTTL/time.Second) {
		return Draft{}, fmt.Errorf("%w: ttl", ErrDraft)
	}
	d := Draft{
		ID: w.ID, Station: w.Station, Service: w.Service, CatalogueVersion: w.CatalogueVersion,
		CreatedAt: w.CreatedAt, Clock: w.ClockState, MonoSeq: w.MonoSeq, BootID: w.BootID, Lang: w.Lang,
		Answers: w.Answers, Consent: Consent(w.Consent), Holder: Holder(w.Holder), Assurance: w.Assurance,
		Evidence: Evidence(w.Evidence), TTL: time.Duration(w.TTL) * time.Second,
		Login: w.Login.proof(), CitizenSignature: w.CitizenSignature.proof(),
	}
	return d, d.Validate()
}
