package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/request"
)

// trusting is a bus that believes its own provider's phones.
func trusting(t *testing.T) *bench {
	t.Helper()
	phones := newPhones(t)
	b := open(t, t.TempDir(), func(c *Config) { c.Approvals = phones })
	if _, err := b.Registry.SetTrust(newIssuer(t, 1, phones).bundle, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

// login is a proof by ASAN İmza, over the wire: the person says yes by the
// operator's socket.
func (k *kiosk) login(p agency.Person, use string) request.Proof {
	k.t.Helper()
	statement, err := request.NewStatement(use, k.name, time.Now()).Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	return k.approve(p, identity.Use(use), statement)
}

// approve has a person's phone sign a statement.
func (k *kiosk) approve(p agency.Person, use identity.Use, statement []byte) request.Proof {
	k.t.Helper()
	phone, user, _, _ := agency.Credentials(p)
	begin, err := json.Marshal(identity.ApprovalQuestion{
		Means: "imza", Use: use, Statement: statement, Phone: phone, User: user,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	resp, v := k.ask(http.MethodPost, base+"/v1/lookups/"+identity.ApprovalBegin, begin)
	id, _ := v["id"].(string)
	if resp.StatusCode != http.StatusOK || id == "" {
		k.t.Fatalf("begin: %d %v", resp.StatusCode, v)
	}
	code, err := Control{Socket: k.sock}.Phone(k.t.Context(), p.FIN, true)
	if err != nil || code != identity.ControlCode(statement) {
		k.t.Fatalf("the phone shows %q: %v", code, err)
	}
	wait, err := json.Marshal(map[string]string{"id": id})
	if err != nil {
		k.t.Fatal(err)
	}
	resp, v = k.ask(http.MethodPost, base+"/v1/lookups/"+identity.ApprovalWait, wait)
	if resp.StatusCode != http.StatusOK || v["state"] != identity.ApprovalGiven {
		k.t.Fatalf("wait: %d %v", resp.StatusCode, v)
	}
	return request.Proof{
		Means: "imza", Statement: statement, Certificate: unbase64(k.t, v["certificate"]), Signature: unbase64(k.t, v["signature"]),
	}
}

// A kiosk's word for its citizen is not taken: the citizen's own signature is.
func TestRequestsProveWhoseTheyAre(t *testing.T) {
	k := trusting(t).station("K-1")
	p, other := agency.Population()[0], agency.Population()[1]
	theirs := k.login(p, request.UseLogin)
	for name, c := range map[string]struct {
		change func(d *request.Draft)
		taken  bool
	}{
		"with a login":                 {func(d *request.Draft) { d.Login = theirs }, true},
		"without one":                  {func(*request.Draft) {}, false},
		"with another person's":        {func(d *request.Draft) { d.Login = k.login(other, request.UseLogin) }, false},
		"with a signature for a login": {func(d *request.Draft) { d.Login = k.login(p, request.UseSign) }, false},
		"with a changed statement": {func(d *request.Draft) {
			d.Login = theirs
			d.Login.Statement = append([]byte(" "), theirs.Statement...)
		}, false},
		"with a login too old": {func(d *request.Draft) { d.Login, d.CreatedAt = theirs, time.Now().Add(13*time.Hour) }, false},
		"with a signature that isn't over it": {func(d *request.Draft) {
			d.Login, d.CitizenSignature = theirs, k.login(p, request.UseSign)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := draftOf(k, 0)
			c.change(&d)
			resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
			if taken := resp.StatusCode == http.StatusCreated; taken != c.taken || !taken && v["reason"] != reasonBadProof {
				t.Errorf("%d %v", resp.StatusCode, v)
			}
		})
	}
}

// unsigned is a catalogue in which the certificate of employment needs no login.
const unsigned = `version = "%s"
[[agency]]
id = "mlspp"
name = { az = "a", ru = "b", en = "c" }
[[service]]
id = "workplace_cert"
agency = "mlspp"
level = "%s"
submit = true
ttl = 30
wait = 8
name = { az = "a", ru = "b", en = "c" }
[[service.fields]]
id = "purpose"
type = "choice"
title = { az = "a", ru = "b", en = "c" }
label = { az = "a", ru = "b", en = "c" }
hint = { az = "a", ru = "b", en = "c" }
options = [ { id = "bank", name = { az = "a", ru = "b", en = "c" } } ]
[[means]]
id = "imza"
level = "holder_verified"
name = { az = "a", ru = "b", en = "c" }
hint = { az = "a", ru = "b", en = "c" }
`

// A request is held to the catalogue that its person saw, for as long as there are
// kiosks that show it; one that names none of ours to the one in force.
func TestARequestIsHeldToItsOwnCatalogue(t *testing.T) {
	b := trusting(t)
	k := b.station("K-1")
	key := b.Registry.Keys().Receipt
	taken := func(version string) bool {
		t.Helper()
		d := draftOf(k, 0)
		d.CatalogueVersion = version
		resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
		if resp.StatusCode != http.StatusCreated && v["reason"] != reasonBadProof {
			t.Fatalf("%d %v", resp.StatusCode, v)
		}
		return resp.StatusCode == http.StatusCreated
	}
	publish := func(version string, level catalogue.Level) {
		t.Helper()
		if _, err := SetCatalogue(b.Registry.Dir(), fmt.Appendf(nil, unsigned, version, level), key); err != nil {
			t.Fatal(err)
		}
		if now, _, err := b.shelf.current(); err != nil || now.Catalogue != version {
			t.Fatalf("%v", err)
		}
	}
	own, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	publish("2027.1", catalogue.Read)
	if taken(own.Version) || !taken("2027.1") || !taken("unheard of") {
		t.Error("while the new one is in force")
	}
	publish("2027.2", catalogue.HolderVerified)
	if !taken("2027.1") || taken("2027.2") || taken("unheard of") {
		t.Error("after it")
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	k.bench = open(t, b.Registry.Dir())
	if !taken("2027.1") || taken("2027.2") || taken(own.Version) {
		t.Error("after a restart")
	}
}
