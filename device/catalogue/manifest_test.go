package catalogue

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/device/seal"
	"kosk/device/seal/sealtest"
)

// published is a catalogue as a bus seals it under a version.
func published(t testing.TB, doc string, version uint64, key *ecdsa.PrivateKey) (*Manifest, []byte) {
	t.Helper()
	c, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	m.Version, m.Issued = version, time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	b, err := m.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return m, b
}

// What travels is what was there: nothing of a service is lost on the way.
func TestTheShippedCatalogueTravelsWhole(t *testing.T) {
	key := sealtest.Key(t)
	_, b := published(t, data, 7, key)
	m, err := OpenManifest(b, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Offer()
	if err != nil {
		t.Fatal(err)
	}
	want, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != 7 || !reflect.DeepEqual(got, want) {
		t.Errorf("version %d, got %+v\nwant %+v", m.Version, got, want)
	}
}

func TestOnlyWhatTheKeySealedIsAManifest(t *testing.T) {
	key := sealtest.Key(t)
	m, b := published(t, good+ways, 1, key)
	if _, err := OpenManifest(b, &sealtest.Key(t).PublicKey); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a stranger's: %v", err)
	}
	for i := range b {
		bent := bytes.Clone(b)
		bent[i] ^= 4
		if _, err := OpenManifest(bent, &key.PublicKey); err == nil {
			t.Fatalf("byte %d bent: taken", i)
		}
	}
	if _, err := OpenManifest(append(b, make([]byte, MaxSealed)...), &key.PublicKey); !errors.Is(err, ErrManifest) {
		t.Errorf("too long: %v", err)
	}
	m.Version = 0
	none, err := m.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManifest(none, &key.PublicKey); !errors.Is(err, ErrManifest) {
		t.Errorf("without a version: %v", err)
	}
	m.Services = append(m.Services, Item{"id": strings.Repeat("x", MaxSealed)})
	if _, err := m.Seal(key); !errors.Is(err, ErrManifest) {
		t.Errorf("sealed too long: %v", err)
	}
	other, err := seal.Sign(KindDelta, []byte(`{"version":1}`), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManifest(other, &key.PublicKey); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a delta: %v", err)
	}
}

// A program that doesn't understand something says so, and takes nothing of it;
// a key more is no reason.
func TestWhatANewerProgramPublishes(t *testing.T) {
	key := sealtest.Key(t)
	for _, tt := range []struct {
		what   string
		change func(*Manifest)
		want   error // nil: it is taken
	}{
		{"a key more", func(m *Manifest) { m.Services[0]["colour"] = "blue" }, nil},
		{"a higher format", func(m *Manifest) { m.Format = Format + 1 }, ErrNewer},
		{"an unknown level", func(m *Manifest) { m.Services[0]["level"] = "sworn" }, ErrNewer},
		{"an unknown type of a field", func(m *Manifest) { m.Services[0]["fields"].([]any)[0].(Item)["type"] = "iban" }, ErrNewer},
		{"an unknown kind of a datum", func(m *Manifest) { m.Services[0]["data"].([]any)[0].(Item)["kind"] = "portrait" }, ErrNewer},
		{"an unknown output", func(m *Manifest) { m.Services[0]["output"] = "card" }, ErrNewer},
		{"a number for a word", func(m *Manifest) { m.Services[0]["level"] = 4.0 }, ErrManifest},
		{"words missing", func(m *Manifest) { m.Services[0]["name"].(Item)["ru"] = "" }, ErrManifest},
		{"a version without an order", func(m *Manifest) { m.Catalogue = "next" }, ErrManifest},
		{"a signed service that no means signs", func(m *Manifest) {
			m.Services[0]["level"], m.Services[0]["sign"] = "holder_verified", true
			delete(m.Means[0], "sign")
		}, ErrManifest},
	} {
		m, _ := published(t, good+ways, 1, key)
		tt.change(m)
		b, err := m.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := OpenManifest(b, &key.PublicKey)
		if err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		c, err := opened.Offer()
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) || (c != nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
		if err != nil && (!errors.Is(err, ErrManifest) || errors.Is(err, ErrNewer) != (tt.want == ErrNewer)) {
			t.Errorf("%s: %v is of the wrong kind", tt.what, err)
		}
	}
}

func TestVersionsHaveAnOrder(t *testing.T) {
	order := []string{"x", "0", "1", "2", "10", "2026.9.9", "2026.11", "2026.11.1", "2026.11.1.0", "2026.11.2", "2026.11.10", "99999999999999999999999"}
	for i, a := range order {
		for j, b := range order {
			if got := Compare(a, b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	for _, odd := range []string{"", "2026-11", "1.", ".1", "-1", "1..2"} {
		if Compare(odd, "0") >= 0 || Compare(odd, "x") != 0 {
			t.Errorf("%q has an order", odd)
		}
	}
	if Compare("01", "1") != 0 {
		t.Error("a leading zero counts")
	}
}

// Whatever was changed, the delta leads to the very bytes that were sealed.
func TestDeltasLeadToWhatWasSealed(t *testing.T) {
	key := sealtest.Key(t)
	draw := func(t *rapid.T, name string) []Item {
		all := []Item{}
		for _, id := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 6, rapid.ID).Draw(t, name) {
			all = append(all, Item{
				"id": strconv.Itoa(id), "name": rapid.SampledFrom([]string{"a", "ə<&>\u2028", "\x00"}).Draw(t, "name"),
				"uses": rapid.SampledFrom([]float64{1, 0.5, 1e21, -3}).Draw(t, "uses"),
			})
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		var versions [2]*Manifest
		var whole [2][]byte
		for i := range versions {
			m := &Manifest{Format: 1, Version: uint64(i + 1), Catalogue: "1", Issued: time.Unix(int64(i), 0).UTC()}
			m.Agencies, m.Services, m.Means = draw(t, "agencies"), draw(t, "services"), draw(t, "means")
			b, err := m.Seal(key)
			if err != nil {
				t.Fatal(err)
			}
			versions[i], whole[i] = m, b
		}
		d, err := Between(versions[0], versions[1], whole[1])
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		base, err := OpenManifest(whole[0], &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		got, m, err := Apply(base, b, &key.PublicKey)
		if err != nil || !bytes.Equal(got, whole[1]) || m.Version != 2 {
			t.Fatalf("%v\n%s\n%s", err, got, whole[1])
		}
	})
}

func TestDeltasThatLeadNowhere(t *testing.T) {
	key := sealtest.Key(t)
	from, _ := published(t, good+ways, 3, key)
	to, whole := published(t, strings.Replace(good, `en = "S"`, `en = "Z"`, 1)+ways, 4, key)
	for what, spoil := range map[string]func(*Delta){
		"from another version":   func(d *Delta) { d.From = 2 },
		"backwards":              func(d *Delta) { d.To = 2 },
		"with an item missing":   func(d *Delta) { d.Order.Services = append(d.Order.Services, "t") },
		"with an item twice":     func(d *Delta) { d.Order.Services = append(d.Order.Services, "s") },
		"with an item left out":  func(d *Delta) { d.Order.Services = nil },
		"with an item changed":   func(d *Delta) { d.Set.Services[0]["wait"] = 9.0 },
		"with another signature": func(d *Delta) { d.Signature = strings.Repeat("A", 86) },
		"without what was set":   func(d *Delta) { d.Set.Services = nil },
		"for another version":    func(d *Delta) { d.To = 5 },
		"with another day":       func(d *Delta) { d.Issued = d.Issued.Add(time.Hour) },
		"with another name":      func(d *Delta) { d.Catalogue = "9" },
	} {
		d, err := Between(from, to, whole)
		if err != nil {
			t.Fatal(err)
		}
		spoil(d)
		b, err := d.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		if got, m, err := Apply(from, b, &key.PublicKey); !errors.Is(err, ErrDelta) || got != nil || m != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := Apply(from, whole, &key.PublicKey); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a manifest for a delta: %v", err)
	}
	if _, err := Between(from, to, []byte("none")); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("of nothing sealed: %v", err)
	}
}

// Whatever a bus seals: nothing that isn't whole is offered, and a delta leads to
// items that are there, each once.
func FuzzManifest(f *testing.F) {
	key := sealtest.Key(f)
	base, _ := published(f, good+ways, 1, key)
	to, sealedTo := published(f, strings.Replace(good, `en = "S"`, `en = "Z"`, 1)+ways, 2, key)
	d, err := Between(base, to, sealedTo)
	if err != nil {
		f.Fatal(err)
	}
	d.Signature = ""
	for _, v := range []any{base, d} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"format":1,"version":1,"catalogue_version":"1","services":[{"id":"s","fields":[null]}]}`))
	f.Add([]byte(`{"from":1,"to":2,"order":{"services":["s","s"]},"set":{"services":[null,{}]}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if m, err := parseManifest(payload); err == nil {
			c, err := m.Offer()
			if (c == nil) == (err == nil) {
				t.Fatalf("%v and %v", c, err)
			}
			for i := 0; c != nil && i < len(c.Services); i++ {
				if s := &c.Services[i]; c.Service(s.ID) != s || c.Agency(s.Agency) == nil || len(s.Fields) == 0 {
					t.Errorf("service %q is not whole", s.ID)
				}
			}
		}
		m, _, err := apply(base, payload)
		if err != nil {
			return
		}
		for i := range m.lists() {
			met := map[string]bool{}
			for _, it := range *m.lists()[i] {
				if id := idOf(it); met[id] {
					t.Errorf("%q twice", id)
				} else {
					met[id] = true
				}
			}
		}
		if b, err := m.joined(""); err != nil || len(b) == 0 {
			t.Errorf("can't be joined: %v", err)
		}
	})
}
