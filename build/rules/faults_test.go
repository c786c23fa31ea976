package rules

import "strings"

// faults are, by the name of the rule against them, what breaks the good tree: a
// file, its text, and words of the finding.
var faults = map[string][]struct{ name, text, want string }{
	"imports follow the four arrows": {
		{"device/a.go", "package device\n\nimport \"kosk/drivers/card/pcsc\"\n", "device/a.go:3: device may not import drivers/card/pcsc"},
		{"device/a.go", "package device\n\nimport \"kosk/offline/queue\"\n", "offline/queue"},
		{"device/a.go", "package device\n\nimport \"kosk/drivers/all\"\n", "drivers/all"},
		{"device/a_test.go", "package device\n\nimport \"kosk/ui\"\n", "ui"},
		{"ui/a.go", "package ui\n\nimport \"kosk/drivers/card\"\n", "ui may not import drivers/card"},
		{"drivers/card/a.go", "package card\n\nimport \"kosk/offline\"\n", "drivers/card may not import offline"},
		{"offline/a.go", "package offline\n\nimport \"kosk/device\"\n", "offline may not import device"},
		{"cmd/kiosk/a.go", "package main\n\nimport \"kosk/cmd/bus/agency\"\n", "cmd/kiosk may not import cmd/bus/agency"},
	},
	"one outside library has one home": {
		{"ui/a.go", "package ui\n\nimport \"fyne.io/fyne/v2/widget\"\n", "at home in [ui/kit], not in ui"},
		{"ui/a.go", "package ui\n\nimport \"fyne.io/fyne/v2/app\"\n", "at home in [cmd/kiosk]"},
		{"device/a.go", "package device\n\nimport \"net/http/httputil\"\n", "net/http is at home"},
		{"device/a.go", "package device\n\nimport \"github.com/google/go-cmp/cmp\"\n", "not in device"},
		{"device/a_test.go", "package device\n\nimport \"github.com/else/where\"\n", "github.com/else/where has no home"},
		{"device/a.go", "package device\n\nimport \"C\"\n", "no home"},
		{"device/a.go", "package device\n\nimport _ \"image/png\"\n", "unasked"},
	},
	"every package says what it is": {
		{"device/text/text.go", "package text\n", "device/text has no package comment"},
		{"device/text/text.go", "// The words.\npackage text\n", `otherwise than "Package text "`},
		{"cmd/kiosk/main.go", "// Package main joins.\npackage main\n", `otherwise than "Command kiosk "`},
		{"device/text/text.go", "// Package text words.\n" + strings.Repeat("// More.\n", 10) + "package text\n", "has 11 lines"},
		{"device/text/a.go", "// Package text words again.\npackage text\n", "second package comment"},
	},
	"every exported name is documented": {
		{"device/text/a.go", "package text\n\nfunc Say() {}\n", "Say is exported without"},
		{"device/text/a.go", "package text\n\ntype Lang int\n", "Lang"},
		{"device/text/a.go", "package text\n\nvar a, B = 1, 2\n", "B"},
		{"device/text/a.go", "package text\n\n// T is.\ntype T[X any] int\n\nfunc (*T[X]) Do() {}\n", "Do"},
	},
	"code stands in the folders that are named for it": {
		{"tool/tool.go", "package tool\n", "code outside"},
		{"device/text/a.go", "package words\n", "package words in a folder called text"},
		{"drivers/card/util/a.go", "// Package util is vague.\npackage util\n", "a folder called util"},
		{"drivers/card/myCard/a.go", "// Package myCard is loud.\npackage myCard\n", "no package name"},
	},
	"nothing runs before main": {{"device/a_test.go", "package device\n\nfunc init() {}\n", "func init"}},
	"functions are short":      {{"device/a_test.go", "package device\n\nfunc long() {" + strings.Repeat("\n", 80) + "}\n", "long has 81 lines"}},
	"constructors start no goroutine": {
		{"drivers/card/pcsc/a.go", "package pcsc\n\n// NewReader makes.\nfunc NewReader() { go func() {}() }\n", "NewReader starts"},
	},
	"nothing sleeps, exits or makes a context where it must not": {
		{"device/a.go", "package device\n\nimport \"time\"\n\nfunc a() { time.Sleep(1) }\n", "device/a.go:5: time.Sleep"},
		{"cmd/kiosk/a.go", "package main\n\nimport \"time\"\n\nvar wait = time.Sleep\n", "time.Sleep"},
		{"device/a.go", "package device\n\nimport \"log\"\n\nfunc a() { log.Fatalf(\"\") }\n", "log.Fatalf"},
		{"device/a.go", "package device\n\nimport \"os\"\n\nfunc a() { os.Exit(1) }\n", "os.Exit"},
		{"ui/a.go", "package ui\n\nimport \"context\"\n\nvar c = context.Background()\n", "context.Background"},
		{"device/a_test.go", "package device\n\nimport \"context\"\n\nvar c = context.TO" + "DO()\n", "context."},
		{"device/a.go", "package device\n\nimport \"log/slog\"\n\nfunc a() { slog.Info(\"\") }\n", "slog.Info"},
	},
	"no test is put aside without a reason": {
		{"device/a_test.go", "package device\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Skip() }\n", "device/a_test.go:5"},
		{"device/a_test.go", "package device\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.SkipNow() }\n", "without a reason"},
	},
	"what is unfinished is not committed": {
		{"device/a.go", "package device\n\n// TO" + "DO: the rest.\n", "device/a.go:3"},
		{"build/list.txt", "all well\nenough for no" + "w.\n", "build/list.txt:2"},
	},
	"files know nothing of the machine they were written on": {
		{"build/list.txt", "see /ho" + "me/me/notes\n", "build/list.txt:1"},
		{"device/a.go", "package device\n\nconst place = \"/ro" + "ot/go\"\n", "device/a.go:3"},
		{"build/list.txt", "GOPROXY=https" + "://mirror.example\n", "build/list.txt:1"},
		{"build/list.txt", "all well\ndeb https" + "://mirror.example stable main\n", "build/list.txt:2"},
	},
	"the map is the territory": {
		{"README.md", "# It\n", "no fenced block"},
		{"device/voice/voice.go", "// Package voice speaks.\npackage voice\n", "device/voice: is not on the map"},
		{"README.md", strings.Replace(good["README.md"], "  text/", "  voice/\n  text/", 1), "the map shows device/voice/"},
	},
}
