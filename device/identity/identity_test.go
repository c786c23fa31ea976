package identity_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card"
)

func holder() identity.Holder {
	return identity.Holder{
		FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün", DocumentNumber: "AA1234567", IssuingState: "AZE",
		BirthDate: time.Date(1990, 5, 12, 0, 0, 0, 0, time.UTC), Assurance: identity.Genuine,
		Evidence: &card.Chip{Groups: map[int][]byte{1: []byte("5ARPXK2")}, COM: []byte("AA1234567")},
	}
}

// planted is what must never be seen.
var planted = []string{"5ARPXK2", "Məmmədova", "Aygün", "AA1234567", "1990"}

func TestHolderCannotBeLoggedOrPrinted(t *testing.T) {
	h := holder()
	type visit struct {
		Holder  identity.Holder
		Pointer *identity.Holder
		Any     any
		Chip    *card.Chip
	}
	values := map[string]any{
		"value": h, "pointer": &h, "slice": []identity.Holder{h}, "map": map[string]identity.Holder{"k": h},
		"struct": visit{h, &h, h, h.Evidence}, "error": fmt.Errorf("visit: %v", h), "chip": h.Evidence, "chip value": *h.Evidence,
	}
	untimed := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey { // whose fractions may look like a year
			return slog.Attr{}
		}
		return a
	}}
	for name, v := range values {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, untimed)).Info("m", "k", v)
		slog.New(slog.NewJSONHandler(&out, untimed)).Info("m", "k", v)
		for _, p := range planted {
			coded := base64.StdEncoding.EncodeToString([]byte(p))
			if s := out.String(); strings.Contains(s, p) || strings.Contains(s, fmt.Sprintf("%x", p)) || strings.Contains(s, coded) {
				t.Errorf("%s shows %q: %s", name, p, out.String())
			}
		}
	}
	b, err := json.Marshal(h)
	if err != nil || string(b) != `"holder"` {
		t.Errorf("json = %s, %v", b, err)
	}
}

func TestMaskedForms(t *testing.T) {
	h := holder()
	if got, want := h.MaskedFIN(), "5•••••2"; got != want {
		t.Errorf("MaskedFIN = %q, want %q", got, want)
	}
	tests := []struct{ given, surname, want string }{
		{"Aygün", "Məmmədova", "Aygün M•••••••"},
		{"Rauf Əli oğlu", "Əliyev", "Rauf Ə•••••••"},
		{"Aygün", "", "Aygün •••••••"},
	}
	for _, tt := range tests {
		h := identity.Holder{GivenNames: tt.given, Surname: tt.surname}
		if got := h.MaskedName(); got != tt.want {
			t.Errorf("MaskedName = %q, want %q", got, tt.want)
		}
	}
	if got := (identity.Holder{}).MaskedFIN(); got != "•••••••" {
		t.Errorf("MaskedFIN of nobody = %q", got)
	}
}

func TestAssuranceNames(t *testing.T) {
	for a, want := range map[identity.Assurance]string{
		identity.Read: "read", identity.Authentic: "authentic", identity.Genuine: "genuine", identity.HolderVerified: "holder_verified",
	} {
		if a.String() != want {
			t.Errorf("%d = %q, want %q", a, a, want)
		}
		if back, err := identity.ParseAssurance(want); err != nil || back != a {
			t.Errorf("ParseAssurance(%q) = %v, %v", want, back, err)
		}
	}
	if _, err := identity.ParseAssurance("trusted"); err == nil {
		t.Error("an unknown name was taken")
	}
}

func TestBundleComesBackAsItWasWritten(t *testing.T) {
	pki, _ := newPKI(t)
	path := filepath.Join(t.TempDir(), "trust.json")
	issued := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	if err := identity.WriteBundle(path, identity.Bundle{Version: 7, Issued: issued, Development: true, Anchors: pki.Bundle()}); err != nil {
		t.Fatal(err)
	}
	a, err := identity.LoadBundle(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Version != 7 || !a.Issued.Equal(issued) || !a.Development || a.Len() != 1 {
		t.Errorf("bundle = version %d, issued %v, development %v, %d anchors", a.Version, a.Issued, a.Development, a.Len())
	}
}

func TestBadBundlesAreRefused(t *testing.T) {
	tests := map[string]string{
		"empty":          ``,
		"no anchors":     `{"version":1,"issued":"2026-11-01T08:00:00Z","development":false,"anchors":[]}`,
		"no version":     `{"issued":"2026-11-01T08:00:00Z","anchors":["MA=="]}`,
		"unknown key":    `{"version":1,"issued":"2026-11-01T08:00:00Z","anchor":["MA=="]}`,
		"no certificate": `{"version":1,"issued":"2026-11-01T08:00:00Z","anchors":["MA=="]}`,
		"two objects":    `{"version":1} {"version":2}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "trust.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := identity.LoadBundle(path, nil); !errors.Is(err, identity.ErrBundle) {
				t.Errorf("error = %v, want bad bundle", err)
			}
		})
	}
	if _, err := identity.LoadBundle(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want not exist", err)
	}
}
