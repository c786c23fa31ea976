// Package volatile is a disk for tests that loses its power: a file system of one
// folder in this process's memory, on which a cut takes what wasn't synced, and
// which can be made to fail at any change. Mounting it needs root and /dev/fuse.
//
// It knows regular files with one name each, and keeps no owners and no rights.
// Start with New and Mount.
package volatile

import (
	"context"
	"io"
	"log"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A Disk keeps contents by fsync of the file and names by fsync of the folder, as
// POSIX has it and no more.
type Disk struct {
	fs.Inode
	lies bool // a sync says yes and keeps nothing

	mu      sync.Mutex
	dead    bool
	changes int // calls that change something, so far
	last    int // the power is cut at the change after so many; -1: never
	bad     int // this change fails; -1: none
	badly   syscall.Errno
	names   map[string]*memory
	kept    map[string]*memory
}

// A memory is one file of it. The disk's mutex guards it.
type memory struct {
	fs.Inode
	of   *Disk
	data []byte
	kept []byte
}

// New makes a disk that holds the files. On one that lies, a sync keeps nothing.
func New(files map[string][]byte, lies bool) *Disk {
	d := &Disk{lies: lies, names: map[string]*memory{}, last: -1, bad: -1}
	for name, b := range files {
		d.names[name] = &memory{of: d, data: slices.Clone(b), kept: slices.Clone(b)}
	}
	d.kept = maps.Clone(d.names)
	return d
}

// Mount serves it at the folder until unmount is called, which waits until the
// server has ended. This process must map none of its files: nobody else could
// serve the page faults.
func (d *Disk) Mount(at string) (unmount func() error, err error) {
	s, err := fs.Mount(at, d, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, FsName: "volatile", Name: "kosk",
		Logger: log.New(io.Discard, "", 0), // of a connection that ends it says so
	}})
	if err != nil {
		return nil, err
	}
	return func() error {
		// By force, which ends the connection, because a copy of the mount may live
		// on in the name space of another process.
		if err := unix.Unmount(at, unix.MNT_FORCE); err != nil {
			return err
		}
		s.Wait()
		return nil
	}, nil
}

// CutAfter cuts the power at the change that comes after n more: it isn't done.
func (d *Disk) CutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = d.changes + n
}

// FailAfter has the one change that comes after n more fail, and nothing else.
func (d *Disk) FailAfter(n int, errno syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad, d.badly = d.changes+n, errno
}

// Changes is how many calls have changed something, or tried to: making, writing,
// sizing, syncing, renaming, removing.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// Dead says whether the power was cut.
func (d *Disk) Dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Cut ends the power: every call fails from now on. It returns what is left when
// nothing is that wasn't synced.
func (d *Disk) Cut() map[string][]byte { return d.Left()[0] }

// Left ends the power, and returns what may be left: with or without the names that
// weren't synced, and with or without the contents. First that with neither.
func (d *Disk) Left() []map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	var all []map[string][]byte
	for _, names := range []map[string]*memory{d.kept, d.names} {
		synced, written := map[string][]byte{}, map[string][]byte{}
		for name, m := range names {
			synced[name], written[name] = slices.Clone(m.kept), slices.Clone(m.data)
		}
		all = append(all, synced, written)
	}
	return all
}

// powered runs do under the lock, while there is power.
func (d *Disk) powered(do func()) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return syscall.EIO
	}
	do()
	return fs.OK
}

// change is powered for what changes something.
func (d *Disk) change(do func()) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.changes
	d.changes++
	if d.dead = d.dead || n == d.last; d.dead {
		return syscall.EIO
	}
	if n == d.bad {
		return d.badly
	}
	do()
	return fs.OK
}

var (
	_ fs.NodeOnAdder  = (*Disk)(nil)
	_ fs.NodeCreater  = (*Disk)(nil)
	_ fs.NodeUnlinker = (*Disk)(nil)
	_ fs.NodeRenamer  = (*Disk)(nil)
	_ fs.NodeFsyncer  = (*Disk)(nil)

	_ fs.NodeOpener    = (*memory)(nil)
	_ fs.NodeGetattrer = (*memory)(nil)
	_ fs.NodeSetattrer = (*memory)(nil)
	_ fs.NodeReader    = (*memory)(nil)
	_ fs.NodeWriter    = (*memory)(nil)
	_ fs.NodeFsyncer   = (*memory)(nil)
	_ fs.NodeFlusher   = (*memory)(nil)
)

// OnAdd shows the files that were there before.
func (d *Disk) OnAdd(ctx context.Context) {
	for name, m := range d.names {
		d.AddChild(name, d.NewPersistentInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFREG}), false)
	}
}

// Create makes a file whose name is not yet kept.
func (d *Disk) Create(ctx context.Context, name string, _, _ uint32, _ *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	m := &memory{of: d}
	if errno := d.change(func() { d.names[name] = m }); errno != fs.OK {
		return nil, nil, 0, errno
	}
	return d.NewInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFREG}), nil, 0, fs.OK
}

// Unlink takes a name away: for good with the next sync of the folder.
func (d *Disk) Unlink(_ context.Context, name string) syscall.Errno {
	return d.change(func() { delete(d.names, name) })
}

// Rename moves within the folder; there is no other.
func (d *Disk) Rename(_ context.Context, name string, _ fs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.ENOSYS
	}
	return d.change(func() {
		d.names[to] = d.names[name]
		delete(d.names, name)
	})
}

// Fsync keeps the names.
func (d *Disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return d.change(func() {
		if !d.lies {
			d.kept = maps.Clone(d.names)
		}
	})
}

// Open lets the kernel keep its pages, which the maps of bbolt need.
func (m *memory) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, m.of.powered(func() {})
}

// Getattr tells the size.
func (m *memory) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return m.of.powered(func() { m.attributes(&out.Attr) })
}

func (m *memory) attributes(a *fuse.Attr) {
	a.Mode, a.Size, a.Blksize, a.Nlink = syscall.S_IFREG|0o600, uint64(len(m.data)), 4096, 0
	for _, named := range m.of.names {
		if named == m {
			a.Nlink++
		}
	}
}

// Setattr changes the size, and nothing else.
func (m *memory) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return m.of.change(func() {
		if size, ok := in.GetSize(); ok {
			m.resize(int(size))
		}
		m.attributes(&out.Attr)
	})
}

// resize gives the file another size. What is new is zero.
func (m *memory) resize(size int) {
	if grow := size - len(m.data); grow > 0 {
		m.data = append(m.data, make([]byte, grow)...)
	}
	m.data = m.data[:size]
}

// write writes at a place.
func (m *memory) write(data []byte, at int) {
	if end := at + len(data); end > len(m.data) {
		m.resize(end)
	}
	copy(m.data[at:], data)
}

// Read reads.
func (m *memory) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := 0
	errno := m.of.powered(func() {
		if off < int64(len(m.data)) {
			n = copy(dest, m.data[off:])
		}
	})
	return fuse.ReadResultData(dest[:n]), errno
}

// Write writes to memory alone.
func (m *memory) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	return uint32(len(data)), m.of.change(func() { m.write(data, int(off)) })
}

// Fsync keeps the contents.
func (m *memory) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return m.of.change(func() {
		if !m.of.lies {
			m.kept = append(m.kept[:0], m.data...)
		}
	})
}

// Flush comes at close and keeps nothing.
func (m *memory) Flush(context.Context, fs.FileHandle) syscall.Errno { return fs.OK }
