package registry

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"kosk/device/keep"
)

// Errors of the directory. Compare with errors.Is.
var (
	// ErrIdentifier says that an X-Road identifier can't be used at all.
	ErrIdentifier = errors.New("identifier is empty or holds one of : ; / \\ % or a control character")
	// ErrNoSuch says that the directory has no such member, service or right.
	ErrNoSuch = errors.New("no such entry")
	// ErrDirectory says that the directory's file can't be used.
	ErrDirectory = errors.New("bad directory")
)

// Intake is the service that kiosks use, without its instance and member.
const Intake = "intake"

// The rules of the directory are:
//
//   - It is one JSON file, directory.json, replaced as a whole: a serving bus
//     takes the new one at the next message, and keeps the last good one when the
//     file is damaged.
//   - No identifier names the instance: that is the server's.
//   - What no right allows is denied.

// A Directory is the X-Road configuration: who there is, what they offer, who
// may call it.
type Directory struct {
	Members  []Member  `json:"members"`
	Services []Service `json:"services"`
	Rights   []Right   `json:"rights"`
}

// A Member is an organisation and its subsystems.
type Member struct {
	Class      string   `json:"class"` // "GOV"
	Code       string   `json:"code"`
	Name       string   `json:"name"`
	Subsystems []string `json:"subsystems"`
}

// A Service belongs to a subsystem.
type Service struct {
	Provider  string     `json:"provider"` // "GOV/10001/kiosk"
	Code      string     `json:"code"`
	Version   string     `json:"version"`            // of its description; its paths begin with the major one
	Type      string     `json:"type"`               // "OPENAPI" or "REST"
	Disabled  string     `json:"disabled,omitempty"` // why it can't be called; empty when it can
	Names     []string   `json:"names,omitempty"`    // what citizens know it as
	Endpoints []Endpoint `json:"endpoints"`
}

// An Endpoint is a method and a path, in which * stands for one part and ** for
// any number.
type Endpoint struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

// A Right lets a client call an endpoint of a service.
type Right struct {
	Client  string `json:"client"`  // "GOV/10001/KIOSK-001", or "GOV/10001/*" for all of a member
	Service string `json:"service"` // "GOV/10001/kiosk/intake"
	Method  string `json:"method"`  // "*" for all
	Path    string `json:"path"`    // "/**" for all
}

const directoryFile = "directory.json"

// identifier is what we mint; X-Road itself allows more. PR-MESS, 2.7.
var (
	minted    = regexp.MustCompile(`^[A-Za-z0-9'()+,.=?-]+$`)
	forbidden = regexp.MustCompile(`[:;/\\%\x00-\x1F\x7F]`)
)

// CheckIdentifier says whether a part of an X-Road identifier can be used, and
// warns when it holds a character that some security servers stumble over.
func CheckIdentifier(part string) (warning string, err error) {
	switch {
	case part == "" || part == "." || part == ".." || forbidden.MatchString(part):
		return "", fmt.Errorf("%q: %w", part, ErrIdentifier)
	case !minted.MatchString(part):
		return fmt.Sprintf("%q: only A-Z a-z 0-9 ' ( ) + , - . = ? are safe everywhere", part), nil
	}
	return "", nil
}

// Check says what is wrong with a directory, and what may become so.
func (d *Directory) Check() (warnings []string, err error) {
	check := func(parts ...string) {
		for _, p := range parts {
			w, e := CheckIdentifier(p)
			if w != "" {
				warnings = append(warnings, w)
			}
			err = errors.Join(err, e)
		}
	}
	for _, m := range d.Members {
		check(m.Class, m.Code)
		check(m.Subsystems...)
	}
	for _, s := range d.Services {
		check(s.Code)
		if !d.HasSubsystem(s.Provider) {
			err = errors.Join(err, fmt.Errorf("service %s: no subsystem %s", s.Code, s.Provider))
		}
	}
	for _, r := range d.Rights {
		if d.Find(r.Service) == nil || r.Client == "" || r.Method == "" || !strings.HasPrefix(r.Path, "/") {
			err = errors.Join(err, fmt.Errorf("right of %s to %s %s %s leads nowhere", r.Client, r.Service, r.Method, r.Path))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	return warnings, nil
}

// HasSubsystem says whether "CLASS/CODE/SUBSYSTEM" is there.
func (d *Directory) HasSubsystem(id string) bool {
	return slices.ContainsFunc(d.Members, func(m Member) bool {
		sub, ok := strings.CutPrefix(id, m.Class+"/"+m.Code+"/")
		return ok && slices.Contains(m.Subsystems, sub)
	})
}

// Find returns the service "CLASS/CODE/SUBSYSTEM/SERVICE", or nil.
func (d *Directory) Find(id string) *Service {
	for i := range d.Services {
		if d.Services[i].Provider+"/"+d.Services[i].Code == id {
			return &d.Services[i]
		}
	}
	return nil
}

// Allows says whether a client may call a path of a service.
func (d *Directory) Allows(client, service, method, path string) bool {
	return slices.ContainsFunc(d.Rights, func(r Right) bool {
		return r.of(client) && r.Service == service && (r.Method == "*" || r.Method == method) && pathFits(r.Path, path)
	})
}

// Allowed are the endpoints of a service that a client has any right to.
func (d *Directory) Allowed(client string, s Service) []Endpoint {
	allowed := []Endpoint{}
	for _, e := range s.Endpoints {
		if d.Allows(client, s.Provider+"/"+s.Code, e.Method, e.Path) {
			allowed = append(allowed, e)
		}
	}
	return allowed
}

func (r Right) of(client string) bool {
	if whole, ok := strings.CutSuffix(r.Client, "/*"); ok {
		sub, below := strings.CutPrefix(client, whole+"/")
		return below && !strings.Contains(sub, "/")
	}
	return r.Client == client
}

// pathFits matches part by part.
func pathFits(pattern, path string) bool {
	return partsFit(strings.Split(pattern, "/"), strings.Split(path, "/"))
}

func partsFit(pattern, path []string) bool {
	for i, p := range pattern {
		if p == "**" {
			for j := i; j <= len(path); j++ {
				if partsFit(pattern[i+1:], path[j:]) {
					return true
				}
			}
			return false
		}
		if i >= len(path) || p != "*" && p != path[i] {
			return false
		}
	}
	return len(pattern) == len(path)
}

// Directory returns the directory as it stands now. With an error the last good
// one comes along, when there was one.
func (r *Registry) Directory() (*Directory, error) {
	d, err := r.directory.now(filepath.Join(r.dir, directoryFile), readDirectory)
	if err != nil {
		return d, fmt.Errorf("read directory: %w", err)
	}
	return d, nil
}

func readDirectory(path string) (*Directory, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseDirectory(b)
}

func parseDirectory(b []byte) (*Directory, error) {
	var d Directory
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	_, err := d.Check()
	return &d, err
}

// EnsureDirectory makes the directory from the facts when there is none, and
// brings the intake in one that is there up to this program. member is the code of
// the bus's own member, subsystem that of the intake.
func (r *Registry) EnsureDirectory(member, subsystem string, intake []Endpoint, version string) error {
	err := r.locked(func() error {
		path := filepath.Join(r.dir, directoryFile)
		fresh, err := Default(member, subsystem, intake, version)
		if err != nil {
			return err
		}
		d, err := readDirectory(path)
		if errors.Is(err, fs.ErrNotExist) {
			return writeDirectory(path, fresh)
		}
		if err != nil || !d.update(fresh) {
			return err
		}
		return writeDirectory(path, d)
	})
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// update takes the intake over from a fresh directory and says whether that
// changed anything. Rights are the operator's: they come along only with a member
// that wasn't there.
func (d *Directory) update(fresh *Directory) bool {
	own, intake := fresh.Members[0], fresh.Services[0]
	if s := d.Find(intake.Provider + "/" + intake.Code); s != nil {
		if s.Version == intake.Version && slices.Equal(s.Endpoints, intake.Endpoints) {
			return false
		}
		s.Version, s.Endpoints = intake.Version, intake.Endpoints
		return true
	}
	d.Services = append(d.Services, intake)
	d.Rights = append(d.Rights, fresh.Rights[0])
	if !d.HasSubsystem(intake.Provider) {
		d.Members = append(d.Members, own)
	}
	return true
}

func writeDirectory(path string, d *Directory) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return keep.File(path, append(b, '\n'))
}

// Change applies do to the directory and replaces the file when the result is
// sound. It returns what Check warns of.
func (r *Registry) Change(do func(*Directory) error) (warnings []string, err error) {
	err = r.locked(func() error {
		path := filepath.Join(r.dir, directoryFile)
		d, err := readDirectory(path)
		if err != nil {
			return err
		}
		if err := do(d); err != nil {
			return err
		}
		if warnings, err = d.Check(); err != nil {
			return err
		}
		return writeDirectory(path, d)
	})
	if err != nil {
		return nil, fmt.Errorf("change directory: %w", err)
	}
	return warnings, nil
}

// facts are the agencies and services of the catalogue of facts, with their
// codes in letters that are safe everywhere.
//
//go:embed facts.json
var facts []byte

// Facts are what the default directory is made of.
type Facts struct {
	Agencies []struct{ ID, Name string }
	Services []struct {
		ID, Agency, Name string
		Codes            []string // X-Road service codes that it uses
	}
}

// ReadFacts returns the facts that the program carries.
func ReadFacts() (Facts, error) {
	var f Facts
	if err := json.Unmarshal(facts, &f); err != nil {
		return Facts{}, fmt.Errorf("read facts: %w", err)
	}
	return f, nil
}

// Names gives the names of an agency and a service; an id without one is its own.
func (f Facts) Names(agency, service string) (agencyName, serviceName string) {
	agencyName, serviceName = agency, service
	for _, a := range f.Agencies {
		if a.ID == agency {
			agencyName = a.Name
		}
	}
	for _, s := range f.Services {
		if s.ID == service {
			serviceName = s.Name
		}
	}
	return agencyName, serviceName
}

// AgencyOf is the agency of a service, or "".
func (f Facts) AgencyOf(service string) string {
	for _, s := range f.Services {
		if s.ID == service {
			return s.Agency
		}
	}
	return ""
}

// agencySubsystem is where an agency's services are.
const agencySubsystem = "services"

// behindIntake is why the agencies' own services can't be called directly.
const behindIntake = "answered behind the intake only"

// Default is the directory of a new bus: its own member with the intake, open
// to all its stations, and a member for each agency with the services that the
// facts name.
func Default(member, subsystem string, intake []Endpoint, version string) (*Directory, error) {
	f, err := ReadFacts()
	if err != nil {
		return nil, err
	}
	own := "GOV/" + member
	d := &Directory{
		Members: []Member{{Class: "GOV", Code: member, Name: "Reference bus", Subsystems: []string{subsystem}}},
		Services: []Service{{
			Provider: own + "/" + subsystem, Code: Intake, Version: version, Type: "OPENAPI", Endpoints: intake,
		}},
		Rights: []Right{{Client: own + "/*", Service: own + "/" + subsystem + "/" + Intake, Method: "*", Path: "/**"}},
	}
	for _, a := range f.Agencies {
		d.Members = append(d.Members, Member{Class: "GOV", Code: a.ID, Name: a.Name, Subsystems: []string{agencySubsystem}})
	}
	for _, s := range f.Services {
		for _, code := range s.Codes {
			d.offer("GOV/"+s.Agency+"/"+agencySubsystem, code, s.Name)
		}
	}
	_, err = d.Check()
	return d, err
}

// offer adds a service, or a name to one that is there.
func (d *Directory) offer(provider, code, name string) {
	if s := d.Find(provider + "/" + code); s != nil {
		s.Names = append(s.Names, name)
		return
	}
	d.Services = append(d.Services, Service{
		Provider: provider, Code: code, Version: "1.0.0", Type: "REST", Disabled: behindIntake, Names: []string{name},
		Endpoints: []Endpoint{{Method: "POST", Path: "/v1"}},
	})
}
