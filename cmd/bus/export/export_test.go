package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/device/request"
	"kosk/offline"
	"kosk/offline/queue"
)

// exported is what a real queue writes of requests with these bodies.
func exported(t testing.TB, bodies ...string) (all []byte, ids []request.ID) {
	t.Helper()
	q, err := queue.Open(filepath.Join(t.TempDir(), "queue.db"), queue.Options{MaxSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- q.Run(ctx) }()
	var out bytes.Buffer
	for _, body := range bodies {
		id := request.NewID(time.Now())
		if err := q.Put(ctx, offline.Item{ID: string(id), Stream: "citizen", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		if err := q.Export(string(id), &out); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	cancel()
	if err := errors.Join(<-ended, q.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), ids
}

func items(b []byte) (all []Item, err error) {
	err = Each(bytes.NewReader(b), func(i Item) error {
		all = append(all, i)
		return nil
	})
	return all, err
}

func TestReadsWhatAQueueExports(t *testing.T) {
	bodies := []string{"one", strings.Repeat("{\n", 100_000), "three"}
	b, ids := exported(t, bodies...)
	got, err := items(b)
	if err != nil || len(got) != len(bodies) {
		t.Fatalf("%d, %v", len(got), err)
	}
	for i := range got {
		if got[i].ID != ids[i] || string(got[i].Sealed) != bodies[i] || got[i].Kiosk.State != "queued" {
			t.Errorf("%d: %s, %d bytes, %+v", i, got[i].ID, len(got[i].Sealed), got[i].Kiosk)
		}
	}
}

// TestFindsEveryChange: of what counts, no byte can be changed, and no end be cut off,
// unseen. What the first line says besides is for people.
func TestFindsEveryChange(t *testing.T) {
	b, ids := exported(t, "the sealed body of one")
	rapid.Check(t, func(t *rapid.T) {
		c := bytes.Clone(b)
		if at := rapid.IntRange(0, len(b)-1).Draw(t, "at"); rapid.Bool().Draw(t, "cut") {
			c = c[:at]
		} else {
			c[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "with"))
		}
		got, err := items(c)
		if err == nil && (len(got) != 1 || got[0].ID != ids[0] && bytes.Contains(c, []byte(ids[0])) || string(got[0].Sealed) != "the sealed body of one") {
			t.Fatalf("%q, %v", c, err)
		}
		if err != nil && !errors.Is(err, ErrExport) {
			t.Fatal(err)
		}
	})
}

func TestRefuses(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("body")))
	good := `{"id":"01K9ZZZZZZZZZZZZZZZZZZZZZ1","size":4,"sha256":"` + sum + `"}` + "\nbody"
	if got, err := items([]byte(good)); err != nil || len(got) != 1 {
		t.Fatalf("%d, %v", len(got), err)
	}
	for name, text := range map[string]string{
		"nothing":           "",
		"no line":           "x",
		"no json":           "x\n",
		"another json":      "{}\n",
		"no id":             strings.Replace(good, "01K9ZZ", "../../", 1),
		"a small letter":    strings.Replace(good, "01K9", "01k9", 1),
		"no size":           strings.Replace(good, `"size":4,`, "", 1),
		"less than nothing": strings.Replace(good, `"size":4`, `"size":-4`, 1),
		"very much":         strings.Replace(good, `"size":4`, `"size":9223372036854775807`, 1),
		"too much":          strings.Replace(good, `"size":4`, fmt.Sprintf(`"size":%d`, request.MaxSealed+1), 1),
		"cut off":           good[:len(good)-1],
		"something after":   good + "x",
		"an end of line":    good + "\n",
		"the next cut off":  good + good[:40],
		"another body":      good[:len(good)-1] + "Y",
		"a long line":       strings.Repeat(" ", maxHead) + good,
	} {
		if got, err := items([]byte(text)); !errors.Is(err, ErrExport) {
			t.Errorf("%s: %d requests, %v", name, len(got), err)
		}
	}
	if err := Each(strings.NewReader(good+good), func(Item) error { return fs.ErrClosed }); !errors.Is(err, fs.ErrClosed) || errors.Is(err, ErrExport) {
		t.Errorf("who looks fails: %v", err)
	}
}

func FuzzEach(f *testing.F) {
	b, _ := exported(f, "one", "two")
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := Each(bytes.NewReader(b), func(i Item) error {
			if _, err := request.ParseID(string(i.ID)); err != nil || len(i.Sealed) == 0 {
				t.Errorf("%q: %d bytes", i.ID, len(i.Sealed))
			}
			total += len(i.Sealed)
			return nil
		})
		if total > len(b) || err == nil && total == 0 || err != nil && !errors.Is(err, ErrExport) {
			t.Errorf("%d of %d bytes, %v", total, len(b), err)
		}
	})
}
