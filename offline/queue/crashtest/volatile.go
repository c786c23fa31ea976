package crashtest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A volatile is a file system of one folder in this process's memory, on which
// what isn't synced is forgotten at the cut: contents by fsync of the file,
// names by fsync of the folder, as POSIX has it and no more.
type volatile struct {
	fs.Inode
	lies bool // a sync says yes and keeps nothing

	mu    sync.Mutex
	dead  bool
	names map[string]*memory
	kept  map[string]*memory
}

// A memory is one file of it. The volatile's mutex guards it.
type memory struct {
	fs.Inode
	of   *volatile
	data []byte
	kept []byte
}

// newVolatile makes a file system that holds the files.
func newVolatile(files map[string][]byte, lies bool) *volatile {
	v := &volatile{lies: lies, names: map[string]*memory{}}
	for name, b := range files {
		v.names[name] = &memory{of: v, data: slices.Clone(b), kept: slices.Clone(b)}
	}
	v.kept = maps.Clone(v.names)
	return v
}

// mount serves it at the folder until it is unmounted. The folder must not be
// touched by this process, whose page faults nobody else could serve.
func (v *volatile) mount(at string) (*fuse.Server, error) {
	return fs.Mount(at, v, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "volatile", Name: "kosk"}})
}

// cut ends the power: every call fails from now on. It returns what is left.
func (v *volatile) cut() map[string][]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dead = true
	left := map[string][]byte{}
	for name, m := range v.kept {
		left[name] = slices.Clone(m.kept)
	}
	return left
}

// powered runs do under the lock, while there is power.
func (v *volatile) powered(do func()) syscall.Errno {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dead {
		return syscall.EIO
	}
	do()
	return fs.OK
}

var (
	_ fs.NodeOnAdder  = (*volatile)(nil)
	_ fs.NodeCreater  = (*volatile)(nil)
	_ fs.NodeUnlinker = (*volatile)(nil)
	_ fs.NodeRenamer  = (*volatile)(nil)
	_ fs.NodeFsyncer  = (*volatile)(nil)

	_ fs.NodeOpener    = (*memory)(nil)
	_ fs.NodeGetattrer = (*memory)(nil)
	_ fs.NodeSetattrer = (*memory)(nil)
	_ fs.NodeReader    = (*memory)(nil)
	_ fs.NodeWriter    = (*memory)(nil)
	_ fs.NodeFsyncer   = (*memory)(nil)
	_ fs.NodeFlusher   = (*memory)(nil)
)

// OnAdd shows the files that were there before.
func (v *volatile) OnAdd(ctx context.Context) {
	for name, m := range v.names {
		v.AddChild(name, v.NewPersistentInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFREG}), false)
	}
}

// Create makes a file whose name is not yet kept.
func (v *volatile) Create(ctx context.Context, name string, _, _ uint32, _ *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	m := &memory{of: v}
	if errno := v.powered(func() { v.names[name] = m }); errno != fs.OK {
		return nil, nil, 0, errno
	}
	return v.NewInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFREG}), nil, 0, fs.OK
}

// Unlink takes a name away: for good with the next sync of the folder.
func (v *volatile) Unlink(_ context.Context, name string) syscall.Errno {
	return v.powered(func() { delete(v.names, name) })
}

// Rename moves within the folder; there is no other.
func (v *volatile) Rename(_ context.Context, name string, _ fs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.ENOSYS
	}
	return v.powered(func() {
		v.names[to] = v.names[name]
		delete(v.names, name)
	})
}

// Fsync keeps the names.
func (v *volatile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return v.powered(func() {
		if !v.lies {
			v.kept = maps.Clone(v.names)
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
	a.Mode, a.Size, a.Blksize = syscall.S_IFREG|0o600, uint64(len(m.data)), 4096
}

// Setattr changes the size, and nothing else.
func (m *memory) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return m.of.powered(func() {
		if size, ok := in.GetSize(); ok {
			m.data = change{at: int64(size)}.apply(m.data)
		}
		m.attributes(&out.Attr)
	})
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
	return uint32(len(data)), m.of.powered(func() { m.data = change{data: data, at: off}.apply(m.data) })
}

// Fsync keeps the contents.
func (m *memory) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return m.of.powered(func() {
		if !m.of.lies {
			m.kept = append(m.kept[:0], m.data...)
		}
	})
}

// Flush comes at close and keeps nothing.
func (m *memory) Flush(context.Context, fs.FileHandle) syscall.Errno { return fs.OK }

// unserve unmounts, and waits until the server has ended. It is by force, which
// ends the connection, because a copy of the mount may live on in the name space
// of another process.
func unserve(s *fuse.Server, at string) error {
	if err := unix.Unmount(at, unix.MNT_FORCE); err != nil {
		return err
	}
	s.Wait()
	return nil
}
