package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FS_IOC_SHUTDOWN takes an ext4 away at once. With flag 2 the journal isn't
// written out either, so that what is in memory alone is lost.
// Source: Linux, include/uapi/linux/ext4.h.
const (
	ioctlShutdown = 0x8004587d
	noLogFlush    = 2
)

// An ext4 is a file system in a file, on a loop device.
type ext4 struct {
	image, at string
}

// newExt4 makes the file system below dir. It is mounted by mount.
func newExt4(ctx context.Context, dir string) (*ext4, error) {
	e := &ext4{image: filepath.Join(dir, "ext4"), at: filepath.Join(dir, "mounted")}
	if err := os.Mkdir(e.at, 0o700); err != nil {
		return nil, err
	}
	f, err := os.Create(e.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(64<<20), f.Close()); err != nil {
		return nil, err
	}
	_, err = tool(ctx, "mkfs.ext4", "-q", "-F", e.image)
	return e, err
}

// mount always takes a new loop device. The one before may live on, shut down, in
// another process's name space that was copied while it was mounted; mount -o
// loop would find it and take it again.
func (e *ext4) mount(ctx context.Context) error {
	device, err := tool(ctx, "losetup", "--find", "--show", e.image)
	if err != nil {
		return err
	}
	device = strings.TrimSpace(device)
	_, err = tool(ctx, "mount", "-t", "ext4", device, e.at)
	// While it is mounted this says that the device goes with the mount.
	_, err2 := tool(ctx, "losetup", "--detach", device)
	return errors.Join(err, err2)
}

// unmount also lets the loop device go. EINVAL: nothing is mounted.
func (e *ext4) unmount() error { return unix.Unmount(e.at, 0) }

// shutdown is the power cut.
func (e *ext4) shutdown() error {
	fd, err := unix.Open(e.at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlSetPointerInt(fd, ioctlShutdown, noLogFlush), unix.Close(fd))
}

// tool runs a program of the system and returns what it prints; what it says is
// also in the error.
func tool(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), err
}
