package rules

import (
	"go/ast"
	"slices"
	"strings"
)

// module is the path that our own imports begin with.
const module = "kosk"

// A border says what of ours the packages of a folder may import. The first
// that holds a package counts.
type border struct {
	folder string
	may    []string // folders, with all below them
	exact  []string // packages, without those below them
	kinds  bool     // the contracts too: drivers/card, never drivers/card/pcsc
	tests  []string // folders that tests may import besides
}

// borders are the four arrows: cmd over ui over device, and device over the
// contracts of drivers and offline.
var borders = []border{
	{folder: "cmd/bus", may: []string{"cmd/bus", "device"}, tests: []string{"drivers", "offline"}}, // never ships on a kiosk
	{folder: "cmd/kiosksim", may: []string{"cmd/kiosksim", "cmd/bus/agency", "device", "drivers", "offline", "ui"}, tests: []string{"cmd"}},
	{folder: "cmd/kiosk", may: []string{"cmd/kiosk", "device", "drivers", "offline", "ui"}, tests: []string{"cmd"}},
	{folder: "cmd", may: []string{"device", "drivers", "offline"}, tests: []string{"cmd"}},
	{folder: "ui", may: []string{"ui", "device"}},
	{folder: "device", may: []string{"device"}, exact: []string{"offline", "drivers/card/icao"}, kinds: true, tests: []string{"drivers", "offline"}},
	{folder: "drivers", may: []string{"drivers"}},
	{folder: "offline", may: []string{"offline"}},
	{folder: "build", may: []string{"build", "device"}},
}

// noContract are the packages below drivers that are no kind of device.
var noContract = []string{"drivers/all", "drivers/serial"}

// arrows: nothing of ours is imported against the direction of the arrows.
func arrows(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		i := slices.IndexFunc(borders, func(b border) bool { return within(s.Dir(), b.folder) })
		s.imports(func(spec *ast.ImportSpec, imported string) {
			theirs, ours := strings.CutPrefix(imported, module+"/")
			if ours && (i < 0 || !borders[i].lets(theirs, s.Test())) {
				found = append(found, s.at(spec, "%s may not import %s", s.Dir(), theirs))
			}
		})
	}
	return found
}

// lets reports whether a package may be imported from within the border.
func (b border) lets(imported string, test bool) bool {
	contract := b.kinds && within(imported, "drivers") && strings.Count(imported, "/") == 1 && !slices.Contains(noContract, imported)
	return contract || withinAny(imported, b.may) || slices.Contains(b.exact, imported) || test && withinAny(imported, b.tests)
}

// A home says which folders may import a library, and which tests besides.
type home struct {
	library string // with all packages below it, unless another home is nearer
	folders []string
	tests   []string // "" is every folder
}

// everywhere is a home for what only tests use.
var everywhere = []string{""}

// dwellings are the outside libraries. One that is not listed may not be
// imported: a new library needs a line here, and so a thought.
var dwellings = []home{
	{"fyne.io/fyne/v2", []string{"ui", "cmd/kiosk"}, []string{"build/rules"}},
	{"fyne.io/fyne/v2/app", []string{"cmd/kiosk"}, nil}, // brings OpenGL, and so a display
	{"fyne.io/fyne/v2/driver/desktop", []string{"ui/kit"}, []string{"ui"}},
	{"fyne.io/fyne/v2/theme", []string{"ui"}, []string{"build/rules"}},
	{"fyne.io/fyne/v2/widget", []string{"ui/kit"}, nil},

	{"github.com/ProtonMail/go-crypto", []string{"drivers/card/icao"}, nil}, // brainpool curves
	{"github.com/creack/pty", []string{"drivers/printer/paper"}, []string{"drivers/serial"}},
	{"github.com/ebfe/scard", []string{"drivers/card/pcsc"}, nil},
	{"github.com/miekg/pkcs11", []string{"drivers/signer/pkcs11"}, nil},
	{"github.com/google/go-tpm", []string{"drivers/keystore/tpm"}, nil},
	{"github.com/jfreymuth/pulse", []string{"drivers/sound/pulse"}, nil},
	{"periph.io/x/conn/v3", []string{"drivers/panel/gpio"}, nil},
	{"periph.io/x/host/v3", []string{"drivers/panel/gpio"}, nil},
	{"github.com/tarm/serial", []string{"drivers/serial"}, nil},

	{"github.com/go-fonts/dejavu", []string{"drivers/printer/document", "drivers/printer/dots"}, []string{"build/rules"}},
	{"golang.org/x/image", []string{"build/picture", "drivers/printer"}, []string{"build/rules", "ui"}},
	{"github.com/boombuler/barcode", []string{"drivers/printer/dots", "ui/kit"}, nil}, // one code on paper, one on the screen

	{"github.com/hanwen/go-fuse/v2", []string{"offline/queue/crashtest"}, []string{"drivers/panel/gpio"}}, // a disk that forgets; a chip that is not there
	{"github.com/signintech/gopdf", []string{"drivers/printer/document"}, nil},
	{"github.com/nats-io/nats-server/v2", []string{"cmd/bus/ledger/jetstream"}, nil},
	{"github.com/nats-io/nats.go", []string{"cmd/bus/ledger/jetstream"}, nil},

	{"go.etcd.io/bbolt", []string{"offline/queue"}, nil},
	{"net/http", []string{"offline/bus", "cmd/bus", "drivers/printer/document"}, []string{"cmd"}}, // the one line out, who answers it, and IPP

	{"github.com/prometheus/client_golang", []string{"cmd/bus/metrics"}, nil},
	{"github.com/prometheus/common", nil, []string{"cmd/bus"}}, // reads what was scraped
	{"go.opentelemetry.io/otel", []string{"cmd/bus/trace"}, nil},
	{"go.opentelemetry.io/proto/otlp", nil, []string{"cmd"}}, // a collector in a test
	{"google.golang.org/protobuf", nil, []string{"cmd"}},
	{"golang.org/x/crypto", []string{"cmd/bus/registry"}, nil}, // argon2id
	{"github.com/chromedp", nil, []string{"cmd/bus/console"}},  // a browser at the operator's page

	{"github.com/digitorus/timestamp", []string{"cmd/bus/msglog"}, nil}, // RFC 3161
	{"filippo.io/age", []string{"device/request", "device/provision", "device", "cmd/bus", "cmd/kioskctl", "cmd/kiosksim/fleet"}, []string{"offline/queue"}},
	{"github.com/fxamacker/cbor/v2", []string{"device/request"}, nil},
	{"github.com/go-jose/go-jose/v4", []string{"device/request"}, nil},
	{"github.com/gowebpki/jcs", []string{"device/request"}, nil},
	{"github.com/oklog/ulid/v2", []string{"device/request"}, nil},
	{"github.com/veraison/go-cose", []string{"device/request"}, nil},

	{"github.com/BurntSushi/toml", []string{"device/catalogue", "device/config", "device/text", "drivers/printer/escpos"}, nil},
	{"golang.org/x/text", []string{"device/text", "drivers/printer"}, []string{"device", "drivers"}},
	{"golang.org/x/sys", []string{"cmd/bus", "cmd/kioskctl", "device/keep", "drivers", "offline/queue"}, nil},
	{"github.com/alecthomas/kong", []string{"cmd"}, nil},
	{"github.com/jezek/xgb", []string{"cmd/kiosksim"}, nil}, // hands at the X server

	{"github.com/google/go-cmp", nil, everywhere},
	{"github.com/makiuchi-d/gozxing", []string{"cmd/kioskctl"}, everywhere}, // reads scans of certificates
	{"github.com/rogpeppe/go-internal", nil, everywhere},
	{"github.com/santhosh-tekuri/jsonschema/v6", nil, everywhere},
	{"go.uber.org/goleak", []string{"drivers/card/cardtest"}, everywhere},
	{"pgregory.net/rapid", []string{"cmd/bus/ledger/ledgertest"}, everywhere}, // a suite for whoever makes a ledger
}

// homes: no outside library is imported outside its home, and no home is empty.
func homes(t *Tree) []Finding {
	var found []Finding
	used := map[string]bool{}
	for _, s := range t.Sources {
		s.imports(func(spec *ast.ImportSpec, imported string) {
			h, listed := homeOf(imported)
			first, _, _ := strings.Cut(imported, "/")
			switch {
			case listed:
				used[h.library] = true
				if !h.open(s) {
					found = append(found, s.at(spec, "%s is at home in %v, not in %s", h.library, h.folders, s.Dir()))
				}
			case strings.Contains(first, "."):
				found = append(found, s.at(spec, "%s has no home: add it to the table, or do without", imported))
			case imported == "C":
				found = append(found, s.at(spec, "C of our own has no home"))
			}
			if spec.Name != nil && spec.Name.Name == "_" && imported != "embed" && !s.Test() {
				found = append(found, s.at(spec, "%s is imported for what it does unasked", imported))
			}
		})
	}
	for _, h := range dwellings {
		if !used[h.library] {
			found = append(found, Finding{"build/rules/imports.go", h.library + " is imported nowhere: take it off the table"})
		}
	}
	return found
}

// homeOf returns the home nearest to an import.
func homeOf(imported string) (nearest home, listed bool) {
	for _, h := range dwellings {
		if within(imported, h.library) && len(h.library) > len(nearest.library) {
			nearest, listed = h, true
		}
	}
	return nearest, listed
}

// open reports whether a file may import the library.
func (h home) open(s *Source) bool {
	if withinAny(s.Dir(), h.folders) {
		return true
	}
	return s.Test() && (slices.Contains(h.tests, "") || withinAny(s.Dir(), h.tests))
}
