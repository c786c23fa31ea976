package signertest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

const (
	// mostMapped is the longest mapping that is read: Go keeps longer ones in reserve.
	mostMapped = 1 << 28
	// window is how much of it is read at once.
	window = 1 << 20
)

// Copies says where in the memory of a process each of the texts stands, by its
// name: the mapping for every time. All are looked for in one reading, since there
// is a lot to read. The process may run on.
func Copies(pid int, texts map[string][]byte) (found map[string][]string, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	defer mem.Close()
	longest := 1
	for _, text := range texts {
		longest = max(longest, len(text))
	}
	found, b := map[string][]string{}, make([]byte, window)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		f := strings.Fields(line)
		if strings.HasPrefix(f[len(f)-1], "[v") || !strings.HasPrefix(f[1], "r") { // the kernel's own
			continue
		}
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err != nil {
			return nil, fmt.Errorf("memory: %q: %w", line, err)
		}
		if to-from > mostMapped {
			continue
		}
		where := "memory without a name"
		if len(f) > 5 {
			where = f[5]
		}
		for whole := true; whole && from < to; from += window - int64(longest-1) { // what stands on both sides is in the next
			want := min(window, to-from)
			n, _ := mem.ReadAt(b[:want], from) // what can't be read has gone since, or is a device's
			whole = int64(n) == want
			for name, text := range texts {
				for range bytes.Count(b[:n], text) {
					found[name] = append(found[name], where)
				}
			}
		}
	}
	return found, nil
}
