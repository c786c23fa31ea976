package pkcs11

import (
	"context"
	"errors"
	"testing"

	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// FuzzCounter: a record is refused, or says a number of tries that there can be.
func FuzzCounter(f *testing.F) {
	f.Add([]byte{0x80, 1, 3, 0x90, 1, 3})
	f.Add([]byte{0x80, 1, 3, 0x90, 1, 4})
	f.Add([]byte{0x80, 1, 3, 0x90, 1, 0, 0x83, 2, 0, 0})
	f.Add([]byte{0x90, 0x81, 1, 2})
	f.Fuzz(func(t *testing.T, record []byte) {
		left, err := parseCounter(record)
		if err == nil && (left < 0 || left > most) {
			t.Errorf("%d tries left of % X", left, record)
		}
		if err != nil && !errors.Is(err, card.ErrProtocol) {
			t.Errorf("untyped: %v", err)
		}
	})
}

// A babbler is a card that answers with pieces of a script.
type babbler struct {
	script   []byte
	commands int
}

func (b *babbler) ATR() []byte  { return nil }
func (b *babbler) Close() error { return nil }

// Transmit takes the length of the answer from the script, then the answer.
func (b *babbler) Transmit(context.Context, []byte) ([]byte, error) {
	b.commands++
	if len(b.script) == 0 {
		return nil, card.ErrRemoved
	}
	n := min(int(b.script[0]), len(b.script)-1)
	answer := b.script[1 : 1+n]
	b.script = b.script[1+n:]
	return answer, nil
}

// FuzzAnswers: whatever a card answers, asking for its tries ends after a few
// commands, with a number or with a typed error.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{2, 0x90, 0, 2, 0x90, 0, 8, 0x80, 1, 3, 0x90, 1, 3, 0x90, 0})
	f.Add([]byte{2, 0x90, 0, 2, 0x90, 0, 2, 0x61, 6, 8, 0x80, 1, 3, 0x90, 1, 3, 0x90, 0})
	f.Add([]byte{2, 0x90, 0, 2, 0x6C, 6, 2, 0x6A, 0x82})
	f.Add([]byte{1, 0x90})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := &babbler{script: script}
		left, err := counter(t.Context(), b, signer.Signature)
		if b.commands > 6 {
			t.Errorf("%d commands", b.commands)
		}
		switch {
		case err == nil && (left < 0 || left > most):
			t.Errorf("%d tries left", left)
		case err != nil && !errors.Is(err, card.ErrProtocol) && !errors.Is(err, card.ErrRemoved) && !errors.Is(err, errNoCounter):
			t.Errorf("untyped: %v", err)
		}
	})
}

// FuzzPurpose: any bytes that a card calls a certificate are of one key or none.
func FuzzPurpose(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		if key := purpose(der); key < 0 || key > signer.Signature {
			t.Errorf("key %d", key)
		}
	})
}

func TestCounterThatIsRead(t *testing.T) {
	tests := []struct {
		name   string
		record []byte
		want   int // -1 is refused
	}{
		{"estEID 3.5", []byte{0x80, 1, 3, 0x90, 1, 2}, 2},
		{"blocked", []byte{0x80, 1, 3, 0x90, 1, 0}, 0},
		{"more after it", []byte{0x80, 1, 3, 0x90, 1, 3, 0x83, 2, 0, 0}, 3},
		{"more than there can be", []byte{0x80, 1, 3, 0x90, 1, 4}, -1},
		{"no limit", []byte{0x90, 1, 3}, -1},
		{"no counter", []byte{0x80, 1, 3}, -1},
		{"cut off", []byte{0x80, 1, 3, 0x90, 1}, -1},
		{"nothing", nil, -1},
	}
	for _, tt := range tests {
		got, err := parseCounter(tt.record)
		if tt.want < 0 && !errors.Is(err, card.ErrProtocol) || tt.want >= 0 && (err != nil || got != tt.want) {
			t.Errorf("%s: %d, %v", tt.name, got, err)
		}
	}
}
