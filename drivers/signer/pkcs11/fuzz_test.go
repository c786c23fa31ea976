package pkcs11

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"kosk/drivers/card"
	"kosk/drivers/signer"

	"github.com/miekg/pkcs11"
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

// FuzzProcessAnswer: whatever a process says, a module that writes past itself
// included, is tokens that can be looked at, or an error that has words.
func FuzzProcessAnswer(f *testing.F) {
	f.Add([]byte(`{"Tokens":[{"Key":1,"Serial":"AQ==","Cert":"MAA=","Min":4,"Max":12}]}`))
	f.Add([]byte(`{"Tokens":[null]}`))
	f.Add([]byte(`{"Error":"log in","Code":160}`))
	f.Add([]byte(`{"Error":"no keys","Fault":1}`))
	f.Add([]byte(`{"Error":"other","Fault":9}`))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, said []byte) {
		a, err := parseAnswer(said)
		for _, token := range a.Tokens {
			_ = token.check(nil)
		}
		var code pkcs11.Error
		known := errors.Is(err, errBroken) || errors.Is(err, signer.ErrNoKeys) || errors.Is(err, errOther) || errors.Is(err, ErrNoModule)
		if err != nil && !known && !errors.As(err, &code) {
			t.Errorf("untyped: %v", err)
		}
	})
}

// What goes wrong in the process is the same error here.
func TestErrorsComeBackAsTheyWere(t *testing.T) {
	for _, want := range []error{
		fmt.Errorf("open: %w", signer.ErrNoKeys), fmt.Errorf("sign: %w", errOther), ErrNoModule,
		fmt.Errorf("log in: %w", pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)), errors.New("digest of 3 bytes"),
	} {
		text, err := json.Marshal(refusal(want))
		if err != nil {
			t.Fatal(err)
		}
		_, got := parseAnswer(text)
		for _, is := range []error{signer.ErrNoKeys, errOther, card.ErrRemoved, ErrNoModule, pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)} {
			if errors.Is(want, is) != errors.Is(got, is) {
				t.Errorf("%v became %v", want, got)
			}
		}
		if got == nil || !strings.Contains(got.Error(), want.Error()) {
			t.Errorf("%v became %v", want, got)
		}
	}
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
