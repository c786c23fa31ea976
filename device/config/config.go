// Package config is the kiosk's one configuration file: TOML, read once at
// start and never changed after. Every key has a default; an unknown key is an
// error that names file, line and key.
//
// build/config/kiosk.toml explains every key. Keys and certificates are not
// here: device/provision keeps them.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kosk/drivers/panel"

	"github.com/BurntSushi/toml"
)

// A Config is the whole file.
type Config struct {
	Office   Office
	Panel    Panel
	Card     Card
	Printer  Printer
	Document Document
	Lamps    Lamps
	Speech   Speech
	Sound    Sound
	Queue    Queue
	State    State
	Log      Log
}

// An Office is the centre where the kiosk stands, as slips name it.
type Office struct{ Az, Ru, En string }

// A Panel is the screen.
type Panel struct {
	WidthMM    float64 `toml:"width_mm"` // of the lit area
	FullScreen bool    `toml:"full_screen"`
	Width      int     // pixels, when not full screen
	Height     int
}

// A Card is the chip card reader.
type Card struct {
	Make     string // "pcsc"
	Reader   string // beginning of the reader's name; "": the first
	Bundle   string // file of trust anchors
	TrustKey string `toml:"trust_key"` // file of the key that signs them; "": none, development only
	Signer   string // "pkcs11": the card's own keys; or "none"
	Module   string // path of its PKCS#11 module; "": OpenSC's
}

// A Printer is the receipt printer.
type Printer struct {
	Make    string // "escpos" or "none"
	Path    string // of the serial line
	Baud    int
	Profile string
}

// A Document is the printer of certificates as pages, A4.
type Document struct {
	Make    string // "ipp", "raw" or "none"
	Address string // ipp://host[:631]/path, or socket://host[:9100]
}

// Lamps are those beside the slots. A line is its name or, with a Chip, its number;
// "": that lamp is not wired.
type Lamps struct {
	Make            string // "gpio"; "desk": a file stands in for them; or "none"
	Chip            string // name, label or path; "": the first that has a line of that name
	CardReader      string `toml:"card_reader"`
	ReceiptPrinter  string `toml:"receipt_printer"`
	DocumentPrinter string `toml:"document_printer"`
	ActiveLow       bool   `toml:"active_low"` // a line is low while its lamp is lit
	File            string // of "desk", JSON lines
}

// Lines are the line of each lamp; "": not wired.
func (l Lamps) Lines() map[panel.Lamp]string {
	return map[panel.Lamp]string{
		panel.CardReader: l.CardReader, panel.ReceiptPrinter: l.ReceiptPrinter, panel.DocumentPrinter: l.DocumentPrinter,
	}
}

// Speech is the synthesiser.
type Speech struct {
	Make string // "espeak" or "mute"
	Path string // of its program, or its name in PATH
}

// Sound is the way to the ear.
type Sound struct {
	Make   string // "pulse"; with a development bundle "file" or "auto": PulseAudio where it is, else a file
	Server string // PulseAudio's; "": its own default
	File   string // WAV
	Log    string // speech log, JSON lines; "": none

	// InviteMinutes is how often the idle kiosk says that it can be used without
	// sight; 0: never.
	InviteMinutes int `toml:"invite_minutes"`
}

// A Queue is the durable outbox.
type Queue struct {
	MaxMB int `toml:"max_mb"`
}

// State is where the kiosk keeps what it must not lose.
type State struct {
	Dir      string
	Keys     string // what guards the keys on the disk: "tpm" or "file"
	KeysPath string `toml:"keys_path"` // "": the TPM's usual device, or a file in Dir
}

// Socket is where the running kiosk answers a technician.
func (s State) Socket() string { return filepath.Join(s.Dir, "kiosk.sock") }

// Queue is the outbox's file.
func (s State) Queue() string { return filepath.Join(s.Dir, "queue.db") }

// KeyStore is the path of what guards the keys.
func (s State) KeyStore() string {
	switch {
	case s.KeysPath != "":
		return s.KeysPath
	case s.Keys == "tpm":
		return "/dev/tpmrm0"
	}
	return filepath.Join(s.Dir, "queue.key")
}

// A Log is what the kiosk writes of itself.
type Log struct {
	File  string // JSON lines; "": standard error
	Trace string // where nodes lie on each painted frame, JSON lines; "": none
}

// Default is what holds for every key that the file doesn't set.
func Default() Config {
	return Config{
		Office:   Office{Az: "ASAN xidmət mərkəzi", Ru: "Центр «ASAN xidmət»", En: "ASAN service centre"},
		Panel:    Panel{WidthMM: 268, FullScreen: true, Width: 1080, Height: 1920},
		Card:     Card{Make: "pcsc", Bundle: "trust.json", Signer: "pkcs11"},
		Printer:  Printer{Make: "escpos", Path: "/dev/ttyS0", Baud: 115200, Profile: "epson-tm-t20ii"},
		Document: Document{Make: "none"},
		Lamps:    Lamps{Make: "none", File: "lamps.jsonl"},
		Speech:   Speech{Make: "espeak", Path: "espeak-ng"},
		Sound:    Sound{Make: "pulse", File: "speech.wav", InviteMinutes: 15},
		Queue:    Queue{MaxMB: 256},
		State:    State{Dir: "/var/lib/kosk", Keys: "file"},
	}
}

// ErrInvalid says that the file has a key that is unknown or a value that can't
// be. The message names file, line and key.
var ErrInvalid = errors.New("invalid configuration")

// Load reads the file over the defaults and checks it. Relative paths are
// relative to the state folder.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c := Default()
	meta, err := toml.Decode(string(b), &c)
	if err != nil {
		var p toml.ParseError
		if errors.As(err, &p) {
			return Config{}, fmt.Errorf("%w: %s:%d: %s: %s", ErrInvalid, path, p.Position.Line, p.LastKey, p.Message)
		}
		return Config{}, fmt.Errorf("%w: %s: %w", ErrInvalid, path, err)
	}
	if left := meta.Undecoded(); len(left) > 0 {
		return Config{}, fmt.Errorf("%w: %s:%d: unknown key %s", ErrInvalid, path, lineOf(b, left[0]), left[0])
	}
	if key, why := c.wrong(); key != "" {
		return Config{}, fmt.Errorf("%w: %s:%d: %s: %s", ErrInvalid, path, lineOf(b, strings.Split(key, ".")), key, why)
	}
	for _, p := range []*string{&c.Card.Bundle, &c.Card.TrustKey, &c.Lamps.File, &c.Sound.File, &c.Sound.Log, &c.State.KeysPath, &c.Log.File, &c.Log.Trace} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(c.State.Dir, *p)
		}
	}
	return c, nil
}

// wrong names the first key whose value can't be, and why.
func (c *Config) wrong() (key, why string) {
	one := func(v string, of ...string) bool { return slices.Contains(of, v) }
	switch {
	case c.Panel.WidthMM < 230 || c.Panel.WidthMM > 2000:
		return "panel.width_mm", "a panel is 230 to 2000 mm wide: narrower ones can't hold the largest text"
	case !c.Panel.FullScreen && (c.Panel.Width < 320 || c.Panel.Height < 320):
		return "panel.width", "a window has at least 320 by 320 pixels"
	case !one(c.Card.Make, "pcsc"):
		return "card.make", `must be "pcsc"`
	case !one(c.Card.Signer, "pkcs11", "none"):
		return "card.signer", `must be "pkcs11" or "none"`
	case !one(c.Printer.Make, "escpos", "none"):
		return "printer.make", `must be "escpos" or "none"`
	case c.Printer.Baud < 1200 || c.Printer.Baud > 921600:
		return "printer.baud", "must be 1200 to 921600"
	case !one(c.Document.Make, "ipp", "raw", "none"):
		return "document.make", `must be "ipp", "raw" or "none"`
	case c.Document.Make != "none" && c.Document.Address == "":
		return "document.address", "must be set"
	case !one(c.Lamps.Make, "gpio", "desk", "none"):
		return "lamps.make", `must be "gpio", "desk" or "none"`
	case c.Lamps.twice():
		return "lamps.make", "two lamps are at the same line"
	case c.Lamps.Make == "gpio" && c.Lamps.Chip == "" && c.Lamps.numbered():
		return "lamps.chip", "must be set where a line is a number"
	case c.Lamps.Make == "desk" && c.Lamps.File == "":
		return "lamps.file", "must be set"
	case !one(c.Speech.Make, "espeak", "mute"):
		return "speech.make", `must be "espeak" or "mute"`
	case !one(c.Sound.Make, "pulse", "file", "auto"):
		return "sound.make", `must be "pulse", "file" or "auto"`
	case c.Sound.InviteMinutes < 0:
		return "sound.invite_minutes", "must be 0 (never) or more"
	case c.Queue.MaxMB < 8:
		return "queue.max_mb", "must be 8 or more"
	case c.State.Dir == "":
		return "state.dir", "must be set"
	case !one(c.State.Keys, "tpm", "file"):
		return "state.keys", `must be "tpm" or "file"`
	}
	return "", ""
}

func (l *Lamps) lines() []string {
	all := []string{l.CardReader, l.ReceiptPrinter, l.DocumentPrinter}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// twice reports whether two lamps are at one line.
func (l *Lamps) twice() bool {
	all := slices.Sorted(slices.Values(l.lines()))
	return len(slices.Compact(slices.Clone(all))) < len(all)
}

// numbered reports whether a line is a number, which means nothing without a chip.
func (l *Lamps) numbered() bool {
	return slices.ContainsFunc(l.lines(), func(s string) bool { return strings.Trim(s, "0123456789") == "" })
}

// lineOf finds the line on which a key is set, 0 when it isn't.
func lineOf(doc []byte, key []string) int {
	table := ""
	want := strings.Join(key[:len(key)-1], ".")
	for i, line := range bytes.Split(doc, []byte("\n")) {
		s := strings.TrimSpace(string(line))
		if strings.HasPrefix(s, "[") {
			table = strings.Trim(s, "[] ")
			if table == strings.Join(key, ".") {
				return i + 1
			}
			continue
		}
		name, _, found := strings.Cut(s, "=")
		if found && table == want && strings.Trim(strings.TrimSpace(name), `"'`) == key[len(key)-1] {
			return i + 1
		}
	}
	return 0
}
