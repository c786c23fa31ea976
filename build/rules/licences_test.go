package rules

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestLicencesOfWhatIsRequired(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	required := Required(mod)
	found, absent := Licences(required, os.DirFS(strings.TrimSpace(string(cache))))
	for _, f := range found {
		t.Error(f)
	}
	for _, m := range absent {
		t.Logf("%s is in no build here, and not judged", m.Path)
	}
	if judged := len(required) - len(absent); judged < 20 {
		t.Errorf("%d modules were judged of %d", judged, len(required))
	}
}

func TestRequired(t *testing.T) {
	got := Required([]byte("module kosk\n\ngo 1.26\n\nrequire a.org/A v1.0.0 // why\n\nrequire (\n\tb.org/b v2.0.0\n\n\tc.org/c v0.1.0 // indirect\n)\n\nreplace b.org/b => ../b\n"))
	want := []Module{{"a.org/A", "v1.0.0", false}, {"b.org/b", "v2.0.0", false}, {"c.org/c", "v0.1.0", true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestLicences(t *testing.T) {
	const (
		mit = "MIT License\n\nPermission is hereby granted, free of charge, to any\nperson obtaining a copy of this"
		mpl = "Mozilla Public License Version 2.0\n====\n 1.12. Secondary License means the GNU General Public License, Version 2.0"
		gpl = "          GNU GENERAL PUBLIC LICENSE\n   Version 3"
	)
	required := []Module{{"a.org/Good", "v1.0.0", false}, {"b.org/b", "v1.0.0", true}}
	for _, c := range []struct{ name, file, text, want string }{
		{"a permissive licence", "COPYING", mit, ""},
		{"one that stands in a comment", "LICENSE", "// " + strings.ReplaceAll(mit, "\n", "\n// "), ""},
		{"a weak copyleft that names a strong one", "LICENSE.txt", mpl, ""},
		{"a strong copyleft", "LICENSE", gpl, "a.org/Good: LICENSE is GPL"},
		{"a licence nobody knows", "LICENSE", "Ask my aunt.", "a.org/Good: LICENSE is not known"},
		{"no licence", "README", mit, "a.org/Good: has no licence file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := fstest.MapFS{"a.org/!good@v1.0.0/" + c.file: {Data: []byte(c.text)}}
			found, absent := Licences(required, cache)
			got := ""
			if len(found) > 0 {
				got = found[0].String()
			}
			if got != c.want || len(found) > 1 {
				t.Errorf("got %v, want %q", found, c.want)
			}
			if len(absent) != 1 || absent[0].Path != "b.org/b" {
				t.Errorf("absent: %v", absent)
			}
		})
	}
	if found, _ := Licences(required, fstest.MapFS{}); len(found) != 1 {
		t.Errorf("a direct requirement that is not there: %v", found)
	}
}
