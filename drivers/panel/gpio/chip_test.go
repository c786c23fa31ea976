package gpio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"kosk/drivers/panel"
	"kosk/drivers/panel/paneltest"
)

// A chip is a GPIO chip of a machine that has none: a file system in user space at
// /dev, in a mount namespace of the test's own, answers the system calls of the
// character device as the kernel documents them (Documentation/userspace-api/gpio,
// include/uapi/linux/gpio.h). periph and all below it are the real ones.
type chip struct {
	fs.Inode
	mu    sync.Mutex
	lines []*wire
	gone  bool // every call is ENODEV
}

// A wire is one line of it.
type wire struct {
	fs.Inode
	chip *chip
	name string

	// Guarded by chip.mu.
	consumer string // "": the line is free
	output   bool
	high     bool
	changes  int // of high, since it was requested
	requests int
}

// The calls, _IOC_NR of type 0xB4.
const (
	getChipInfo  = 0x01
	getLineInfo  = 0x05
	requestLines = 0x07
	setConfig    = 0x0D
	setValues    = 0x0F
)

const (
	flagUsed   = 1 << 0
	flagOutput = 1 << 3
)

// opened is how its files are opened. Closing them waits for nobody: at the end the
// kernel closes them when there is nobody left to answer.
const opened = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH

func (c *chip) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, opened, 0
}

// Ioctl is a call at the chip.
func (c *chip) Ioctl(_ context.Context, _ fs.FileHandle, cmd uint32, _ uint64, in, out []byte) (int32, syscall.Errno) {
	le := binary.LittleEndian
	copy(out, in)
	switch cmd & 0xFF {
	case getChipInfo: // name [32], label [32], lines
		copy(out, "gpiochip0")
		copy(out[32:], "kiosk-lamps")
		le.PutUint32(out[64:], uint32(len(c.lines)))
		return 0, 0
	case getLineInfo: // name [32], consumer [32], offset, attributes, flags
		n := le.Uint32(in[64:])
		if int(n) >= len(c.lines) {
			return 0, syscall.EINVAL
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		w := c.lines[n]
		clear(out)
		le.PutUint32(out[64:], n)
		copy(out, w.name)
		copy(out[32:], w.consumer)
		if w.consumer != "" {
			le.PutUint64(out[72:], flagUsed)
		}
		return 0, 0
	case requestLines: // offsets [64], consumer [32], config, lines at 560, fd at 588
		n := le.Uint32(in)
		consumer := string(bytes.TrimRight(in[256:288], "\x00"))
		if le.Uint32(in[560:]) != 1 || int(n) >= len(c.lines) {
			return 0, syscall.EINVAL
		}
		if c.line(int(n)).consumer == consumer {
			c.taken(int(n)) // it was closed, and its release is on the way
		}
		if errno := c.lines[n].request(consumer); errno != 0 {
			return 0, errno
		}
		fd, err := syscall.Open("/dev/"+lineFile(int(n)), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, syscall.EIO
		}
		le.PutUint32(out[588:], uint32(fd))
		return 0, 0
	}
	return 0, syscall.ENOTTY
}

func lineFile(n int) string { return fmt.Sprintf("line%d", n) }

func (w *wire) request(consumer string) syscall.Errno {
	w.chip.mu.Lock()
	defer w.chip.mu.Unlock()
	switch {
	case w.chip.gone:
		return syscall.ENODEV
	case w.consumer != "":
		return syscall.EBUSY
	}
	w.consumer, w.output, w.changes = consumer, false, 0
	w.requests++
	return 0
}

func (w *wire) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return w, opened, 0 // who has no handle isn't told of its release
}

// Release is the close of the line's descriptor, which frees it.
func (w *wire) Release(context.Context, fs.FileHandle) syscall.Errno {
	w.chip.mu.Lock()
	defer w.chip.mu.Unlock()
	w.consumer, w.output = "", false
	return 0
}

// Ioctl is a call at a line that was requested.
func (w *wire) Ioctl(_ context.Context, _ fs.FileHandle, cmd uint32, _ uint64, in, out []byte) (int32, syscall.Errno) {
	w.chip.mu.Lock()
	defer w.chip.mu.Unlock()
	copy(out, in)
	le := binary.LittleEndian
	switch {
	case w.chip.gone:
		return 0, syscall.ENODEV
	case cmd&0xFF == setConfig: // flags
		w.output = le.Uint64(in)&flagOutput != 0
		return 0, 0 // an output without a value is low at first
	case cmd&0xFF != setValues:
		return 0, syscall.ENOTTY
	case !w.output:
		return 0, syscall.EPERM
	}
	high := le.Uint64(in)&1 != 0 // bits, mask
	if le.Uint64(in[8:]) != 1 {
		return 0, syscall.EINVAL
	}
	if high != w.high {
		w.high = high
		w.changes++
	}
	return 0, 0
}

func (c *chip) line(n int) (w wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.lines[n]
	return wire{name: from.name, consumer: from.consumer, high: from.high, changes: from.changes, requests: from.requests}
}

// taken reports whether a line is still requested a second later.
func (c *chip) taken(n int) bool {
	for range 200 {
		if c.line(n).consumer == "" {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// unplug takes the chip away, or brings it back.
func (c *chip) unplug(gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = gone
}

// A dev is the folder of the devices.
type dev struct {
	fs.Inode
	chip *chip
}

func (d *dev) OnAdd(ctx context.Context) {
	file := fs.StableAttr{Mode: syscall.S_IFREG}
	d.AddChild("gpiochip0", d.NewPersistentInode(ctx, d.chip, file), true)
	for n, w := range d.chip.lines {
		d.AddChild(lineFile(n), d.NewPersistentInode(ctx, w, file), true)
	}
}

// inside is set in the process that sees the chip.
const inside = "KOSK_GPIO_INSIDE"

// TestPanelOnAChip runs TestInside where there is a chip.
func TestPanelOnAChip(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestInside$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("no mount namespace of our own: %v", err)
	}
	err = cmd.Wait()
	if strings.Contains(out.String(), noChip) {
		t.Skip(out.String())
	}
	if err != nil || !strings.Contains(out.String(), "--- PASS: TestInside") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// noChip is what the inside says where no chip can be made.
const noChip = "no chip can be made here"

func TestInside(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("runs in a mount namespace of its own, started by TestPanelOnAChip")
	}
	c := &chip{}
	for _, name := range []string{"LAMP_CARD", "", "LAMP_SLIP", "TAKEN", ""} {
		c.lines = append(c.lines, &wire{chip: c, name: name})
	}
	c.lines[3].consumer = "another program"
	// periph keeps the chip's file open, so that this is never unmounted: it ends with
	// the process.
	if _, err := fs.Mount("/dev", &dev{chip: c}, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true}}); err != nil {
		t.Fatalf("%s: %v", noChip, err)
	}
	lines := map[panel.Lamp]string{panel.CardReader: "LAMP_CARD", panel.ReceiptPrinter: "LAMP_SLIP", panel.DocumentPrinter: "4"}
	offset := map[panel.Lamp]int{panel.CardReader: 0, panel.ReceiptPrinter: 2, panel.DocumentPrinter: 4}
	for _, low := range []bool{false, true} {
		t.Run(fmt.Sprintf("active low %v", low), func(t *testing.T) {
			paneltest.Run(t, func(t *testing.T) paneltest.Rig {
				p, err := Open(Options{Chip: "kiosk-lamps", Lines: lines, ActiveLow: low, Log: quiet()})
				if err != nil {
					t.Fatal(err)
				}
				began := map[panel.Lamp]int{}
				for l, n := range offset {
					began[l] = c.line(n).changes // as it was made dark
				}
				return paneltest.Rig{Panel: p, Flashes: true, Lit: func(l panel.Lamp) (bool, int) {
					n, wired := offset[l]
					if !wired {
						return false, 0
					}
					w := c.line(n)
					return w.high != low, w.changes - began[l]
				}}
			})
		})
	}
	t.Run("every line is given back", func(t *testing.T) {
		for _, n := range offset {
			if w := c.line(n); c.taken(n) || w.requests == 0 {
				t.Errorf("%d: by %q, requested %d times", n, w.consumer, w.requests)
			}
		}
	})
	t.Run("what is not there", func(t *testing.T) { notThere(t, c) })
	t.Run("a chip that goes and comes", func(t *testing.T) { comesBack(t, c, lines) })
}

func notThere(t *testing.T, c *chip) {
	for name, tt := range map[string]struct {
		chip, line string
		want       error
	}{
		"by name":          {"gpiochip0", "LAMP_CARD", nil},
		"by path":          {"/dev/gpiochip0", "4", nil},
		"on any chip":      {"", "LAMP_SLIP", nil},
		"no such chip":     {"gpiochip1", "LAMP_CARD", panel.ErrUnplugged},
		"no such line":     {"gpiochip0", "LAMP_PAGE", panel.ErrUnplugged},
		"no such number":   {"gpiochip0", "5", panel.ErrUnplugged},
		"a number alone":   {"", "4", panel.ErrUnplugged},
		"another's":        {"gpiochip0", "TAKEN", panel.ErrFault},
		"a line below all": {"gpiochip0", "-1", panel.ErrUnplugged},
	} {
		p, err := Open(Options{Chip: tt.chip, Lines: map[panel.Lamp]string{panel.CardReader: tt.line}, Log: quiet()})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if err == nil && p.Close() != nil {
			t.Errorf("%s: not closed", name)
		}
	}
	if w := c.line(3); w.consumer != "another program" || w.requests > 0 {
		t.Errorf("another's line: %q, %d requests", w.consumer, w.requests)
	}
}

// comesBack takes the chip away under a lit lamp.
func comesBack(t *testing.T, c *chip, lines map[panel.Lamp]string) {
	synctest.Test(t, func(t *testing.T) {
		p, err := Open(Options{Lines: map[panel.Lamp]string{panel.CardReader: lines[panel.CardReader]}, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = p.Run(t.Context()) }()
		light := func(pattern panel.Pattern) error { return p.Light(t.Context(), panel.CardReader, pattern) }
		if err := light(panel.Continuous); err != nil || !c.line(0).high {
			t.Fatalf("lit %v, %v", c.line(0).high, err)
		}
		c.unplug(true)
		time.Sleep(time.Second)
		if err := light(panel.Off); !errors.Is(err, panel.ErrFault) || !strings.Contains(err.Error(), "no such device") {
			t.Errorf("unplugged: %v", err)
		}
		c.unplug(false)
		time.Sleep(2 * again)
		synctest.Wait()
		if w := c.line(0); w.high || p.Err() != nil || w.requests < 2 {
			t.Errorf("back: lit %v, %v, requested %d times", w.high, p.Err(), w.requests)
		}
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if c.taken(0) {
		t.Error("the line is not given back")
	}
}
