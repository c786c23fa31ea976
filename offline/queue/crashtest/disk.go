package crashtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A disk is a model of one folder on a disk that loses power. The rules are:
//   - what a sync covered when it returned is there;
//   - of what was written since, each sector of 512 bytes may be there or not,
//     in any order, and one may be half there;
//   - names reach the disk in the order in which they changed, up to any of
//     them, whatever became of what they name.
type disk struct {
	folder string
	lag    int // the last so many syncs were lies
	lies   []flush
	names  map[string]*file // as the kernel shows them
	kept   map[string]*file // as the disk has them
	moves  []move           // of names, not yet synced
	offset map[string]int64 // of write, by path
	// renames counts the files that took another's place.
	renames int
}

const (
	sector      = 512
	longestFile = 1 << 28 // bytes; the whole of it is held
)

// A file is what the disk surely has, and what came after.
type file struct {
	base    []byte
	changes []change
}

// A change is a write, or with nil data a new size.
type change struct {
	data []byte
	at   int64 // or the size
	by   *call
}

type move struct {
	do func(map[string]*file)
	by *call
}

// A flush is a sync that has returned; nil file: of the folder.
type flush struct {
	file *file
	by   *call
}

func newDisk(folder string, lag int) *disk {
	return &disk{folder: folder, lag: lag, names: map[string]*file{}, kept: map[string]*file{}, offset: map[string]int64{}}
}

// load makes a disk that holds what the folder holds now.
func load(folder string, lag int) (*disk, error) {
	d := newDisk(folder, lag)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		d.names[e.Name()] = &file{base: b}
	}
	d.kept = maps.Clone(d.names)
	return d, nil
}

// within returns the name in the folder of a path; "" the folder itself.
func (d *disk) within(path string) (name string, ok bool) {
	if path == d.folder {
		return "", true
	}
	name, ok = strings.CutPrefix(path, d.folder+"/")
	return name, ok
}

// target returns the path that a call is about; "": none that can be read.
func (c *call) target() string {
	at := 0
	if c.name == "openat" || c.name == "unlinkat" || strings.HasPrefix(c.name, "renameat") {
		at = 1
	}
	path, err := c.path(at)
	if err != nil {
		return "" // a pipe, a socket
	}
	return path
}

// concerns reports whether the call is about the folder.
func (d *disk) concerns(c *call) bool {
	_, ours := d.within(c.target())
	return ours
}

// begins carries out a call as the kernel's memory sees it.
func (d *disk) begins(c *call) error {
	path := c.target()
	name, ours := d.within(path)
	if !ours || c.end != 0 && !c.real {
		return nil
	}
	switch c.name {
	case "openat":
		d.offset[path] = 0
		return d.open(c, name)
	case "unlinkat":
		delete(d.names, name)
		d.moves = append(d.moves, move{func(m map[string]*file) { delete(m, name) }, c})
	case "renameat", "renameat2":
		return d.rename(c, name)
	case "pwrite64", "write", "ftruncate":
		return d.change(c, path, name)
	case "fdatasync", "fsync", "close":
	default:
		return fmt.Errorf("%s of %s can't be replayed", c.name, name)
	}
	return nil
}

func (d *disk) open(c *call, name string) error {
	f := d.names[name]
	if len(c.args) < 3 {
		return errTrace
	}
	if name == "" || f == nil && !strings.Contains(c.args[2], "O_CREAT") {
		return nil
	}
	if f == nil {
		f = &file{}
		d.names[name] = f
		d.moves = append(d.moves, move{func(m map[string]*file) { m[name] = f }, c})
	}
	if strings.Contains(c.args[2], "O_TRUNC") {
		f.changes = append(f.changes, change{by: c})
	}
	return nil
}

func (d *disk) rename(c *call, name string) error {
	path, err := c.path(3)
	if err != nil {
		return err
	}
	to, ours := d.within(path)
	f := d.names[name]
	if !ours || f == nil {
		return fmt.Errorf("rename of %s to %s can't be replayed", name, path)
	}
	do := func(m map[string]*file) {
		delete(m, name)
		m[to] = f
	}
	if d.names[to] != nil {
		d.renames++
	}
	do(d.names)
	d.moves = append(d.moves, move{do, c})
	return nil
}

func (d *disk) change(c *call, path, name string) error {
	f := d.names[name]
	if f == nil {
		return nil // removed, and still open
	}
	if size := c.number(1); c.name == "ftruncate" {
		if size < 0 || size > longestFile {
			return fmt.Errorf("size %d: %w", size, errTrace)
		}
		f.changes = append(f.changes, change{at: size, by: c})
		return nil
	}
	data, err := c.bytes(1)
	if err != nil {
		return err
	}
	at := d.offset[path]
	if c.name == "pwrite64" {
		at = c.number(3)
	} else {
		d.offset[path] += int64(len(data))
	}
	if at < 0 || at > longestFile {
		return fmt.Errorf("write at %d: %w", at, errTrace)
	}
	f.changes = append(f.changes, change{data: data, at: at, by: c})
	return nil
}

// ends takes note of a sync that has returned.
func (d *disk) ends(c *call) error {
	if c.name != "fdatasync" && c.name != "fsync" || !c.real {
		return nil
	}
	path, err := c.path(0)
	if err != nil {
		return err
	}
	name, ours := d.within(path)
	if !ours || name != "" && d.names[name] == nil {
		return nil
	}
	d.lies = append(d.lies, flush{d.names[name], c})
	for len(d.lies) > d.lag {
		s := d.lies[0]
		d.lies = d.lies[1:]
		if s.file != nil {
			s.file.settle(s.by)
			continue
		}
		for len(d.moves) > 0 && d.moves[0].by.end != 0 && d.moves[0].by.end < s.by.begin {
			d.moves[0].do(d.kept)
			d.moves = d.moves[1:]
		}
	}
	return nil
}

// settle makes sure what had been written when the sync began.
func (f *file) settle(by *call) {
	f.changes = slices.DeleteFunc(f.changes, func(c change) bool {
		covered := c.by.end != 0 && c.by.end < by.begin
		if covered {
			f.base = c.apply(f.base)
		}
		return covered
	})
}

func (c change) apply(image []byte) []byte {
	end := c.at + int64(len(c.data))
	if grow := end - int64(len(image)); grow > 0 {
		image = append(image, make([]byte, grow)...)
	}
	if c.data == nil {
		return image[:c.at]
	}
	copy(image[c.at:], c.data)
	return image
}

// cut returns what the folder may hold if power fails now.
func (d *disk) cut(r *rand.Rand) map[string][]byte {
	names := maps.Clone(d.kept)
	for _, m := range d.moves[:r.IntN(len(d.moves)+1)] {
		m.do(names)
	}
	state := map[string][]byte{}
	for name, f := range names {
		state[name] = f.cut(r)
	}
	return state
}

// cut returns what the file may hold if power fails now.
func (f *file) cut(r *rand.Rand) []byte {
	image := slices.Clone(f.base)
	changes := slices.Clone(f.changes)
	switch r.IntN(3) {
	case 0: // some sectors are lost
		loss := []float64{0.1, 0.5, 0.9}[r.IntN(3)]
		for _, c := range changes {
			for _, s := range c.sectors() {
				if r.Float64() >= loss {
					image = s.apply(image)
				}
			}
		}
		return image
	case 1: // they came in another order, and not all
		r.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	}
	// In order or not: up to one of them, and of that one the first part, which
	// ends within a sector.
	if len(changes) == 0 {
		return image
	}
	last := r.IntN(len(changes))
	for _, c := range changes[:last] {
		image = c.apply(image)
	}
	if c := changes[last]; c.data != nil {
		sectors := c.sectors()
		whole := r.IntN(len(sectors))
		for _, s := range sectors[:whole] {
			image = s.apply(image)
		}
		half := sectors[whole]
		half.data = half.data[:len(half.data)/2]
		image = half.apply(image)
	}
	return image
}

// sectors splits a write where the disk does.
func (c change) sectors() []change {
	if len(c.data) == 0 {
		return []change{c}
	}
	var all []change
	for data, at := c.data, c.at; len(data) > 0; {
		n := min(len(data), int(sector-at%sector))
		all = append(all, change{data: data[:n], at: at, by: c.by})
		data, at = data[n:], at+int64(n)
	}
	return all
}
