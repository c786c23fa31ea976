package msglog

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/digitorus/timestamp"

	"kosk/device/seal"
)

// A Report is what Verify found when nothing is wrong.
type Report struct {
	Entries  uint64 `json:"entries"`  // in the files
	First    uint64 `json:"first"`    // the first that is kept
	Last     uint64 `json:"last"`     // the last in the files
	Heads    uint64 `json:"heads"`    // signed
	Signed   uint64 `json:"signed"`   // entries up to here stand under the last head
	Unsigned uint64 `json:"unsigned"` // after it: not yet proved
	Torn     int64  `json:"torn"`     // bytes of an unfinished last line
	Known    uint64 `json:"known"`    // the entry of the checkpoint that lies there: the log reaches as far; 0: none that is ours
	Stamps   int    `json:"stamps"`   // of time-stamping authorities
	Head     Head   `json:"head"`
}

// A reading is what read found besides the entries.
type reading struct {
	Report
	last           uint64
	headLine       string
	torn           []torn
	firstPrev, end string

	heads    func() (Head, bool) // those that were not yet compared, in order
	head     Head                // the next one; N is 0 after the last
	compared uint64              // N of the newest that head has been
	pruned   string              // sum that a head has of the last entry that was pruned

	place     place     // of the last entry
	headPlace headPlace // of the last head; its entry's only as far as it was read

	scope
}

// A scope is what is to be read, and how. Zero: all of it, changing nothing.
type scope struct {
	repair  bool              // what is wrong behind the last head's entry is no damage but torn
	from    *checkpoint       // begin behind it
	upto    *checkpoint       // end with it
	known   *checkpoint       // the log must have it
	ended   func() error      // asked at each line: why no more is wanted, or nil; may be nil itself
	stamped map[uint64]string // sums that heads have of these entries; nil: nobody asks
}

// torn is what a cut left at the end of a file.
type torn struct {
	path      string
	at, bytes int64
}

// errTail ends the reading of a file whose tail is to be cut, errEnough one of
// which no more is wanted.
var (
	errTail   = errors.New("torn tail")
	errEnough = errors.New("enough")
)

// read goes through the files and checks chain and heads. With repair or upto, of the
// heads only the last one's signature is checked, which covers all before it by their
// hashes: there is one for each second. Errors: ErrDamaged, errPruned.
func read(dir string, key *ecdsa.PublicKey, s scope, seen func(Entry, string)) (*reading, error) {
	r := &reading{scope: s}
	path, begin := filepath.Join(dir, headsFile), int64(0)
	if s.from != nil {
		begin = r.beginAt(s.from)
	}
	if err := r.readHeads(path, begin, key); err != nil {
		return nil, err
	}
	if s.from != nil && r.Head.First != s.from.Head.First {
		return nil, errPruned
	}
	names, err := months(dir)
	if err != nil {
		return nil, err
	}
	again, stop := iter.Pull(headsIn(path, begin))
	defer stop()
	r.heads = again
	r.nextHead()
	for i, name := range names {
		at := int64(0)
		if s.from != nil && name < s.from.Entry.Month+monthSuffix {
			continue
		} else if s.from != nil && name == s.from.Entry.Month+monthSuffix {
			at = s.from.next
		}
		err := r.readMonth(dir, name, at, i == len(names)-1, seen)
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, r.complete()
}

// headsIn are the heads in a file that readHeads has been through.
func headsIn(path string, begin int64) iter.Seq[Head] {
	return func(yield func(Head) bool) {
		_ = eachLineFrom(path, begin, func(b []byte, whole bool, _ int64) error { // complete sees when it ended early
			raw, err := seal.Peek(headKind, b)
			var h Head
			if err != nil || json.Unmarshal(raw, &h) != nil || !whole || !yield(h) {
				return errEnough
			}
			return nil
		})
	}
}

// nextHead goes on to the next head whose entry was not pruned.
func (r *reading) nextHead() {
	first := max(1, r.Head.First)
	for {
		if r.compared == r.Head.N {
			r.head = Head{} // a bus that is serving may have signed more meanwhile
			return
		}
		r.head, _ = r.heads() // the zero Head when the file has become shorter
		if r.head.N == 0 {
			return
		}
		if r.compared = r.head.N; r.head.Seq >= first {
			return
		}
		if r.head.Seq == first-1 {
			r.pruned = r.head.Sum
		}
	}
}

// asked says why no more is to be read.
func (r *reading) asked() error {
	if r.ended == nil {
		return nil
	}
	return r.ended()
}

// readMonth reads one file of the chain, from a place on.
func (r *reading) readMonth(dir, name string, begin int64, newest bool, seen func(Entry, string)) error {
	path, month := filepath.Join(dir, name), strings.TrimSuffix(name, monthSuffix)
	err := eachLineFrom(path, begin, func(b []byte, whole bool, at int64) error {
		err := r.asked()
		if err != nil {
			return err
		}
		if !whole {
			err = fmt.Errorf("%w: torn in the middle", ErrDamaged)
		} else {
			err = r.entry(b, seen)
		}
		if err == nil {
			r.place = place{month, at}
			if r.last == r.Head.Seq {
				r.headPlace.entry = r.place
			}
			if r.upto != nil && r.last == r.upto.Head.Seq {
				return errEnough
			}
			return nil
		}
		if !newest || whole && !r.repair || r.last < r.Head.Seq {
			return err
		}
		info, errStat := os.Stat(path)
		if errStat != nil {
			return errStat
		}
		r.torn = append(r.torn, torn{path, at, info.Size() - at})
		return errTail
	})
	if errors.Is(err, errTail) {
		return nil
	}
	return err
}

// entry takes the line of an entry.
func (r *reading) entry(b []byte, seen func(Entry, string)) error {
	e, sum, err := decode(b)
	if err != nil {
		return fmt.Errorf("after entry %d: %w", r.last, err)
	}
	if err := r.next(e, sum); err != nil {
		return err
	}
	seen(e, sum)
	return nil
}

// next checks that an entry follows the one before, and is the one that the heads
// about it sign.
func (r *reading) next(e Entry, sum string) error {
	switch {
	case r.last == 0:
	case e.Seq != r.last+1:
		return fmt.Errorf("%w: entry %d follows %d", ErrDamaged, e.Seq, r.last)
	case e.Prev != r.end:
		return fmt.Errorf("%w: entry %d does not follow what stands before it", ErrDamaged, e.Seq)
	}
	for ; r.head.N > 0 && r.head.Seq == e.Seq; r.nextHead() {
		if r.head.Sum != sum {
			return fmt.Errorf("%w: entry %d is not the one that head %d signs", ErrDamaged, e.Seq, r.head.N)
		}
		if _, ok := r.stamped[e.Seq]; ok {
			r.stamped[e.Seq] = sum
		}
	}
	if r.last == 0 || e.Seq == r.Head.First { // pruning may have been cut off between its two steps
		r.First, r.firstPrev = e.Seq, e.Prev
	}
	r.last, r.end = e.Seq, sum
	r.Entries++
	return nil
}

// readHeads goes through the heads, to the last.
func (r *reading) readHeads(path string, begin int64, key *ecdsa.PublicKey) error {
	var last []byte
	all := !r.repair && r.upto == nil
	err := eachLineFrom(path, begin, func(b []byte, whole bool, at int64) error {
		if err := r.asked(); err != nil {
			return err
		}
		if !whole { // a head that never was finished says nothing
			r.torn = append(r.torn, torn{path, at, int64(len(b))})
			return nil
		}
		raw, err := seal.Peek(headKind, b)
		if all && err == nil {
			raw, err = seal.Open(headKind, b, key)
		}
		if err != nil {
			return fmt.Errorf("%w: head %d: %w", ErrDamaged, r.Heads+1, err)
		}
		var h Head
		if err := json.Unmarshal(raw, &h); err != nil {
			return fmt.Errorf("%w: head %d", ErrDamaged, r.Heads+1)
		}
		if h.N != r.Head.N+1 || h.Prev != r.headLine || h.Seq < r.Head.Seq || h.First < r.Head.First {
			return fmt.Errorf("%w: head %d does not follow head %d", ErrDamaged, h.N, r.Head.N)
		}
		r.Head, r.headLine, r.headPlace.at = h, hexSum(b), at
		last = append(last[:0], b...)
		r.Heads++
		if r.known != nil && h.N == r.known.Head.N && r.headLine != r.known.HeadSum {
			return fmt.Errorf("%w: head %d is not the one of the checkpoint", ErrDamaged, h.N)
		}
		if r.upto != nil && h.N == r.upto.Head.N {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && len(last) > 0 && !all {
		if _, err = seal.Open(headKind, last, key); err != nil {
			err = fmt.Errorf("%w: head %d: %w", ErrDamaged, r.Head.N, err)
		}
	}
	if err == nil && r.known != nil && r.Head.N < r.known.Head.N {
		err = fmt.Errorf("%w: cut off: a checkpoint was set at head %d, the last that is there is %d", ErrDamaged, r.known.Head.N, r.Head.N)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", headsFile, err)
	}
	return nil
}

// complete holds what the heads say against where the files begin and end.
func (r *reading) complete() error {
	first := max(1, r.Head.First)
	if r.last > 0 && r.First != first || r.last == 0 && first > 1 && r.Head.Seq >= first {
		return fmt.Errorf("%w: the first entry is %d, and %d is the first that was kept", ErrDamaged, r.First, first)
	}
	if r.First == 1 && r.firstPrev != "" {
		return fmt.Errorf("%w: something stood before the first entry", ErrDamaged)
	}
	if r.pruned != "" && r.last > 0 && r.firstPrev != r.pruned {
		return fmt.Errorf("%w: entry %d does not follow what was pruned", ErrDamaged, first)
	}
	if r.head.N > 0 {
		return fmt.Errorf("%w: cut off: head %d signs entry %d, the last that is there is %d", ErrDamaged, r.head.N, r.head.Seq, r.last)
	}
	if r.compared != r.Head.N {
		return fmt.Errorf("%w: head %d went while it was read", ErrDamaged, r.compared+1)
	}
	r.Last, r.Signed = r.last, r.Head.Seq
	for _, t := range r.torn {
		r.Torn += t.bytes
	}
	r.Unsigned = r.last - min(r.last, r.Head.Seq)
	return nil
}

// Verify checks a log offline. known is a head that somebody kept elsewhere, or
// nil: it finds a log that was cut together with its heads, and so does a checkpoint
// that lies beside them. Nothing is left unread for a checkpoint. roots are those of the
// time-stamping authorities whose stamps count; with nil, stamps are not looked at.
// Errors: ErrDamaged.
func Verify(dir string, key *ecdsa.PublicKey, known *Head, roots *x509.CertPool) (Report, error) {
	var stamped map[uint64]string
	if roots != nil {
		var err error
		if stamped, err = stampedIn(dir); err != nil {
			return Report{}, fmt.Errorf("verify message log: %w", err)
		}
	}
	set, _ := readCheckpoint(dir, key) // first: a bus that is serving may set another
	found := ""
	r, err := read(dir, key, scope{stamped: stamped, known: set}, func(e Entry, sum string) {
		if known != nil && e.Seq == known.Seq {
			found = sum
		}
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify message log: %w", err)
	}
	if known != nil && known.Seq >= r.First && found != known.Sum {
		return Report{}, fmt.Errorf("verify message log: %w: entry %d is not the one of the head that is known", ErrDamaged, known.Seq)
	}
	if set != nil {
		r.Known = set.Head.Seq
	}
	if roots != nil {
		if r.Stamps, err = verifyStamps(dir, stamped, roots); err != nil {
			return Report{}, fmt.Errorf("verify message log: %w", err)
		}
	}
	return r.Report, nil
}

// LastHead returns the newest signed head, as its line, and what it says.
func LastHead(dir string, key *ecdsa.PublicKey) ([]byte, Head, error) {
	var last []byte
	err := eachLine(filepath.Join(dir, headsFile), func(b []byte, whole bool, _ int64) error {
		if whole {
			last = append(last[:0], b...)
		}
		return nil
	})
	if err != nil {
		return nil, Head{}, fmt.Errorf("read head: %w", err)
	}
	h, err := ParseHead(last, key)
	return last, h, err
}

// ParseHead reads a head that somebody kept.
func ParseHead(b []byte, key *ecdsa.PublicKey) (Head, error) {
	raw, err := seal.Open(headKind, b, key)
	if err != nil {
		return Head{}, fmt.Errorf("read head: %w", err)
	}
	var h Head
	if err := json.Unmarshal(raw, &h); err != nil {
		return Head{}, fmt.Errorf("read head: %w", err)
	}
	return h, nil
}

// stampedIn are the entries whose heads have stamps, without their sums.
func stampedIn(dir string) (map[uint64]string, error) {
	stamped := map[uint64]string{}
	err := eachStamp(dir, func(s stampLine) error {
		stamped[s.Seq] = ""
		return nil
	})
	return stamped, err
}

// verifyStamps checks each stamp: by an authority under the roots, for
// time-stamping, over a sum that the chain has.
func verifyStamps(dir string, sums map[uint64]string, roots *x509.CertPool) (n int, err error) {
	err = eachStamp(dir, func(s stampLine) error {
		if sum := sums[s.Seq]; sum != "" { // else it was pruned
			if err := s.check(sum, roots); err != nil {
				return fmt.Errorf("%w: stamp of entry %d: %w", ErrDamaged, s.Seq, err)
			}
			n++
		}
		return nil
	})
	return n, err
}

func eachStamp(dir string, seen func(stampLine) error) error {
	n := 0
	return eachLine(filepath.Join(dir, stampsFile), func(b []byte, whole bool, _ int64) error {
		if !whole {
			return nil // it was being written
		}
		n++
		var s stampLine
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("%w: stamp %d", ErrDamaged, n)
		}
		return seen(s)
	})
}

func (s stampLine) check(sum string, roots *x509.CertPool) error {
	t, err := timestamp.Parse(s.Token)
	if err != nil {
		return err
	}
	if len(t.Certificates) == 0 {
		return fmt.Errorf("no certificate came along")
	}
	if t.HashAlgorithm != crypto.SHA256 || hex.EncodeToString(t.HashedMessage) != sum {
		return fmt.Errorf("it is about something else")
	}
	_, err = t.Certificates[0].Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: t.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	return err
}
