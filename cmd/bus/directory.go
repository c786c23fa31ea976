package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"kosk/cmd/bus/registry"
)

// change opens the directory of members, changes it, and prints warnings.
func (f folder) change(do func(*registry.Directory) error) error {
	reg, err := registry.OpenExisting(f.Dir)
	if err != nil {
		return err
	}
	warnings, err := reg.Change(do)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if _, err := fmt.Fprintln(os.Stderr, "warning:", w); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) directory() (*registry.Directory, error) {
	reg, err := registry.OpenExisting(f.Dir)
	if err != nil {
		return nil, err
	}
	return reg.Directory()
}

// splitID takes "CLASS/CODE/SUBSYSTEM" or a longer identifier apart.
func splitID(id string, parts int) ([]string, error) {
	p := strings.Split(id, "/")
	if len(p) != parts {
		return nil, fmt.Errorf("%s: %d parts are wanted, as in %s", id, parts, strings.Join([]string{"GOV", "10001", "kiosk", "intake"}[:parts], "/"))
	}
	return p, nil
}

type memberCommand struct {
	Add memberAdd `cmd:"" help:"Add a member, or a subsystem to one."`
	Rm  memberRm  `cmd:"" help:"Remove a subsystem with its services and rights, or a member without subsystems."`
	Ls  memberLs  `cmd:"" help:"List members and subsystems."`
}

type memberAdd struct {
	folder
	ID   string `arg:"" help:"CLASS/CODE or CLASS/CODE/SUBSYSTEM."`
	Name string `help:"Name of a new member."`
}

// Run changes the directory.
func (c memberAdd) Run() error {
	p := strings.Split(c.ID, "/")
	if len(p) != 2 && len(p) != 3 {
		return fmt.Errorf("%s: CLASS/CODE or CLASS/CODE/SUBSYSTEM is wanted", c.ID)
	}
	return c.change(func(d *registry.Directory) error {
		i := slices.IndexFunc(d.Members, func(m registry.Member) bool { return m.Class == p[0] && m.Code == p[1] })
		if i < 0 {
			d.Members = append(d.Members, registry.Member{Class: p[0], Code: p[1], Name: c.Name, Subsystems: []string{}})
			i = len(d.Members) - 1
		}
		if len(p) == 3 && !slices.Contains(d.Members[i].Subsystems, p[2]) {
			d.Members[i].Subsystems = append(d.Members[i].Subsystems, p[2])
		}
		return nil
	})
}

type memberRm struct {
	folder
	ID string `arg:"" help:"CLASS/CODE or CLASS/CODE/SUBSYSTEM."`
}

// Run changes the directory.
func (c memberRm) Run() error {
	return c.change(func(d *registry.Directory) error {
		for i := range d.Members {
			m := &d.Members[i]
			own := m.Class + "/" + m.Code
			if own == c.ID {
				if len(m.Subsystems) > 0 {
					return errors.New("it still has subsystems")
				}
				d.Members = slices.Delete(d.Members, i, i+1)
				return nil
			}
			sub, ok := strings.CutPrefix(c.ID, own+"/")
			if j := slices.Index(m.Subsystems, sub); ok && j >= 0 {
				if d.Find(c.ID+"/"+registry.Intake) != nil {
					return fmt.Errorf("%s: all kiosks call its intake: to stop that for a while, bus service disable %[1]s/%s", c.ID, registry.Intake)
				}
				m.Subsystems = slices.Delete(m.Subsystems, j, j+1)
				d.Services = slices.DeleteFunc(d.Services, func(s registry.Service) bool { return s.Provider == c.ID })
				d.Rights = slices.DeleteFunc(d.Rights, func(r registry.Right) bool { return strings.HasPrefix(r.Service, c.ID+"/") })
				return nil
			}
		}
		return fmt.Errorf("%s: %w: see bus member ls", c.ID, registry.ErrNoSuch)
	})
}

type memberLs struct{ folder }

// Run prints a line for each member and subsystem.
func (c memberLs) Run(out io.Writer) error {
	d, err := c.directory()
	if err != nil {
		return err
	}
	for _, m := range d.Members {
		if _, err := fmt.Fprintf(out, "%s/%s\t%s\t%s\n", m.Class, m.Code, strings.Join(m.Subsystems, " "), m.Name); err != nil {
			return err
		}
	}
	return nil
}

type serviceCommand struct {
	Disable serviceDisable `cmd:"" help:"Disable a service: callers get service_disabled."`
	Enable  serviceEnable  `cmd:"" help:"Enable a service."`
	Ls      serviceLs      `cmd:"" help:"List services with versions."`
}

func setDisabled(d *registry.Directory, id, why string) error {
	s := d.Find(id)
	if s == nil {
		return fmt.Errorf("%s: %w: see bus service ls", id, registry.ErrNoSuch)
	}
	s.Disabled = why
	return nil
}

type serviceDisable struct {
	folder
	ID  string `arg:"" help:"CLASS/CODE/SUBSYSTEM/SERVICE."`
	Why string `default:"by the operator" help:"What callers are told."`
}

// Run changes the directory.
func (c serviceDisable) Run() error {
	return c.change(func(d *registry.Directory) error { return setDisabled(d, c.ID, c.Why) })
}

type serviceEnable struct {
	folder
	ID string `arg:"" help:"CLASS/CODE/SUBSYSTEM/SERVICE."`
}

// Run changes the directory.
func (c serviceEnable) Run() error {
	return c.change(func(d *registry.Directory) error { return setDisabled(d, c.ID, "") })
}

type serviceLs struct{ folder }

// Run prints a line for each service.
func (c serviceLs) Run(out io.Writer) error {
	d, err := c.directory()
	if err != nil {
		return err
	}
	for _, s := range d.Services {
		state := "enabled"
		if s.Disabled != "" {
			state = "disabled: " + s.Disabled
		}
		if _, err := fmt.Fprintf(out, "%s/%s\t%s\t%s\t%s\n", s.Provider, s.Code, s.Version, s.Type, state); err != nil {
			return err
		}
	}
	return nil
}

type rightCommand struct {
	Add rightAdd `cmd:"" help:"Let a client call an endpoint of a service."`
	Rm  rightRm  `cmd:"" help:"Take a right back."`
	Ls  rightLs  `cmd:"" help:"List rights."`
}

// A grant names a right on the command line.
type grant struct {
	folder
	Client  string `arg:"" help:"CLASS/CODE/SUBSYSTEM, or CLASS/CODE/* for all of a member."`
	Service string `arg:"" help:"CLASS/CODE/SUBSYSTEM/SERVICE."`
	Method  string `arg:"" default:"*" help:"HTTP method; * for all."`
	Path    string `arg:"" default:"/**" help:"Path after the service; * is one part, ** any number."`
}

func (g grant) right() (registry.Right, error) {
	_, errC := splitID(g.Client, 3)
	_, errS := splitID(g.Service, 4)
	return registry.Right{Client: g.Client, Service: g.Service, Method: g.Method, Path: g.Path}, errors.Join(errC, errS)
}

type rightAdd struct{ grant }

// Run changes the directory.
func (c rightAdd) Run() error {
	r, err := c.right()
	if err != nil {
		return err
	}
	return c.change(func(d *registry.Directory) error {
		if !slices.Contains(d.Rights, r) {
			d.Rights = append(d.Rights, r)
		}
		return nil
	})
}

type rightRm struct{ grant }

// Run changes the directory.
func (c rightRm) Run() error {
	r, err := c.right()
	if err != nil {
		return err
	}
	return c.change(func(d *registry.Directory) error {
		i := slices.Index(d.Rights, r)
		if i < 0 {
			return fmt.Errorf("%s, %s, %s, %s: %w: see bus right ls", r.Client, r.Service, r.Method, r.Path, registry.ErrNoSuch)
		}
		d.Rights = slices.Delete(d.Rights, i, i+1)
		return nil
	})
}

type rightLs struct{ folder }

// Run prints a line for each right.
func (c rightLs) Run(out io.Writer) error {
	d, err := c.directory()
	if err != nil {
		return err
	}
	for _, r := range d.Rights {
		if _, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", r.Client, r.Service, r.Method, r.Path); err != nil {
			return err
		}
	}
	return nil
}
