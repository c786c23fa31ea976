package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"kosk/drivers/speech"
)

func file(rate int, samples []int16) []byte {
	h := Header(rate, len(samples))
	return Append(h[:], samples)
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	want := []int16{0, 1, -1, 32767, -32768, 12}
	got, err := Decode(bytes.NewReader(file(22050, want)), 100)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rate != 22050 || !slices.Equal(got.Samples, want) {
		t.Errorf("got %+v", got)
	}
}

func TestDecode(t *testing.T) {
	good := file(22050, []int16{1, 2, 3})
	bogus := bytes.Clone(good)
	binary.LittleEndian.PutUint32(bogus[4:], 0x7ffff024)
	binary.LittleEndian.PutUint32(bogus[40:], 0x7ffff000)
	list := slices.Concat(good[:36], []byte("LIST\x03\x00\x00\x00abc\x00"), good[36:])
	stereo := bytes.Clone(good)
	stereo[22] = 2
	slow := bytes.Clone(good)
	binary.LittleEndian.PutUint32(slow[24:], 1)
	early := slices.Concat(good[:12], good[36:])
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint32(huge[16:], 1<<30)

	for name, c := range map[string]struct {
		in   []byte
		max  int
		want []int16
		err  error
	}{
		"a length that nobody knew when the header was written": {bogus, 10, []int16{1, 2, 3}, nil},
		"half a sample at the end":                              {bogus[:len(bogus)-1], 10, []int16{1, 2}, nil},
		"another chunk, of odd length, before the data":         {list, 10, []int16{1, 2, 3}, nil},
		"no samples":               {good[:44], 10, []int16{}, nil},
		"as many as allowed":       {good, 3, []int16{1, 2, 3}, nil},
		"more than allowed":        {bogus, 2, nil, ErrLong},
		"nothing":                  {nil, 10, nil, ErrFormat},
		"another file":             {[]byte("OggS 0123456789 0123456789"), 10, nil, ErrFormat},
		"two channels":             {stereo, 10, nil, ErrFormat},
		"one sample a second":      {slow, 10, nil, ErrFormat},
		"data before format":       {early, 10, nil, ErrFormat},
		"a format chunk of 1 GiB":  {huge, 10, nil, ErrFormat},
		"a header without a chunk": {good[:12], 10, nil, ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(bytes.NewReader(c.in), c.max)
			if !errors.Is(err, c.err) || !slices.Equal(got.Samples, c.want) {
				t.Errorf("got %v, %v, want %v, %v", got.Samples, err, c.want, c.err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(file(22050, []int16{1, 2, 3}))
	f.Add(file(8000, nil))
	f.Add([]byte("RIFF\x24\xf0\xff\x7fWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x22\x56\x00\x00\x44\xac\x00\x00\x02\x00\x10\x00data\x00\xf0\xff\x7f\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const max = 1000
		c, err := Decode(bytes.NewReader(b), max)
		if err != nil {
			return
		}
		if len(c.Samples) > max {
			t.Fatalf("%d samples, %d allowed", len(c.Samples), max)
		}
		again, err := Decode(bytes.NewReader(file(c.Rate, c.Samples)), max)
		if err != nil || again.Rate != c.Rate || !slices.Equal(again.Samples, c.Samples) {
			t.Fatalf("encoded and decoded again: %v, %v", again, err)
		}
		_ = speech.Clip(c).Duration()
	})
}
