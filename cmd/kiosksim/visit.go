package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/stage"
	"kosk/cmd/kiosksim/visit"
)

type visitCommand struct {
	Out string `default:"out/visit" type:"path" help:"Folder for pictures, slips, logs and summary.json. It is emptied first."`
	Bin string `type:"path" help:"Folder of the programs kiosk, kioskctl and bus; default: beside this one."`
}

// The panel that the visits are played on: 21.5 inches, upright.
const panelW, panelH = 1080, 1920

// limit is how long the whole play may take.
const limit = 5 * time.Minute

// A summary is what the visits came to.
type summary struct {
	Visits []visit.Report `json:"visits"`
	Bus    struct {
		Accepted   int `json:"accepted"`
		Duplicates int `json:"duplicates"`
	} `json:"bus"`
	Queue struct {
		Left   int `json:"left"`
		Parked int `json:"parked"`
	} `json:"queue"`
	Kiosk struct {
		StartMS int     `json:"start_ms"`
		RSSMB   float64 `json:"rss_mb"`
	} `json:"kiosk"`
}

// Run plays the visits. It fails, in plain words, if any didn't end as it should.
func (c visitCommand) Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := emptied(c.Out); err != nil {
		return err
	}
	return onStage(ctx, c.Bin, c.Out, func(r *rig.Rig, hands *stage.Hands) error {
		p := &play{out: out, rig: r, actor: visit.New(r, hands, c.Out)}
		err := p.run(ctx)
		if werr := p.write(filepath.Join(c.Out, "summary.json")); err == nil {
			err = werr
		}
		return err
	})
}

// emptied makes the folder, without what an earlier play left in it.
func emptied(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "summary.json")); err == nil {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o755)
}

// binaries is where the programs are.
func binaries(dir string) string {
	if dir != "" {
		return dir
	}
	self, err := os.Executable()
	if err != nil {
		return "."
	}
	return filepath.Dir(self)
}

// A play is the visits, one after the other.
type play struct {
	out     io.Writer
	rig     *rig.Rig
	actor   *visit.Actor
	summary summary
}

// say tells who watches how it goes.
func (p *play) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p *play) run(ctx context.Context) error {
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("the kiosk did not start: %w", err)
	}
	for _, v := range []struct {
		what string
		play func() (visit.Report, error)
	}{
		{"a certificate, in Azerbaijani", func() (visit.Report, error) { return p.actor.Certificate(ctx, "az", false) }},
		{"a certificate, in Russian", func() (visit.Report, error) { return p.actor.Certificate(ctx, "ru", false) }},
		{"a certificate, in English, at the largest text", func() (visit.Report, error) { return p.actor.Certificate(ctx, "en", true) }},
		{"a certificate, by keys and voice alone", func() (visit.Report, error) { return p.actor.CertificateByKeys(ctx, "az") }},
		{"a certificate, with a chip without PACE, in Russian", func() (visit.Report, error) { return p.actor.CertificateByZone(ctx, "ru") }},
		{"an application, signed with PIN2", func() (visit.Report, error) { return p.actor.Application(ctx, "az", false) }},
		{"an IMEI check, without a card", func() (visit.Report, error) { return p.actor.IMEI(ctx, "az") }},
		{"a certificate, with the line cut at the review", func() (visit.Report, error) { return p.actor.CertificateLineCut(ctx, "az") }},
	} {
		r, err := v.play()
		if err == nil {
			err = sound(r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", v.what, err)
		}
		p.summary.Visits = append(p.summary.Visits, r)
		p.say("  %-52s %s  %5.1f s  %d touches, %d digits", v.what, r.Outcome, float64(r.TotalMS)/1000, r.Touches, r.Typed)
	}
	return p.after(ctx)
}

// sound checks that a visit ended as it should.
func sound(r visit.Report) error {
	switch {
	case r.Slip == nil:
		return errors.New("no slip came out")
	case !r.Slip.Confirmed:
		return errors.New("the printer did not confirm the slip")
	case r.RequestID != "" && r.Assurance != "genuine":
		return fmt.Errorf("the card was believed only as %q", r.Assurance)
	case r.By == "keys" && r.Spoken == 0:
		return errors.New("nothing was spoken")
	}
	return nil
}

// start launches the kiosk and waits for its first painted frame.
func (p *play) start(ctx context.Context) error {
	launched := time.Now()
	if err := p.rig.StartKiosk(); err != nil {
		return err
	}
	if err := p.actor.Sees(ctx, "attract"); err != nil {
		return err
	}
	first := p.actor.FirstFrame()
	p.summary.Kiosk.StartMS = int(first.Sub(launched).Milliseconds())
	p.summary.Kiosk.RSSMB = visit.ResidentMB(p.rig.KioskPID())
	p.say("  the kiosk shows its first frame after %d ms", p.summary.Kiosk.StartMS)
	return nil
}

// after is what follows the visit with the line cut: the check's tile says that
// there is no line, the kiosk dies and starts again, the line returns, and the
// request takes effect once.
func (p *play) after(ctx context.Context) error {
	if err := p.actor.SaysNoLine(ctx, "ru"); err != nil {
		return fmt.Errorf("the home screen without a line: %w", err)
	}
	before, err := p.rig.BusStatus()
	if err != nil {
		return err
	}
	p.rig.KillKiosk()
	p.say("  the kiosk was killed (SIGKILL) with a request in its queue")
	p.actor.Forget()
	if err := p.rig.StartKiosk(); err != nil {
		return err
	}
	if err := p.actor.Sees(ctx, "attract"); err != nil {
		return fmt.Errorf("after the kill: %w", err)
	}
	if err := p.rig.Line.Restore(); err != nil {
		return err
	}
	id := p.summary.Visits[len(p.summary.Visits)-1].RequestID
	if err := p.actor.LogSays(ctx, "delivered", id, time.Minute); err != nil {
		return fmt.Errorf("the request of the dead kiosk was not delivered: %w", err)
	}
	p.say("  the line is back: the request reached the bus and its receipt is verified")
	now, err := p.settledBus(ctx)
	if err != nil {
		return err
	}
	p.summary.Bus.Accepted, p.summary.Bus.Duplicates = now.Accepted, now.Duplicates
	if now.Accepted != before.Accepted+1 {
		return fmt.Errorf("the bus accepted %d requests after the kill, not 1", now.Accepted-before.Accepted)
	}
	if want := p.certificates(); now.Accepted != want {
		return fmt.Errorf("the bus accepted %d requests for %d visits", now.Accepted, want)
	}
	p.rig.StopKiosk()
	left, parked, err := p.rig.QueueStats()
	p.summary.Queue.Left, p.summary.Queue.Parked = left, parked
	if err == nil && left+parked > 0 {
		err = fmt.Errorf("the queue still holds %d requests, %d of them parked", left+parked, parked)
	}
	if err != nil {
		return err
	}
	if err := p.keepsSecrets(visit.Person()); err != nil {
		return err
	}
	p.say("  no log and no file of kiosk or bus holds the person's data in the clear")
	return nil
}

// settledBus asks the bus until every request that it accepted was decided.
func (p *play) settledBus(ctx context.Context) (rig.BusStatus, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(30 * time.Second)
	for {
		s, err := p.rig.BusStatus()
		if err != nil || s.Effects == s.Accepted {
			return s, err
		}
		select {
		case <-tick.C:
		case <-enough:
			return s, fmt.Errorf("%d requests accepted, %d took effect", s.Accepted, s.Effects)
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// certificates counts the visits that sent a request.
func (p *play) certificates() int {
	n := 0
	for _, v := range p.summary.Visits {
		if v.RequestID != "" {
			n++
		}
	}
	return n
}

func (p *play) write(path string) error {
	b, err := json.MarshalIndent(p.summary, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
