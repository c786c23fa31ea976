package msglog

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	Stamps   int    `json:"stamps"`   // of time-stamping authorities
	Head     Head   `json:"head"`
}

// A reading is what read found besides the entries.
type reading struct {
	Report
	last           uint64
	headLine       string
	torn           []torn
	sums           map[uint64]string // by entry: those that heads speak of
	firstPrev, end string
}

// torn is what a cut left at the end of a file.
type torn struct {
	path      string
	at, bytes int64
}

// errTail ends the reading of a file whose tail is to be cut.
var errTail = errors.New("torn tail")

// read goes through all files and checks chain and heads. With repair, what is
// wrong behind the last head's entry is no damage but torn. Errors: ErrDamaged.
func read(dir string, key *ecdsa.PublicKey, repair bool, seen func(Entry, string)) (*reading, error) {
	r := &reading{sums: map[uint64]string{}}
	heads, err := r.readHeads(filepath.Join(dir, headsFile), key)
	if err != nil {
		return nil, err
	}
	wanted := map[uint64]bool{}
	for _, h := range heads {
		wanted[h.Seq] = true
	}
	names, err := months(dir)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		err := r.readMonth(filepath.Join(dir, name), wanted, i == len(names)-1, repair, seen)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, r.compare(heads)
}

// readMonth reads one file of the chain.
func (r *reading) readMonth(path string, wanted map[uint64]bool, newest, repair bool, seen func(Entry, string)) error {
	err := eachLine(path, func(b []byte, whole bool, at int64) error {
		err := error(nil)
		if !whole {
			err = fmt.Errorf("%w: torn in the middle", ErrDamaged)
		} else {
			err = r.entry(b, wanted, seen)
		}
		if err == nil {
			return nil
		}
		if !newest || whole && !repair || r.last < r.Head.Seq {
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

func (r *reading) entry(b []byte, wanted map[uint64]bool, seen func(Entry, string)) error {
	e, sum, err := decode(b)
	if err != nil {
		return fmt.Errorf("after entry %d: %w", r.last, err)
	}
	if err := r.next(e, sum, wanted[e.Seq]); err != nil {
		return err
	}
	seen(e, sum)
	return nil
}

// next checks that an entry follows the one before.
func (r *reading) next(e Entry, sum string, wanted bool) error {
	switch {
	case r.last == 0:
	case e.Seq != r.last+1:
		return fmt.Errorf("%w: entry %d follows %d", ErrDamaged, e.Seq, r.last)
	case e.Prev != r.end:
		return fmt.Errorf("%w: entry %d does not follow what stands before it", ErrDamaged, e.Seq)
	}
	if r.last == 0 || e.Seq == r.Head.First { // pruning may have been cut off between its two steps
		r.First, r.firstPrev = e.Seq, e.Prev
	}
	if wanted {
		r.sums[e.Seq] = sum
	}
	r.last, r.end = e.Seq, sum
	r.Entries++
	return nil
}

func (r *reading) readHeads(path string, key *ecdsa.PublicKey) ([]Head, error) {
	var heads []Head
	err := eachLine(path, func(b []byte, whole bool, at int64) error {
		if !whole { // a head that never was finished says nothing
			r.torn = append(r.torn, torn{path, at, int64(len(b))})
			return nil
		}
		raw, err := seal.Open(headKind, b, key)
		if err != nil {
			return fmt.Errorf("%w: head %d: %w", ErrDamaged, len(heads)+1, err)
		}
		var h Head
		if err := json.Unmarshal(raw, &h); err != nil {
			return fmt.Errorf("%w: head %d", ErrDamaged, len(heads)+1)
		}
		if h.N != r.Head.N+1 || h.Prev != r.headLine || h.Seq < r.Head.Seq || h.First < r.Head.First {
			return fmt.Errorf("%w: head %d does not follow head %d", ErrDamaged, h.N, r.Head.N)
		}
		r.Head, r.headLine = h, hexSum(b)
		heads = append(heads, h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", headsFile, err)
	}
	r.Heads = uint64(len(heads))
	return heads, nil
}

// compare holds what the heads say against what the files hold.
func (r *reading) compare(heads []Head) error {
	first := max(1, r.Head.First)
	if r.last > 0 && r.First != first || r.last == 0 && first > 1 && r.Head.Seq >= first {
		return fmt.Errorf("%w: the first entry is %d, and %d is the first that was kept", ErrDamaged, r.First, first)
	}
	if r.First == 1 && r.firstPrev != "" {
		return fmt.Errorf("%w: something stood before the first entry", ErrDamaged)
	}
	for _, h := range heads {
		if h.Seq < first {
			if h.Seq == first-1 && r.last > 0 && r.firstPrev != h.Sum {
				return fmt.Errorf("%w: entry %d does not follow what was pruned", ErrDamaged, first)
			}
			continue
		}
		if h.Seq > r.last {
			return fmt.Errorf("%w: cut off: head %d signs entry %d, the last that is there is %d", ErrDamaged, h.N, h.Seq, r.last)
		}
		if r.sums[h.Seq] != h.Sum {
			return fmt.Errorf("%w: entry %d is not the one that head %d signs", ErrDamaged, h.Seq, h.N)
		}
	}
	r.Last, r.Signed = r.last, r.Head.Seq
	for _, t := range r.torn {
		r.Torn += t.bytes
	}
	r.Unsigned = r.last - min(r.last, r.Head.Seq)
	return nil
}

// Verify checks a log offline. known is a head that somebody kept elsewhere, or
// nil: it finds a log that was cut together with its heads. roots are those of the
// time-stamping authorities whose stamps count; with nil, stamps are not looked at.
// Errors: ErrDamaged.
func Verify(dir string, key *ecdsa.PublicKey, known *Head, roots *x509.CertPool) (Report, error) {
	sums := map[uint64]string{}
	r, err := read(dir, key, false, func(e Entry, sum string) {
		if known != nil && e.Seq == known.Seq {
			sums[e.Seq] = sum
		}
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify message log: %w", err)
	}
	if known != nil && known.Seq >= r.First && sums[known.Seq] != known.Sum {
		return Report{}, fmt.Errorf("verify message log: %w: entry %d is not the one of the head that is known", ErrDamaged, known.Seq)
	}
	if roots != nil {
		if r.Stamps, err = verifyStamps(dir, r.sums, roots); err != nil {
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

// verifyStamps checks each stamp: by an authority under the roots, for
// time-stamping, over a sum that the chain has.
func verifyStamps(dir string, sums map[uint64]string, roots *x509.CertPool) (n int, err error) {
	err = eachLine(filepath.Join(dir, stampsFile), func(b []byte, whole bool, _ int64) error {
		if !whole {
			return nil // it was being written
		}
		var s stampLine
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("%w: stamp %d", ErrDamaged, n+1)
		}
		if sum, kept := sums[s.Seq]; kept {
			if err := s.check(sum, roots); err != nil {
				return fmt.Errorf("%w: stamp of entry %d: %w", ErrDamaged, s.Seq, err)
			}
			n++
		}
		return nil
	})
	return n, err
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
