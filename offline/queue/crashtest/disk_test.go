package crashtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hexed is how strace writes a string with -xx.
func hexed(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return b.String()
}

// The model of a disk that loses power must itself be right: what was synced is
// always there, and of what was not, everything and nothing are both met.
func TestADiskKeepsWhatWasSyncedAndAnyPartOfTheRest(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "old"), []byte("before"), 0o600))
	file := fmt.Sprintf("3<%s>", hexed(filepath.Join(folder, "new")))
	text := fmt.Sprintf(`7 openat(AT_FDCWD, "%[1]s", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = %[2]s
7 pwrite64(%[2]s, "%[3]s", 1024, 0) = 1024
7 fdatasync(%[2]s <unfinished ...>
8 write(1<\x2f>, "%[6]s", 3) = 3
7 <... fdatasync resumed>) = 0
7 pwrite64(%[2]s, "%[4]s", 1024, 512) = 1024
7 fdatasync(%[2]s) = 0 (INJECTED)
7 renameat(AT_FDCWD, "%[1]s", AT_FDCWD, "%[5]s") = 0
`, hexed(filepath.Join(folder, "new")), file, hexed(strings.Repeat("a", 1024)), hexed(strings.Repeat("b", 1024)), hexed(filepath.Join(folder, "old")), hexed("+1\n"))
	calls, err := parseTrace(strings.NewReader(text))
	must(t, err)
	d, err := load(folder, 0)
	must(t, err)
	for _, c := range calls {
		must(t, d.begins(c))
		must(t, d.ends(c))
	}
	seen := map[string]int{}
	dice := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		state := d.cut(dice)
		b, named := state["new"], "new"
		if old := state["old"]; !bytes.Equal(old, []byte("before")) {
			b, named = old, "old"
		} else if b == nil {
			named = "none"
		}
		seen[named]++
		if named == "none" {
			continue
		}
		if !bytes.HasPrefix(b, bytes.Repeat([]byte("a"), 512)) || len(b) < 1024 {
			t.Fatalf("what was synced is gone: %.20q of %d bytes", b, len(b))
		}
		seen[fmt.Sprintf("%d bytes, %d new", len(b), bytes.Count(b, []byte("b")))]++
	}
	for _, want := range []string{"none", "new", "old", "1024 bytes, 0 new", "1536 bytes, 1024 new", "1024 bytes, 512 new", "1024 bytes, 256 new"} {
		if seen[want] == 0 {
			t.Errorf("never met: %s, of %v", want, seen)
		}
	}
}

func TestATraceThatIsCutShortIsRefused(t *testing.T) {
	for _, text := range []string{
		`7 pwrite64(3<\x2f>, "\x00\x01"..., 9000, 0) = 9000`,
		`7 <... fdatasync resumed>) = 0`,
		`7 no call`,
	} {
		if _, err := parseTrace(strings.NewReader(text)); err == nil {
			t.Errorf("%s was understood", text)
		}
	}
}
