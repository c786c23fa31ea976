package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/vcard"
)

// An issuer is a state with its cards, and the bundle that a bus knows it by.
// newPhones is a provider of phones.
func newPhones(t *testing.T) *agency.Approvals {
	t.Helper()
	phones, err := agency.OpenApprovals(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return phones
}

type issuer struct {
	pki    *vcard.PKI
	bundle string
}

// newIssuer makes a state and a bundle of it, and of the provider of phones.
func newIssuer(t *testing.T, version int, phones *agency.Approvals) issuer {
	t.Helper()
	person, word := phones.Trust()
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trust.json")
	err = identity.WriteBundle(path, identity.Bundle{
		Version: version, Issued: time.Now(), Development: true, Anchors: pki.Bundle(), Persons: [][]byte{person}, Providers: [][]byte{word},
	})
	if err != nil {
		t.Fatal(err)
	}
	return issuer{pki, path}
}

// read reads Aygün's card over the project's own reader code.
func (i issuer) read(t *testing.T, p vcard.Profile) *card.Chip {
	t.Helper()
	c, err := vcard.New(i.pki, cardtest.Aygun(), p)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := eid.New(nil).ReadHolder(t.Context(), c, "123456", nil)
	if err != nil {
		t.Fatal(err)
	}
	return chip
}

func TestEvidence(t *testing.T) {
	phones := newPhones(t)
	state, stranger := newIssuer(t, 1, phones), newIssuer(t, 1, phones)
	b := open(t, t.TempDir(), func(c *Config) { c.Approvals = phones })
	if _, err := b.Registry.SetTrust(state.bundle, nil); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Status(); err != nil || !st.Evidence.Checked || st.Evidence.Version != 1 || !st.Evidence.Development {
		t.Errorf("status %+v, %v", st.Evidence, err)
	}
	k := b.station("KIOSK-001")
	none := func(*request.Draft) {}
	tests := []struct {
		name    string
		from    issuer
		profile vcard.Profile
		claimed string
		change  func(*request.Draft)
		want    string // "" is accepted
	}{
		{"genuine by active authentication", state, vcard.Profile{}, "genuine", none, ""},
		{"genuine by chip authentication", state, vcard.Profile{ChipAuth: true, NoActive: true}, "genuine", none, ""},
		{"holder verified", state, vcard.Profile{}, "holder_verified", none, ""},
		{"less claimed than proved", state, vcard.Profile{}, "authentic", none, ""},
		{"no key in the chip", state, vcard.Profile{NoActive: true}, "authentic", none, ""},
		{"nothing claimed, nothing read", state, vcard.Profile{}, "", func(d *request.Draft) { d.Evidence = request.Evidence{} }, ""},
		{"no key in the chip, genuine claimed", state, vcard.Profile{NoActive: true}, "genuine", none, reasonEvidenceLessAssured},
		{"no key in the chip, holder verified", state, vcard.Profile{NoActive: true}, "holder_verified", none, ""},
		{"holder verified without a chip", state, vcard.Profile{}, "holder_verified", func(d *request.Draft) { d.Evidence = request.Evidence{} }, ""},
		{"holder verified without a login", state, vcard.Profile{}, "holder_verified", func(d *request.Draft) { d.Login = request.Proof{} }, reasonEvidenceLessAssured},
		{"genuine without a login", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Login = request.Proof{} }, reasonBadProof},
		{"nothing read", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Evidence = request.Evidence{} }, reasonEvidenceMissing},
		{"no such assurance", state, vcard.Profile{}, "certain", none, reasonEvidenceBadAssurance},
		{"a copy", state, vcard.Profile{Cloned: true}, "genuine", none, reasonEvidenceClone},
		{"a copy that claims little", state, vcard.Profile{Cloned: true}, "authentic", none, reasonEvidenceClone},
		{"no answer of the chip", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Evidence.AAResponse = nil }, reasonEvidenceClone},
		{"neither question nor answer", state, vcard.Profile{}, "authentic", func(d *request.Draft) {
			d.Evidence.AAChallenge, d.Evidence.AAResponse = nil, nil
		}, reasonEvidenceClone},
		{"another challenge", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Evidence.AAChallenge[0] ^= 1 }, reasonEvidenceClone},
		{"a changed zone", state, vcard.Profile{TamperedDG1: true}, "genuine", none, reasonEvidenceTampered},
		{"a group changed on the way", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Evidence.Groups["DG1"][20] ^= 1 }, reasonEvidenceTampered},
		{"a group that is not signed", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Evidence.Groups["DG9"] = []byte{1} }, reasonEvidenceTampered},
		{"nonsense", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Evidence.SOD = []byte("nonsense") }, reasonEvidenceUnreadable},
		{"another state's authority", stranger, vcard.Profile{}, "genuine", none, reasonEvidenceUnknown},
		{"an expired card", state, vcard.Profile{Expired: true}, "genuine", none, reasonEvidenceExpired},
		{"somebody else's card", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Holder.FIN = "1QK8M3T" }, reasonEvidenceOtherHolder},
		{"another document of the same person", state, vcard.Profile{}, "genuine", func(d *request.Draft) { d.Holder.DocumentNumber = "AA2345678" }, reasonEvidenceOtherHolder},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := draftOf(k, 0)
			d.Assurance, d.Evidence = tt.claimed, request.EvidenceOf(tt.from.read(t, tt.profile))
			d.Login = k.login(agency.Population()[0], request.UseLogin)
			tt.change(&d)
			resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
			switch {
			case tt.want == "" && resp.StatusCode != http.StatusCreated:
				t.Errorf("%s %v, want it accepted", resp.Status, v)
			case tt.want != "" && (resp.StatusCode != http.StatusBadRequest || v["reason"] != tt.want):
				t.Errorf("%s %v, want %s", resp.Status, v, tt.want)
			}
			d.ID = request.NewID(time.Now()) // and the same when somebody carries it
			got := b.carries(d.ID, k.seal(d))
			if want := map[bool]Verdict{true: VerdictAccepted, false: VerdictRefused}[tt.want == ""]; got.Verdict != want || got.Reason != tt.want {
				t.Errorf("carried: %+v, want %s %s", got, want, tt.want)
			}
		})
	}
}

func TestWithoutABundleNothingIsChecked(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	d.Assurance = "genuine"
	if resp, v := k.ask(http.MethodPut, path(d), k.seal(d)); resp.StatusCode != http.StatusCreated {
		t.Errorf("%s %v", resp.Status, v)
	}
	if st, err := b.Status(); err != nil || st.Evidence.Checked {
		t.Errorf("status %+v, %v", st.Evidence, err)
	}
	if !strings.Contains(b.log.String(), "chip evidence is not checked") {
		t.Error("the log doesn't say so")
	}
}

func TestTrustBundleIsServedAndNeverGoesBack(t *testing.T) {
	one, two := newIssuer(t, 1, newPhones(t)), newIssuer(t, 2, newPhones(t))
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	if resp, v := k.ask(http.MethodGet, base+"/v1/trust", nil); resp.StatusCode != http.StatusNotFound || v["reason"] != reasonNoTrust {
		t.Errorf("none: %s %v", resp.Status, v)
	}
	if _, err := b.Registry.SetTrust(two.bundle, nil); err != nil {
		t.Fatal(err)
	}
	resp, v := k.ask(http.MethodGet, base+"/v1/trust", nil)
	if resp.StatusCode != http.StatusOK || v["version"] != 2.0 {
		t.Fatalf("%s %v", resp.Status, v)
	}
	tag := resp.Header.Get("ETag")
	if resp, _ := k.ask(http.MethodGet, base+"/v1/trust", nil, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified {
		t.Errorf("known: %s", resp.Status)
	}
	if _, err := b.Registry.SetTrust(one.bundle, nil); err == nil {
		t.Error("an older bundle is taken")
	}
	// The operator begins to sign: from then on unsigned bundles are refused.
	key := newKey(t)
	signed := filepath.Join(t.TempDir(), "signed.json")
	err := identity.WriteSignedBundle(signed, identity.Bundle{Version: 3, Issued: time.Now(), Development: true, Anchors: one.pki.Bundle()}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Registry.SetTrust(signed, &key.PublicKey); err != nil {
		t.Fatal(err)
	}
	resp, v = k.ask(http.MethodGet, base+"/v1/trust", nil)
	if resp.Header.Get("ETag") == tag || v["signature"] == nil {
		t.Errorf("the signed one is not served: %v", v)
	}
	if _, err := b.Registry.SetTrust(two.bundle, nil); err == nil {
		t.Error("an unsigned bundle is taken after a signed one")
	}
	file, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	if now, err := b.Registry.Trust(); err != nil || string(now.File) != string(file) {
		t.Errorf("not the operator's own bytes: %v", err)
	}
}
