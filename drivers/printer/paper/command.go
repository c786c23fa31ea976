package paper

// A command is one thing that a printer is told, ESC/POS.
type command struct {
	name string // "text", "LF", "ESC t", "GS ( k", ...; "" for what isn't known
	args []byte // all bytes after the name
}

const (
	nul, ht, lf, ff, cr, dle, can, esc, fs, gs = 0x00, 0x09, 0x0A, 0x0C, 0x0D, 0x10, 0x18, 0x1B, 0x1C, 0x1D
)

// commandMost is the longest command that is waited for; what claims to be
// longer is noise.
const commandMost = 1 << 20

// lengths are the bytes that follow a two-byte command; variable ones have a
// function of their own.
var lengths = map[byte]map[byte]int{
	esc: {
		'@': 0, '!': 1, '$': 2, '%': 1, '-': 1, '2': 0, '3': 1, '=': 1, '?': 1, 'E': 1, 'G': 1, 'J': 1, 'K': 1,
		'L': 0, 'M': 1, 'R': 1, 'S': 0, 'T': 1, 'V': 1, 'W': 8, '\\': 2, 'a': 1, 'c': 2, 'd': 1, 'e': 1, 'i': 0,
		'm': 0, 'p': 3, 'r': 1, 't': 1, 'u': 1, 'v': 0, '{': 1, ' ': 1, ff: 0,
	},
	gs: {
		'!': 1, '$': 2, '/': 1, ':': 0, 'B': 1, 'E': 1, 'H': 1, 'I': 1, 'L': 2, 'P': 2, 'T': 1, 'W': 2, '\\': 2,
		'^': 3, 'a': 1, 'b': 1, 'c': 0, 'f': 1, 'h': 1, 'j': 1, 'r': 1, 'w': 1,
	},
	fs: {'!': 1, '&': 0, '-': 1, '.': 0, 'C': 1, 'S': 2, 'W': 1, 'p': 2},
}

var leads = map[byte]string{esc: "ESC ", gs: "GS ", fs: "FS "}

// parse takes one command from the front of b and says how many bytes it is.
// Zero means that it isn't complete. It always takes at least one byte of noise.
func parse(b []byte) (command, int) {
	if len(b) == 0 {
		return command{}, 0
	}
	switch c := b[0]; {
	case c >= 0x20:
		return command{"text", b[:1]}, 1
	case c == lf:
		return command{name: "LF"}, 1
	case c == cr:
		return command{name: "CR"}, 1
	case c == ht:
		return command{name: "HT"}, 1
	case c == ff:
		return command{name: "FF"}, 1
	case c == can:
		return command{name: "CAN"}, 1
	case c == dle:
		return parseReal(b)
	case leads[c] != "":
		return parseTwo(b)
	}
	return command{}, 1
}

// parseReal skips real-time commands: they were obeyed when they came in.
func parseReal(b []byte) (command, int) {
	if len(b) < 2 {
		return command{}, 0
	}
	n := 3
	switch b[1] {
	case 0x04, 0x05:
		if len(b) > 2 && b[1] == 0x04 && (b[2] == 7 || b[2] == 8 || b[2] == 18) {
			n = 4
		}
	case 0x14:
		if len(b) < 3 {
			return command{}, 0
		}
		n = realLength(b[2])
	default:
		return command{}, 1
	}
	if len(b) < n {
		return command{}, 0
	}
	return command{name: "real time"}, n
}

// realLength is how long DLE DC4 is for each function.
func realLength(fn byte) int {
	switch fn {
	case 1, 2:
		return 5
	case 8:
		return 10
	}
	return 3
}

func parseTwo(b []byte) (command, int) {
	if len(b) < 2 {
		return command{}, 0
	}
	if n, ok := lengths[b[0]][b[1]]; ok {
		if len(b) < 2+n {
			return command{}, 0
		}
		return command{leads[b[0]] + string(rune(b[1])), b[2 : 2+n]}, 2 + n
	}
	name, n := variable(b)
	if name == "" || n > commandMost {
		return command{}, 2
	}
	if n == 0 || len(b) < n {
		return command{}, 0
	}
	return command{name, b[2:n]}, n
}

// variable is the name and length of a command that tells its own length, the
// length 0 while that isn't known yet, the name "" for what isn't known.
func variable(b []byte) (name string, n int) {
	name = leads[b[0]] + string(rune(b[1]))
	switch name {
	case "ESC &":
		return name, glyphsLength(b)
	case "ESC *":
		if len(b) < 5 {
			return name, 0
		}
		columns := int(b[3]) | int(b[4])<<8
		if b[2] >= 32 {
			columns *= 3
		}
		return name, 5 + columns
	case "GS e": // Custom: the presenter
		if len(b) > 2 && b[2] == 3 {
			return name, 4
		}
		return name, 3
	case "GS R": // Citizen: the presenter
		if len(b) > 2 && (b[2] == 1 || b[2] == '1') {
			return name, 4
		}
		return name, 3
	case "GS \u00e0": // Custom: full status by itself
		return name, 3
	case "FS \u00c0": // Custom: reset
		return name, 6
	case "ESC D":
		return name, untilZero(b, 2, 33)
	case "GS V":
		if len(b) > 2 && (b[2] == 65 || b[2] == 66 || b[2] == 97 || b[2] == 98 || b[2] == 103 || b[2] == 104) {
			return name, 4
		}
		return name, 3
	case "GS v":
		if len(b) < 8 {
			return name, 0
		}
		return name, 8 + (int(b[4])|int(b[5])<<8)*(int(b[6])|int(b[7])<<8)
	case "GS (", "FS (":
		if len(b) < 5 {
			return name, 0
		}
		return name, 5 + (int(b[3]) | int(b[4])<<8)
	case "GS 8":
		if len(b) < 7 {
			return name, 0
		}
		return name, 7 + (int(b[3]) | int(b[4])<<8 | int(b[5])<<16 | int(b[6])<<24)
	case "GS *":
		if len(b) < 4 {
			return name, 0
		}
		return name, 4 + int(b[2])*int(b[3])*8
	case "GS k":
		return name, barcodeLength(b)
	}
	return "", 0
}

// glyphsLength follows ESC & y c1 c2 [x d1 ... d(y*x)] for each code.
func glyphsLength(b []byte) int {
	if len(b) < 5 {
		return 0
	}
	n := 5
	for c := int(b[3]); c <= int(b[4]); c++ {
		if len(b) <= n {
			return 0
		}
		n += 1 + int(b[n])*int(b[2])
	}
	return n
}

func barcodeLength(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	if b[2] >= 65 {
		return 4 + int(b[3])
	}
	return untilZero(b, 3, 256)
}

// untilZero is the length up to and with the first zero, which must come
// within most bytes.
func untilZero(b []byte, from, most int) int {
	for i := from; i < len(b); i++ {
		if b[i] == nul || i-from >= most {
			return i + 1
		}
	}
	return 0
}
