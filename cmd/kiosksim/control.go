package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/kiosksim/rig"
	"kosk/drivers/card/vcard"
	"kosk/drivers/printer"
)

// An order is what a command asks of the running simulator.
type order struct {
	Do      string `json:"do"`
	Profile string `json:"profile,omitempty"`
	FIN     string `json:"fin,omitempty"`
	quirks
}

// quirks change the card of a profile.
type quirks struct {
	PulledAfter    int           `json:"pulled_after,omitempty" help:"Pull the card out after so many commands."`
	RandomAfter    int           `json:"random_after,omitempty" help:"Answer at random after so many commands."`
	Latency        time.Duration `json:"latency,omitempty" help:"What every command takes on the chip, such as 12ms."`
	BytesPerSecond int           `json:"bytes_per_second,omitempty" help:"Speed of the line, both ways."`
	PINUsed        int           `json:"pin_used,omitempty" help:"Tries of both PINs that are spent: 2 leaves the last, 3 is blocked."`
}

// profileNames are the cards that can be put in, as the help lists them.
func profileNames() string {
	var all []string
	for _, p := range vcard.Profiles() {
		all = append(all, p.Name)
	}
	return strings.Join(all, ",")
}

// profile finds the card of a name, and changes it as the order wants.
func (o order) profile() (vcard.Profile, error) {
	for _, p := range vcard.Profiles() {
		if p.Name != o.Profile {
			continue
		}
		if o.PulledAfter > 0 {
			p.Profile.RemovedAfter = o.PulledAfter
		}
		if o.RandomAfter > 0 {
			p.Profile.Random = o.RandomAfter
		}
		if o.Latency > 0 {
			p.Profile.Latency = o.Latency
		}
		if o.BytesPerSecond > 0 {
			p.Profile.BytesPerSecond = o.BytesPerSecond
		}
		if o.PINUsed > 0 {
			p.Profile.PINUsed = o.PINUsed
		}
		return p.Profile, nil
	}
	return vcard.Profile{}, fmt.Errorf("no card of kind %q", o.Profile)
}

// socket is where the running simulator listens.
func socket() string {
	return filepath.Join(os.TempDir(), "kiosksim-"+strconv.Itoa(os.Getuid())+".sock")
}

type cardCommand struct {
	Do      string `arg:"" enum:"in,out" help:"in or out."`
	Profile string `default:"genuine" enum:"${profiles}" help:"What kind of card: ${enum}."`
	FIN     string `help:"Whose card; the first test person's when absent."`
	quirks  `embed:""`
}

// Run puts a card in or takes it out.
func (c cardCommand) Run(ctx context.Context, out io.Writer) error {
	return send(ctx, out, order{Do: "card " + c.Do, Profile: c.Profile, FIN: c.FIN, quirks: c.quirks})
}

type paperCommand struct {
	Do string `arg:"" enum:"out,low,in,cover-open,cover-closed,blade-stuck,blade-freed,jam,jam-cleared,head-hot,head-cooled,take,power-cycle,unplug,plug,mute,unmute,slow,fast" help:"One of ${enum}."`
}

// Run changes the printer.
func (c paperCommand) Run(ctx context.Context, out io.Writer) error {
	return send(ctx, out, order{Do: "paper " + c.Do})
}

type lineCommand struct {
	Do string `arg:"" enum:"cut,restore" help:"cut or restore."`
}

// Run cuts or restores the line.
func (c lineCommand) Run(ctx context.Context, out io.Writer) error {
	return send(ctx, out, order{Do: "line " + c.Do})
}

type approveCommand struct {
	FIN string `help:"Whose phone; the first test person's when absent."`
}

// Run approves on the phone.
func (c approveCommand) Run(ctx context.Context, out io.Writer) error {
	return send(ctx, out, order{Do: "phone approve", FIN: c.FIN})
}

type refuseCommand struct {
	FIN string `help:"Whose phone; the first test person's when absent."`
}

// Run refuses on the phone.
func (c refuseCommand) Run(ctx context.Context, out io.Writer) error {
	return send(ctx, out, order{Do: "phone refuse", FIN: c.FIN})
}

// send gives an order to the running simulator and prints its answer.
func send(ctx context.Context, out io.Writer, o order) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket())
	if err != nil {
		return fmt.Errorf("no simulator is running: start one with `make run` (%w)", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if err := json.NewEncoder(conn).Encode(o); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "ok\n" {
		return errors.New(answer)
	}
	_, err = fmt.Fprintln(out, o.Do)
	return err
}

// obey takes orders until ctx ends.
func obey(ctx context.Context, r *rig.Rig) error {
	_ = os.Remove(socket())
	l, err := net.Listen("unix", socket())
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			return ctx.Err()
		}
		answer := "ok"
		var o order
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if err := json.NewDecoder(io.LimitReader(conn, 4096)).Decode(&o); err != nil {
			answer = err.Error()
		} else if err := carryOut(r, o); err != nil {
			answer = err.Error()
		}
		fmt.Fprintln(conn, answer)
		_ = conn.Close()
	}
}

// slowPaper is how many bits a second a slow printer takes: a slip then takes five
// seconds.
const slowPaper = 2400

func carryOut(r *rig.Rig, o order) error {
	switch o.Do {
	case "card in":
		return insert(r, o)
	case "card out":
		return r.Slot.Remove()
	case "phone approve", "phone refuse":
		if o.FIN == "" {
			o.FIN = agency.Population()[0].FIN
		}
		_, err := r.Phone(o.FIN, o.Do == "phone approve")
		return err
	case "line cut":
		r.Line.Cut()
	case "line restore":
		return r.Line.Restore()
	case "paper out":
		r.Paper.SetPaper(printer.PaperOut)
	case "paper low":
		r.Paper.SetPaper(printer.PaperLow)
	case "paper in":
		r.Paper.SetPaper(printer.PaperFull)
	case "paper cover-open", "paper cover-closed":
		r.Paper.Cover(o.Do == "paper cover-open")
	case "paper blade-stuck", "paper blade-freed":
		r.Paper.Cutter(o.Do == "paper blade-stuck")
	case "paper jam", "paper jam-cleared":
		r.Paper.Jam(o.Do == "paper jam")
	case "paper head-hot", "paper head-cooled":
		r.Paper.Head(o.Do == "paper head-hot")
	case "paper take":
		r.Paper.Take()
	case "paper power-cycle":
		r.Paper.PowerCycle()
	case "paper mute", "paper unmute":
		r.Paper.Mute(o.Do == "paper mute")
	case "paper slow":
		r.Paper.Slow(slowPaper)
	case "paper fast":
		r.Paper.Slow(0)
	case "paper unplug":
		r.Paper.Unplug()
	case "paper plug":
		return r.Paper.Replug()
	default:
		return fmt.Errorf("no order %q", o.Do)
	}
	return nil
}

func insert(r *rig.Rig, o order) error {
	profile, err := o.profile()
	if err != nil {
		return err
	}
	for _, p := range agency.Population() {
		if o.FIN == "" || p.FIN == o.FIN {
			c, err := r.Card(p, profile)
			if err != nil {
				return err
			}
			return r.Slot.Insert(c)
		}
	}
	return fmt.Errorf("nobody has the FIN %q", o.FIN)
}
