package signertest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// mostMapped is the longest mapping that is read: Go keeps longer ones in reserve.
const mostMapped = 1 << 28

// Copies says where in the memory of a process a text stands: the name of the
// mapping for each time. The process may run on.
func Copies(pid int, text []byte) (found []string, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	defer mem.Close()
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
		b := make([]byte, to-from)
		n, err := mem.ReadAt(b, from)
		if err != nil && n == 0 { // gone since, or a device's
			continue
		}
		where := "memory without a name"
		if len(f) > 5 {
			where = f[5]
		}
		for range bytes.Count(b[:n], text) {
			found = append(found, where)
		}
	}
	return found, nil
}
