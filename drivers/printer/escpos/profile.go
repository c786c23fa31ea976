package escpos

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/BurntSushi/toml"
	"golang.org/x/text/encoding/charmap"

	"kosk/drivers/serial"
)

// A Profile is what a model of printer can do. profiles.toml explains each field.
type Profile struct {
	Name        string `toml:"-"`
	Title       string
	Dots        int
	Columns     int
	Baud        int
	Flow        serial.Flow
	MMPerSecond int `toml:"mm_per_second"`
	Pages       []Page
	Glyphs      bool
	QR          bool
	Cut         string
	Confirm     string
	Macros      bool
	Clear       string
	Status      []string
	AutoStatus  []byte `toml:"auto_status"`
	NearEndMM   int    `toml:"near_end_mm"`
	Reset       []byte
	Recover     []byte
	Setup       []byte
	Present     []byte
	Retract     []byte
	Media       string
}

// custom reports whether the model says how it is in Custom's way.
func (p *Profile) custom() bool { return len(p.Status) == 1 && p.Status[0] == "custom" }

// pieces reports whether the model gets a slip piece by piece: one that can't be
// told to forget shall hold little; one that says by a wire that its buffer is
// full can't be asked anything then; and without macros only answers in between
// show that it had power all the while.
func (p *Profile) pieces() bool {
	return p.Clear == "drain" || p.Flow == serial.RtsCts || !p.Macros
}

// presents reports whether the model holds slips out and takes them back.
func (p *Profile) presents() bool { return p.Media != "" }

// A Page is a code page of a printer.
type Page struct {
	Name string // IANA name
	N    byte   // of ESC t n
	set  *charmap.Charmap
}

var charmaps = map[string]*charmap.Charmap{
	"windows-1251": charmap.Windows1251,
	"windows-1252": charmap.Windows1252,
	"windows-1254": charmap.Windows1254,
	"ibm866":       charmap.CodePage866,
}

//go:embed profiles.toml
var profilesTOML string

// ErrProfile is a printer model that isn't known.
var ErrProfile = errors.New("unknown printer profile")

// Profiles lists the models known, by name.
func Profiles() (map[string]Profile, error) { return loadProfiles(profilesTOML) }

func loadProfiles(data string) (map[string]Profile, error) {
	var all map[string]Profile
	meta, err := toml.Decode(data, &all)
	if err != nil {
		return nil, fmt.Errorf("profiles.toml: %w", err)
	}
	if strange := meta.Undecoded(); len(strange) > 0 {
		return nil, fmt.Errorf("profiles.toml: unknown key %v", strange[0])
	}
	for name, p := range all {
		p.Name = name
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("profiles.toml: %s: %w", name, err)
		}
		all[name] = p
	}
	return all, nil
}

// ProfileNamed returns one model, or ErrProfile.
func ProfileNamed(name string) (Profile, error) {
	all, err := Profiles()
	if err != nil {
		return Profile{}, err
	}
	p, ok := all[name]
	if !ok {
		return Profile{}, fmt.Errorf("%w: %q", ErrProfile, name)
	}
	return p, nil
}

func (p *Profile) check() error {
	for i := range p.Pages {
		set, ok := charmaps[p.Pages[i].Name]
		if !ok {
			return fmt.Errorf("code page %q: unknown", p.Pages[i].Name)
		}
		p.Pages[i].set = set
	}
	switch {
	case p.Dots <= 0 || p.Dots%8 != 0 || p.Columns <= 0 || p.Columns*12 > p.Dots:
		return fmt.Errorf("%d columns on %d dots", p.Columns, p.Dots)
	case p.Baud <= 0 || p.MMPerSecond <= 0 || len(p.Pages) == 0:
		return errors.New("no speed or no code page")
	case !slices.Contains([]string{"partial", "full", ""}, p.Cut):
		return fmt.Errorf("cut %q: unknown", p.Cut)
	case !slices.Contains([]string{"process-id", "gs-r"}, p.Confirm):
		return fmt.Errorf("confirm %q: unknown", p.Confirm)
	case !slices.Contains([]string{"dle-dc4", "reset", "drain"}, p.Clear):
		return fmt.Errorf("clear %q: unknown", p.Clear)
	case (p.Clear == "reset") != (len(p.Reset) > 0):
		return fmt.Errorf("clear %q with a reset of %d bytes", p.Clear, len(p.Reset))
	case !slices.Contains([]string{"", "custom", "eot-4"}, p.Media):
		return fmt.Errorf("media %q: unknown", p.Media)
	case p.presents() != (len(p.Retract) > 0) || !p.presents() && len(p.Present) > 0:
		return fmt.Errorf("media %q with a retract of %d bytes", p.Media, len(p.Retract))
	case p.presents() && (p.Media == "custom") != p.custom():
		return fmt.Errorf("media %q is not in its status", p.Media)
	case p.NearEndMM < 0:
		return fmt.Errorf("near end at %d mm", p.NearEndMM)
	case !slices.Contains([]serial.Flow{serial.NoFlow, serial.XonXoff, serial.RtsCts}, p.Flow):
		return fmt.Errorf("flow control %q: unknown", p.Flow)
	case p.Flow == serial.XonXoff && slices.Contains(p.Status, "custom"):
		return errors.New("xon/xoff would eat bytes of this status")
	case len(p.Status) == 0:
		return errors.New("no status")
	}
	for _, s := range p.Status {
		if !slices.Contains([]string{"1", "2", "3", "4", "custom"}, s) {
			return fmt.Errorf("status %q: unknown", s)
		}
	}
	return nil
}
