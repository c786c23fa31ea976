package escpos_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/drivers/printer"
)

// stranger runs a program that nobody here wrote on the picture of a slip, and
// returns what it reads there.
func stranger(t *testing.T, name string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no stranger: %s isn't installed (build/deps)", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), "OMP_THREAD_LIMIT=1")
	said, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%s: %v, it says %s", name, err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// TestAStrangerReadsTheSlips has tesseract read the letters of the printed
// paper, at its 203 dots an inch: ə among them, set as a glyph (the Epsons, as
// Turkish and as Western page) and drawn (the clone).
func TestAStrangerReadsTheSlips(t *testing.T) {
	for _, c := range []struct{ picture, language, words string }{
		{"epson-tm-t20ii-final-az", "aze", "dövlət xidmətləri Nömrə yerindən Əmək və Əhalinin Müdafiəsi Müraciət İşəgötürən Xəzər Gəmiçilik Vəzifə başladığı müqavilələri Təşəkkür gün"},
		{"epson-tm-t88iii-final-az", "aze", "dövlət xidmətləri Nömrə yerindən Əmək və Əhalinin Müdafiəsi Müraciət İşəgötürən Xəzər Gəmiçilik Vəzifə başladığı müqavilələri Təşəkkür gün"},
		{"clone-58-final-az", "aze", "dövlət xidmətləri Nömrə yerindən Əmək və Əhalinin Müdafiəsi Müraciət İşəgötürən Xəzər Gəmiçilik Vəzifə başladığı müqavilələri Təşəkkür gün"},
	} {
		t.Run(c.picture, func(t *testing.T) {
			t.Parallel()
			read := stranger(t, "tesseract", filepath.Join("testdata", c.picture+".png"), "-", "-l", c.language, "--psm", "6", "--dpi", "203")
			for _, word := range strings.Fields(c.words) {
				if !strings.Contains(read, word) {
					t.Errorf("it doesn't read %q in\n%s", word, read)
				}
			}
		})
	}
}

// TestAStrangerReadsTheCodes has zbar read the code on every kept picture.
func TestAStrangerReadsTheCodes(t *testing.T) {
	pictures, err := filepath.Glob("testdata/*.png")
	if err != nil || len(pictures) == 0 {
		t.Fatal(pictures, err)
	}
	for _, file := range pictures {
		name := strings.TrimSuffix(filepath.Base(file), ".png")
		for profile := range models {
			name = strings.TrimPrefix(name, profile+"-")
		}
		slip := loadSlip(t, filepath.Join(composed, name+".slip"))
		for _, line := range slip.Lines {
			if line.Style != printer.Code {
				continue
			}
			if got := strings.TrimSuffix(stranger(t, "zbarimg", "--quiet", "--raw", "--nodbus", file), "\n"); got != line.Text {
				t.Errorf("%s: it reads %q, want %q", file, got, line.Text)
			}
		}
	}
}
