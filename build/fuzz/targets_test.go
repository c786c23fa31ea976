package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTargetsAreFoundWhereGoFindsThem(t *testing.T) {
	src := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("package p\n" + s)} }
	tree := fstest.MapFS{
		"b/x_test.go":          src("func FuzzTwo(f *testing.F) {}\nfunc FuzzOne(f *testing.F) {}\nfunc TestIt(t *testing.T) {}"),
		"a/y_test.go":          src("func FuzzIt(f *testing.F) {}\nfunc FuzzHelp(b []byte) {}\nfunc (s suite) FuzzMethod(f *testing.F) {}"),
		"a/code.go":            src("func FuzzNoTest(f *testing.F) {}"),
		"a/testdata/z_test.go": src("func FuzzData(f *testing.F) {}"),
		"a/_old/z_test.go":     src("func FuzzOld(f *testing.F) {}"),
		".git/z_test.go":       src("func FuzzGit(f *testing.F) {}"),
		"out/z_test.go":        src("func FuzzOut(f *testing.F) {}"),
	}
	got, err := targets(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []target{{"a", "FuzzIt"}, {"b", "FuzzTwo"}, {"b", "FuzzOne"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("targets (-want +got):\n%s", d)
	}
	tree["c/z_test.go"] = &fstest.MapFile{Data: []byte("no go")}
	if _, err := targets(tree); err == nil {
		t.Error("a file that can't be read is passed over")
	}
}

// aModule is a module of its own with one target.
func aModule(t *testing.T, body string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module kosk\n\ngo 1.26\n",
		"p/p.go":      "package p\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc FuzzIt(f *testing.F) {\n\tf.Add(1)\n\tf.Fuzz(func(t *testing.T, n int) {\n" + body + "\n})\n}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, body, only string
		length           time.Duration
		want             string // in the error; none when empty
	}{
		{"a target that holds", "", "", time.Second, ""},
		{"a target that fails", `if n > 1 { t.Error("above one") }`, "", time.Minute, "p.FuzzIt: exit status 1"}, // and ends then
		{"a target that doesn't build", "x", "", time.Second, "p.FuzzIt: build"},
		{"no target of that name", "", "FuzzOther", time.Second, "no fuzz targets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			aModule(t, c.body)
			err := run(t.Context(), turns{all: c.length}, c.only, false)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTargetThatHangsFails(t *testing.T) {
	aModule(t, "select {}")
	if err := run(t.Context(), turns{all: 500 * time.Millisecond}, "", false); !errors.Is(err, errIdle) {
		t.Errorf("got %v, want %v", err, errIdle)
	}
}
