package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTree(t *testing.T) {
	tree, err := Read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range All {
		t.Run(rule.Name, func(t *testing.T) {
			for _, f := range rule.Check(tree) {
				t.Error(f)
			}
		})
	}
}

// good is a small tree that keeps every rule, but for the libraries that nobody
// in it imports.
var good = map[string]string{
	"README.md": "# It\n\n## The map\n\n```\ncmd/      joins\n  kiosk/  the firmware\ndevice/   the visit\n  text/   words\n" +
		"drivers/  hardware\n  card/   cards\noffline/\n  queue/\nui/       the window\n  kit/    widgets\nbuild/\n  rules/  these\n```\n",
	"cmd/kiosk/main.go": "// Command kiosk joins.\npackage main\n\nimport (\n\t\"context\"\n\t\"os\"\n\n\t_ \"embed\"\n\t\"kosk/drivers/card/pcsc\"\n)\n\n" +
		"func main() { pcsc.Open(context.Background()); os.Exit(0) }\n",
	"device/device.go": "// Package device visits.\npackage device\n\nimport (\n\t\"kosk/device/text\"\n\t\"kosk/drivers/card\"\n\t\"kosk/offline\"\n)\n",
	"device/device_test.go": "package device_test\n\nimport (\n\t\"testing\"\n\t\"time\"\n\n\t\"github.com/google/go-cmp/cmp\"\n\t\"kosk/drivers/card/vcard\"\n)\n\n" +
		"func TestIt(t *testing.T) { t.Skip(\"no card\"); time.Sleep(1) }\n",
	"device/text/text.go":         "// Package text words.\npackage text\n",
	"drivers/card/card.go":        "// Package card contracts.\npackage card\n\n// A Card is one.\ntype Card int\n\n// Slots.\nconst (\n\tOne = 1\n\tTwo = 2\n)\n\nfunc (c Card) String() string { return \"\" }\n",
	"drivers/card/pcsc/pcsc.go":   "// Package pcsc reads.\npackage pcsc\n\nimport \"github.com/ebfe/scard\"\n\n// Open opens.\nfunc Open() {}\n\n// Run runs.\nfunc Run() { go Open() }\n",
	"drivers/card/vcard/vcard.go": "// Package vcard acts.\npackage vcard\n",
	"offline/offline.go":          "// Package offline contracts.\npackage offline\n",
	"offline/queue/queue.go":      "// Package queue keeps.\npackage queue\n\nimport \"go.etcd.io/bbolt/errors\"\n",
	"ui/ui.go":                    "// Package ui shows.\npackage ui\n\nimport (\n\t\"fyne.io/fyne/v2\"\n\t\"kosk/device\"\n\t\"kosk/ui/kit\"\n)\n",
	"ui/kit/kit.go":               "// Package kit draws.\npackage kit\n\nimport \"fyne.io/fyne/v2/widget\"\n",
	"build/rules/rules.go":        "// Package rules rules.\npackage rules\n",
}

// planted is the good tree with one file more, or another text for it.
func planted(t *testing.T, name, text string) *Tree {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range good {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if name != "" {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// checkPlanted is what a rule finds, less the libraries that the small tree does
// without.
func checkPlanted(rule Rule, tree *Tree) []Finding {
	return slices.DeleteFunc(rule.Check(tree), func(f Finding) bool { return strings.Contains(f.What, "take it off the table") })
}

func TestRulesHoldOnTheGoodTree(t *testing.T) {
	tree := planted(t, "", "")
	for _, rule := range All {
		for _, f := range checkPlanted(rule, tree) {
			t.Errorf("%s: %s", rule.Name, f)
		}
	}
}

// TestRulesCanFail plants one fault at a time in the good tree and wants the rule
// that is against it to find it, once.
func TestRulesCanFail(t *testing.T) {
	tried := map[string]bool{}
	for _, rule := range All {
		tried[rule.Name] = true
		if len(faults[rule.Name]) == 0 {
			t.Errorf("no fault shows that the rule can fail: %s", rule.Name)
		}
		for _, fault := range faults[rule.Name] {
			tree := planted(t, fault.name, fault.text)
			found := checkPlanted(rule, tree)
			if len(found) != 1 || !strings.Contains(found[0].String(), fault.want) {
				t.Errorf("%s: planted %q in %s: found %v, want one finding with %q", rule.Name, fault.text, fault.name, found, fault.want)
			}
		}
	}
	for name := range faults {
		if !tried[name] {
			t.Errorf("no rule is called %q", name)
		}
	}
}

func TestHomesThatStandEmptyAreTold(t *testing.T) {
	found := homes(planted(t, "", ""))
	if !slices.ContainsFunc(found, func(f Finding) bool { return strings.HasPrefix(f.What, "github.com/tarm/serial is imported nowhere") }) {
		t.Errorf("found %v", found)
	}
}

func TestReadPassesOverWhatIsNotCommitted(t *testing.T) {
	tree := planted(t, "out/tool.go", "package tool\n")
	if slices.Contains(tree.Names, "out/tool.go") {
		t.Error("out is read")
	}
	if _, err := Read(fstest.MapFS{"a.go": {Data: []byte("no go")}}); err == nil {
		t.Error("a file that is no Go is passed over")
	}
}
