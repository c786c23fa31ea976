package receipt_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/device/receipt"
	"kosk/device/text"
	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
)

// long is a certificate with names that are longer than the paper is wide, some
// of them single words.
func long(lang text.Lang) receipt.Slip {
	s := sample(lang, receipt.Final)
	names := map[text.Lang][3]string{
		text.Az: {
			"“Cənub-Qərb Su Kanal Tikinti Quraşdırma və Sənaye Avadanlıqlarının Təmiri” Məhdud Məsuliyyətli Cəmiyyəti",
			"elektroenergetikaavadanlıqlarınınistismarıüzrəbaşmühəndis", "Abdurrahmanbəyli-Şahverdizadə Məhəmmədəliağa",
		},
		text.Ru: {
			"Общество с ограниченной ответственностью «Бакинский экспериментально-производственный комбинат»",
			"высокопревосходительствующийэлектрофотополупроводниковщик", "Абдуррахманбейли-Шахвердизаде Мамедалиага",
		},
		text.En: {
			"South Western Water Canal Construction, Assembly and Industrial Equipment Repair Limited Liability Company",
			"counterelectroencephalographicallyinstrumentationengineer", "Abdurrahmanbeyli-Shahverdizada Mammadaliagha",
		},
	}[lang]
	s.Rows[0].Value = text.Say(lang, text.Name, names[0])
	s.Rows[1].Value = text.Say(lang, text.Plain, names[1])
	s.Rows = append(s.Rows, receipt.Row{Label: text.In(lang, "slip.valid_until"), Value: text.Day(lang, time.Date(2027, 11, 22, 0, 0, 0, 0, time.UTC))})
	s.Holder = text.Say(lang, text.Name, names[2])
	s.Test = true
	return s
}

func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

// Whatever its names, a certificate fits on 80 and on 58 mm paper: every line of
// it comes out of a printer whole, the long ones on several. A line that a
// printer has no letters for is drawn as a picture, and not looked for here;
// drivers/printer/escpos looks at those.
func TestALongCertificateFits(t *testing.T) {
	for name, c := range map[string]struct {
		columns int
		draws   string // letters that are drawn
	}{"epson-tm-t20ii": {48, ""}, "clone-58": {32, "əƏğĞşŞıİöÖüÜçÇ"}} {
		for _, lang := range text.Langs {
			t.Run(name+" "+string(lang), func(t *testing.T) {
				slip := receipt.Compose(long(lang))
				out := printed(t, name, slip)
				looked := 0
				for _, l := range slip.Lines {
					if l.Style == printer.Code || l.Style == printer.Reversed || l.Text == "" || strings.ContainsAny(l.Text, c.draws+"“”«»–") {
						continue
					}
					looked++
					if !strings.Contains(squeezed(out), squeezed(l.Text)) {
						t.Errorf("%q isn't on the slip:\n%s", l.Text, out)
					}
				}
				if looked < 4 {
					t.Errorf("only %d lines were looked at", looked)
				}
				for line := range strings.Lines(out) {
					if n := len([]rune(strings.TrimRight(line, " \n"))); n > c.columns && !strings.HasPrefix(line, "[QR") {
						t.Errorf("a line of %d columns on %d: %q", n, c.columns, line)
					}
				}
			})
		}
	}
}

// printed is the text of a slip as it comes out of a virtual printer.
func printed(t *testing.T, profile string, s printer.Slip) string {
	t.Helper()
	dir := t.TempDir()
	p, err := paper.Open(paper.Options{Link: filepath.Join(dir, "line"), Model: paper.Models()[profile](), MMPerSecond: 3000})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	e, err := escpos.Open(ctx, escpos.Options{
		Path: p.Path(), Baud: 115200, Profile: profile, Journal: filepath.Join(dir, "slips"), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if outcome, err := e.Print(ctx, s); outcome != printer.Confirmed {
		t.Fatalf("%s: %v", outcome, err)
	}
	p.TearOff() // a model without a blade
	all := p.Slips()
	if len(all) != 1 {
		t.Fatalf("%d slips", len(all))
	}
	return all[0].Text
}
