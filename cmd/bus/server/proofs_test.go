package server

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
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
