package agency

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/device/request"
	"kosk/offline"
)

// station is a kiosk's line to the provider, without the wire.
type station struct {
	name      string
	approvals *Approvals
}

func (s station) Lookup(ctx context.Context, service string, question any) (json.RawMessage, error) {
	q, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	a := s.approvals.Answer(ctx, s.name, service, q)
	body, err := json.Marshal(a.Body)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		var said reason
		_ = json.Unmarshal(body, &said)
		return nil, &offline.Fault{Type: "provider", Reason: said.Reason, Status: a.Status, Err: offline.ErrRefused}
	}
	return body, nil
}

// world is the provider, and a kiosk that believes it.
func newProvider(t *testing.T) (*Approvals, *identity.Anchors) {
	t.Helper()
	dir := t.TempDir()
	a, err := OpenApprovals(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenApprovals(dir)
	if err != nil || string(again.issuer.authority.Raw) != string(a.issuer.authority.Raw) {
		t.Fatalf("the keys don't last: %v", err)
	}
	person, provider := a.Trust()
	anchors, err := identity.NewAnchors(identity.Bundle{
		Version: 1, Issued: time.Now(), Development: true, Anchors: [][]byte{person}, Persons: [][]byte{person}, Providers: [][]byte{provider},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, anchors
}

func statement(t *testing.T, use identity.Use, name string) []byte {
	t.Helper()
	b, err := request.NewStatement(string(use), name, time.Now()).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func typedFor(m identity.MeansID, p Person) identity.Typed {
	phone, user, code, password := Credentials(p)
	switch m {
	case "imza":
		return identity.Typed{identity.FieldPhone: []byte(phone), identity.FieldUser: []byte(user)}
	case "code":
		return identity.Typed{identity.FieldUser: []byte(code), identity.FieldPassword: []byte(password)}
	}
	return nil
}

// Every means of the provider proves who is here, and the phones sign; both sides
// show the same four digits.
func TestTheProvidersMeans(t *testing.T) {
	a, anchors := newProvider(t)
	for _, p := range Population()[:2] {
		for _, c := range []struct {
			means identity.MeansID
			use   identity.Use
		}{{"sima", identity.Login}, {"sima", identity.Sign}, {"imza", identity.Login}, {"imza", identity.Sign}, {"code", identity.Login}} {
			means := identity.Approval{ID: c.means, Lookup: station{"K-1", a}, Anchors: anchors, Scanned: c.means == "sima"}
			shown := ""
			proof, err := means.Prove(t.Context(), identity.Claim{Use: c.use, Statement: statement(t, c.use, "K-1"), FIN: p.FIN},
				typedFor(c.means, p), func(prompt identity.Prompt) {
					code, err := a.Phone(p.FIN, true)
					if err != nil {
						t.Error(err)
					}
					if shown = prompt.Code; shown != code {
						t.Errorf("%s: the kiosk shows %s, the phone %s", c.means, shown, code)
					}
				})
			if err != nil {
				t.Fatalf("%s to %s: %v", c.means, c.use, err)
			}
			s, err := proof.Check(c.use, anchors, time.Now())
			if err != nil || s.FIN != p.FIN || (shown == "") != (c.means == "code") {
				t.Errorf("%s to %s: %v", c.means, c.use, err)
			}
		}
	}
	if len(a.open) > 0 {
		t.Errorf("%d approvals are left", len(a.open))
	}
}

func TestPhonesSayNo(t *testing.T) {
	a, anchors := newProvider(t)
	p, other := Population()[0], Population()[1]
	prove := func(typed identity.Typed, fin string, phone func()) error {
		means := identity.Approval{ID: "imza", Lookup: station{"K-1", a}, Anchors: anchors}
		_, err := means.Prove(t.Context(), identity.Claim{Use: identity.Login, Statement: statement(t, identity.Login, "K-1"), FIN: fin},
			typed, func(identity.Prompt) { phone() })
		return err
	}
	if err := prove(typedFor("imza", p), "", func() { _, _ = a.Phone(p.FIN, false) }); !errors.Is(err, identity.ErrDeclined) {
		t.Errorf("declined: %v", err)
	}
	if err := prove(typedFor("imza", other), p.FIN, func() { _, _ = a.Phone(other.FIN, true) }); !errors.Is(err, identity.ErrOtherPerson) {
		t.Errorf("another's phone: %v", err)
	}
	if err := prove(typedFor("code", p), "", nil); !errors.Is(err, identity.ErrCredentials) {
		t.Errorf("an unknown phone: %v", err)
	}
	// A second question ends the first: a phone never shows two.
	err := prove(typedFor("imza", p), "", func() {
		q, _ := json.Marshal(identity.ApprovalQuestion{
			Means: "imza", Use: identity.Login, Statement: statement(t, identity.Login, "K-2"), Phone: "501" + p.CAN, User: "654321",
		})
		if r := a.Answer(t.Context(), "K-2", identity.ApprovalBegin, q); r.Status != http.StatusOK {
			t.Errorf("%+v", r)
		}
	})
	if !errors.Is(err, identity.ErrLapsed) {
		t.Errorf("the first of two: %v", err)
	}
	if _, err := a.Phone(other.FIN, true); !errors.Is(err, ErrNoApproval) {
		t.Errorf("nothing was asked of this phone: %v", err)
	}
}

// Nobody gets a signature for another station, nor over what is no statement, nor
// hears of another station's approval.
func TestStatementsAreTheStationsOwn(t *testing.T) {
	a, _ := newProvider(t)
	for name, s := range map[string][]byte{
		"of another station": statement(t, identity.Login, "K-2"),
		"for another use":    statement(t, identity.Sign, "K-1"),
		"no statement":       []byte(`{"pay":"everything"}`),
		"nothing":            nil,
	} {
		q, _ := json.Marshal(identity.ApprovalQuestion{Means: "sima", Use: identity.Login, Statement: s})
		if r := a.Answer(t.Context(), "K-1", identity.ApprovalBegin, q); r.Status != http.StatusBadRequest {
			t.Errorf("%s: %+v", name, r)
		}
	}
	q, _ := json.Marshal(identity.ApprovalQuestion{Means: "sima", Use: identity.Login, Statement: statement(t, identity.Login, "K-1")})
	begun := a.Answer(t.Context(), "K-1", identity.ApprovalBegin, q).Body.(identity.ApprovalAnswer)
	if _, err := a.Phone(Population()[0].FIN, true); err != nil {
		t.Fatal(err)
	}
	w, _ := json.Marshal(map[string]string{"id": begun.ID})
	if r := a.Answer(t.Context(), "K-2", identity.ApprovalWait, w).Body.(identity.ApprovalAnswer); r.Signature != nil {
		t.Error("another station got the signature")
	}
	if r := a.Answer(t.Context(), "K-1", identity.ApprovalWait, w).Body.(identity.ApprovalAnswer); r.State != identity.ApprovalGiven {
		t.Errorf("%+v", r)
	}
	if r := a.Answer(t.Context(), "K-1", identity.ApprovalWait, w).Body.(identity.ApprovalAnswer); r.State != identity.ApprovalLapsed {
		t.Errorf("told twice: %+v", r)
	}
}

// Passwords can't be guessed one after the other.
func TestWrongPasswordsLockTheCode(t *testing.T) {
	a, _ := newProvider(t)
	p := Population()[0]
	_, _, code, password := Credentials(p)
	try := func(password string) Answer {
		q, _ := json.Marshal(identity.ApprovalQuestion{
			Means: "code", Use: identity.Login, Statement: statement(t, identity.Login, "K-1"), User: code, Password: password,
		})
		return a.Answer(t.Context(), "K-1", identity.ApprovalBegin, q)
	}
	for range wrongAllowed {
		if r := try("000000"); r.Body != (reason{reasonCredentials}) {
			t.Errorf("%+v", r)
		}
	}
	if r := try(password); r.Body != (reason{reasonLocked}) {
		t.Errorf("locked: %+v", r)
	}
}

func TestApprovalsLapse(t *testing.T) {
	a, _ := newProvider(t)
	q := identity.ApprovalQuestion{Means: "sima", Use: identity.Login, Statement: statement(t, identity.Login, "K-1")}
	old := a.begin("K-1", q, time.Now().Add(-approvalLife-time.Second)).Body.(identity.ApprovalAnswer)
	if _, err := a.Phone(Population()[0].FIN, true); !errors.Is(err, ErrNoApproval) {
		t.Errorf("approved too late: %v", err)
	}
	if r := a.wait(t.Context(), "K-1", old.ID).Body.(identity.ApprovalAnswer); r.State != identity.ApprovalLapsed {
		t.Errorf("%+v", r)
	}
}

func FuzzApproval(f *testing.F) {
	a := &Approvals{open: map[string]*approval{}, wrong: map[string]wrong{}}
	f.Add(identity.ApprovalBegin, []byte(`{"means":"sima","use":"login","statement":"e30="}`))
	f.Add(identity.ApprovalWait, []byte(`{"id":"x"}`))
	f.Fuzz(func(t *testing.T, service string, question []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r := a.Answer(ctx, "K-1", service, question); r.Status < 200 || r.Status > 499 {
			t.Errorf("%+v", r)
		}
	})
}

// TestACrashBeforeTheKeysWereKept: the next start makes them, and leaves nothing
// of the one that was cut off.
func TestACrashBeforeTheKeysWereKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "."+approvalFile+".new"), []byte(`{"authority": "MII`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenApprovals(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != approvalFile {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// TestOneStationLeavesRoom: one that asks in a loop is told to wait, and nobody
// else is; nor is it, once what it had opened is over.
func TestOneStationLeavesRoom(t *testing.T) {
	a, _ := newProvider(t)
	begin := func(station string, at time.Time) int {
		t.Helper()
		return a.begin(station, identity.ApprovalQuestion{
			Means: "sima", Use: identity.Login, Statement: statement(t, identity.Login, station),
		}, at).Status
	}
	now := time.Now()
	for i := range maxApprovals {
		want := http.StatusOK
		if i >= maxOpen {
			want = http.StatusTooManyRequests
		}
		if got := begin("K-1", now); got != want {
			t.Fatalf("number %d: %d, want %d", i+1, got, want)
		}
	}
	if got := begin("K-2", now); got != http.StatusOK {
		t.Errorf("another station: %d", got)
	}
	if got := begin("K-1", now.Add(2*approvalLife+time.Second)); got != http.StatusOK {
		t.Errorf("when they are over: %d", got)
	}
}
