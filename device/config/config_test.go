package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

const shipped = "../../build/config/kiosk.toml"

func TestTheShippedFileHasEveryKeyAtItsDefault(t *testing.T) {
	var c Config
	meta, err := toml.DecodeFile(shipped, &c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("defaults (-) and file (+) differ:\n%s", diff)
	}
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		table := typ.Field(i)
		for j := range table.Type.NumField() {
			f := table.Type.Field(j)
			name := f.Tag.Get("toml")
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			if !meta.IsDefined(strings.ToLower(table.Name), name) {
				t.Errorf("%s.%s isn't explained in %s", strings.ToLower(table.Name), name, shipped)
			}
		}
	}
}

func TestAWrongFileSaysFileLineAndKey(t *testing.T) {
	for name, tt := range map[string]struct{ doc, want string }{
		"unknown key":   {"[panel]\nwidth_mm = 300.0\ncolour = \"red\"\n", ":3: unknown key panel.colour"},
		"unknown table": {"\n[flags]\nx = 1\n", ":2: unknown key flags"},
		"wrong type":    {"[printer]\nbaud = \"fast\"\n", `line 2 (last key "printer.baud")`},
		"wrong value":   {"[printer]\nbaud = 7\n", ":2: printer.baud: must be 1200"},
		"wrong make":    {"[card]\nreader = \"\"\nmake = \"magic\"\n", ":3: card.make"},
		"wrong keys":    {"[state]\nkeys = \"paper\"\n", ":2: state.keys: must be"},
		"two at a line": {"[lamps]\nmake = \"gpio\"\ncard_reader = \"A\"\ndocument_printer = \"A\"\n", ":2: lamps.make: two lamps"},
		"no such lamps": {"[lamps]\nmake = \"neon\"\n", ":2: lamps.make: must be"},
		"no chip":       {"[lamps]\nmake = \"gpio\"\ncard_reader = \"7\"\nchip = \"\"\n", ":4: lamps.chip: must be set"},
		"no lamps file": {"[lamps]\nmake = \"desk\"\nfile = \"\"\n", ":3: lamps.file: must be set"},
		"no TOML":       {"[panel\n", ":2"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kiosk.toml")
			if err := os.WriteFile(path, []byte(tt.doc), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q with the file's name", err, tt.want)
			}
		})
	}
}

func TestRelativePathsLieInTheStateFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kiosk.toml")
	doc := "[state]\ndir = \"/var/x\"\n[log]\nfile = \"/abs\"\n"
	if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Card.Bundle != "/var/x/trust.json" || c.Log.File != "/abs" || c.Log.Trace != "" {
		t.Errorf("bundle %q, log %q, trace %q", c.Card.Bundle, c.Log.File, c.Log.Trace)
	}
}

func TestWhatGuardsTheKeysLiesWhereItIsUsual(t *testing.T) {
	for _, tt := range []struct {
		s    State
		want string
	}{
		{State{Dir: "/var/x", Keys: "file"}, "/var/x/queue.key"},
		{State{Dir: "/var/x", Keys: "tpm"}, "/dev/tpmrm0"},
		{State{Dir: "/var/x", Keys: "tpm", KeysPath: "/run/tpm.sock"}, "/run/tpm.sock"},
	} {
		if got := tt.s.KeyStore(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.s, got, tt.want)
		}
	}
	s := Default().State
	if s.Socket() != "/var/lib/kosk/kiosk.sock" || s.Queue() != "/var/lib/kosk/queue.db" {
		t.Errorf("socket %s, queue %s", s.Socket(), s.Queue())
	}
}
