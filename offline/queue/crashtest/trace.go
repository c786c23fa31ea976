package crashtest

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// recorded are the calls that change files, and the write in which a child says
// what it promises. Those that replay does not understand are recorded too, so
// that one which touches a queue is an error and not a gap.
const recorded = "openat,close,renameat,renameat2,unlinkat,pwrite64,write,ftruncate,fdatasync,fsync," +
	"fallocate,copy_file_range,pwritev,writev,sendfile,linkat,sync_file_range,msync,truncate"

// longestWrite is in bytes; a trace with a longer one is refused.
const longestWrite = 4 << 20

// strace is the command that records a child into the file at out.
func strace(out string, more ...string) []string {
	return append([]string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-xx", "-y", "-s", strconv.Itoa(longestWrite),
		"-e", "signal=none", "-e", "trace=" + recorded, "-o", out,
	}, more...)
}

// errTrace says that a trace is not what strace writes with those options.
var errTrace = errors.New("trace not understood")

// A call is one system call of a trace.
type call struct {
	name       string
	args       []string // as written
	begin, end int      // numbers of lines; end 0: it never returned
	result     int64
	real       bool // it returned, and the kernel has done it, and not strace in its place
}

// parseTrace reads what strace wrote. Calls are in the order of their begin.
func parseTrace(r io.Reader) ([]*call, error) {
	var calls []*call
	unfinished := map[string]*call{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4*longestWrite+1<<16)
	for n := 1; lines.Scan(); n++ {
		pid, text, ok := strings.Cut(strings.TrimLeft(lines.Text(), " "), " ")
		text = strings.TrimLeft(text, " ")
		if !ok || strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") {
			continue
		}
		if rest, resumed := strings.CutPrefix(text, "<... "); resumed {
			c := unfinished[pid]
			if c == nil {
				return nil, fmt.Errorf("line %d: nothing to resume: %w", n, errTrace)
			}
			delete(unfinished, pid)
			c.end = n
			c.returned(rest)
			continue
		}
		c, err := parseCall(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		c.begin = n
		calls = append(calls, c)
		if strings.HasSuffix(text, "<unfinished ...>") {
			unfinished[pid] = c
			continue
		}
		c.end = n
		c.returned(text)
	}
	return calls, lines.Err()
}

// parseCall reads the name and the arguments. With -xx all strings and paths are
// in hexadecimal, so that a comma or a bracket in them can't be mistaken.
func parseCall(text string) (*call, error) {
	name, rest, ok := strings.Cut(text, "(")
	if !ok {
		return nil, errTrace
	}
	end := strings.LastIndex(rest, ") ")
	if u := strings.LastIndex(rest, " <unfinished"); u >= 0 {
		end = u
	}
	if end < 0 || strings.Contains(rest[:end], `"...`) {
		return nil, fmt.Errorf("%s: cut short: %w", name, errTrace)
	}
	return &call{name: name, args: strings.Split(rest[:end], ", ")}, nil
}

// returned takes down the result that ends a line.
func (c *call) returned(text string) {
	at := strings.LastIndex(text, " = ")
	if at < 0 {
		return
	}
	result, note, _ := strings.Cut(text[at+3:], " ")
	number, _, _ := strings.Cut(result, "<")
	var err error
	c.result, err = strconv.ParseInt(number, 10, 64)
	c.real = err == nil && c.result >= 0 && !strings.Contains(note, "INJECTED")
}

// number returns an argument that is one; -1: it is none.
func (c *call) number(i int) int64 {
	if i >= len(c.args) {
		return -1
	}
	n, err := strconv.ParseInt(c.args[i], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// bytes returns an argument that is a string.
func (c *call) bytes(i int) ([]byte, error) {
	if i >= len(c.args) {
		return nil, errTrace
	}
	return unhex(strings.Trim(c.args[i], `"`))
}

// path returns the path of an argument: a string, or that behind a descriptor.
func (c *call) path(i int) (string, error) {
	if i >= len(c.args) {
		return "", errTrace
	}
	s := c.args[i]
	if from := strings.IndexByte(s, '<'); from >= 0 && strings.HasSuffix(s, ">") {
		s = s[from+1 : len(s)-1]
	}
	b, err := unhex(strings.Trim(s, `"`))
	// A descriptor of a file that was removed says so.
	return strings.TrimSuffix(string(b), "(deleted)"), err
}

// descriptor returns the number of the descriptor in an argument.
func (c *call) descriptor(i int) string {
	if i >= len(c.args) {
		return ""
	}
	n, _, _ := strings.Cut(c.args[i], "<")
	return n
}

func unhex(s string) ([]byte, error) {
	if len(s)%4 != 0 {
		return nil, fmt.Errorf("string of %d characters: %w", len(s), errTrace)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil || len(b) != len(s)/4 {
		return nil, fmt.Errorf("string: %w", errTrace)
	}
	return b, nil
}
