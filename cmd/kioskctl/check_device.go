package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"kosk/device/config"
	"kosk/drivers/all"
	"kosk/drivers/card"
	"kosk/drivers/panel"
	"kosk/drivers/panel/gpio"
	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/serial"
)

// card looks for the daemon, the reader and the card, which need not be there.
func (c *checker) card(ctx context.Context) row {
	r, err := all.Card(c.cfg.Card.Make, c.cfg.Card.Reader, c.log)
	if err != nil {
		return failed(err.Error(), "correct card.make and card.reader in the configuration")
	}
	looker, can := r.(card.Looker)
	if !can {
		return warned(fmt.Sprintf("a reader of make %q can't be tested without a card", c.cfg.Card.Make), "put a card in at the start screen")
	}
	slot, err := looker.Look(ctx)
	switch {
	case errors.Is(err, card.ErrNoService):
		return failed("the card service, pcscd, does not run",
			"start it (systemctl start pcscd); when it ends again, see journalctl -u pcscd")
	case errors.Is(err, card.ErrNoReader):
		return failed("the card service runs; "+err.Error(),
			"check the reader's cable and its lamp; lsusb must list it, and card.reader in the configuration must be the beginning of its name")
	case err != nil:
		return failed("the card service does not answer: "+err.Error(), "start it anew (systemctl restart pcscd) and check again")
	case slot.Mute:
		return warned(fmt.Sprintf("reader %q; the card in it does not answer", slot.Reader),
			"turn the card round; when another card doesn't answer either, clean or replace the reader")
	case slot.Card:
		return good(fmt.Sprintf("reader %q, a card is in it", slot.Reader))
	}
	return good(fmt.Sprintf("reader %q, no card in it", slot.Reader))
}

// printer asks the printer; a deep check has it print a slip.
func (c *checker) printer(ctx context.Context) row {
	if c.cfg.Printer.Make == "none" {
		return good("this kiosk has no printer, by its configuration")
	}
	// Without a journal: the kiosk's is not ours to write.
	p, err := all.Printer(ctx, c.cfg.Printer.Make, escpos.Options{
		Path: c.cfg.Printer.Path, Baud: c.cfg.Printer.Baud, Profile: c.cfg.Printer.Profile, Log: c.log,
	})
	if err != nil {
		return failed(err.Error(), "correct the table printer in the configuration")
	}
	defer p.Close()
	s, err := p.Status(ctx)
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		return printerTrouble(c.cfg.Printer, err)
	}
	seen := fmt.Sprintf("%s at %s, paper %s", s.Model, c.cfg.Printer.Path, s.Paper)
	if c.deep {
		if outcome, err := p.Print(ctx, testSlip(c.cfg, time.Now())); outcome != printer.Confirmed {
			return failed(fmt.Sprintf("%s; the test slip: %s", seen, outcome), printerTrouble(c.cfg.Printer, err).Do)
		}
		seen += "; a test slip is out, as the printer says"
	}
	if s.Paper == printer.PaperLow {
		return warned(seen, "put in a new roll soon")
	}
	return good(seen)
}

// printerTrouble says what to do about an error of the printer or its line.
func printerTrouble(p config.Printer, err error) row {
	at := " (" + p.Path + ")"
	for _, t := range []struct {
		of       error
		seen, do string
	}{
		{serial.ErrDenied, "this user may not open the printer's line" + at, "run the check as the kiosk's own user or as root; the kiosk's user must be in the group dialout"},
		{serial.ErrBusy, "another program holds the printer's line" + at, "end that program (fuser -v " + p.Path + ") and check again"},
		{unix.ENOTTY, "not a serial line" + at, "correct printer.path (ls /dev/serial/by-path)"},
		{printer.ErrUnplugged, "no printer line" + at, "plug the printer's cable in; when the device has another name, correct printer.path (ls /dev/serial/by-path)"},
		{printer.ErrMute, "the line is there" + at + ", the printer does not answer", "switch the printer on; compare its baud rate and model with printer.baud and printer.profile"},
		{printer.ErrNoPaper, "no paper", "put in a new roll and close the cover"},
		{printer.ErrCoverOpen, "the cover is open", "close the cover until it clicks"},
		{printer.ErrJammed, "the paper is jammed", "open the cover, take the jammed paper out, close the cover"},
		{printer.ErrCutter, "the cutter is stuck", "switch the printer off, free the blade as its manual shows, switch it on"},
		{printer.ErrOffline, "the printer says that it can't print", "read the printer's lamps or display; switch it off and on"},
		{printer.ErrTooLong, "too little paper is left for a slip", "put in a new roll"},
	} {
		if errors.Is(err, t.of) {
			return failed(t.seen, t.do)
		}
	}
	return failed(fmt.Sprintf("the printer can't be asked: %v", err), "switch the printer off and on and check again")
}

// lampTime is how long a deep check lights the lamps, for the technician to look.
const lampTime = 2 * time.Second

// lamps takes the lines of the lamps; a deep check lights them all.
func (c *checker) lamps(ctx context.Context) row {
	cfg := c.cfg.Lamps
	switch cfg.Make {
	case "none":
		return good("this kiosk has no lamps, by its configuration")
	case "desk":
		return good("what would be lit goes to " + cfg.File)
	}
	p, err := all.Panel(cfg.Make, cfg.File, gpio.Options{Chip: cfg.Chip, Lines: cfg.Lines(), ActiveLow: cfg.ActiveLow, Log: c.log})
	if err != nil {
		return lampTrouble(err)
	}
	defer p.Close()
	wired := 0
	for lamp, line := range cfg.Lines() {
		if line == "" {
			continue
		}
		wired++
		if c.deep {
			err = errors.Join(err, p.Light(ctx, lamp, panel.Continuous))
		}
	}
	seen := fmt.Sprintf("%d wired", wired)
	if !c.deep {
		return good(seen)
	}
	ctx, cancel := context.WithTimeout(ctx, lampTime)
	defer cancel()
	if err := errors.Join(err, p.Run(ctx), p.Err()); err != nil {
		return lampTrouble(err)
	}
	return good(seen + fmt.Sprintf("; all were lit for %v: did you see them?", lampTime))
}

func lampTrouble(err error) row {
	if errors.Is(err, panel.ErrUnplugged) {
		return failed(err.Error(), "correct the table lamps in the configuration: gpioinfo lists chips and lines")
	}
	return failed(err.Error(), "see which program holds the line (gpioinfo), and that this user may open /dev/gpiochip*")
}

// testSlip shows every style and the letters that printers get wrong.
func testSlip(cfg config.Config, now time.Time) printer.Slip {
	return printer.Slip{ID: "check-" + now.UTC().Format("20060102T150405.000"), Lines: []printer.Line{
		{Style: printer.Reversed, Text: "TEST / YOXLAMA / ТЕСТ"},
		{Style: printer.Heading, Text: cfg.Office.Az},
		{Style: printer.Body, Text: now.Format("2006-01-02 15:04:05"), Right: "kioskctl check"},
		{Style: printer.Rule},
		{Style: printer.Strong, Text: "Əə Ğğ Iı İi Öö Şş Üü Çç"},
		{Style: printer.Body, Text: "Съешь же ещё этих мягких булок"},
		{Style: printer.Numerals, Text: "0123456789"},
		{Style: printer.Code, Text: "KOSK TEST"},
		{Style: printer.Small, Text: "This slip is no document."},
		{Style: printer.Lattice},
	}}
}
