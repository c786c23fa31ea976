package eid_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// A quirky card changes what a well-behaved one says.
type quirky struct {
	card.Card
	transmit func(ctx context.Context, command []byte, next func([]byte) ([]byte, error)) ([]byte, error)
	most     int
}

func (q *quirky) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return q.transmit(ctx, command, func(c []byte) ([]byte, error) { return q.Card.Transmit(ctx, c) })
}

func (q *quirky) MaxTransceive() int { return q.most }

// piecemeal hands long answers out by GET RESPONSE, as T=0 readers do.
func piecemeal(c card.Card) card.Card {
	var kept []byte
	return &quirky{Card: c, most: 261, transmit: func(_ context.Context, command []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
		answer := kept
		if command[1] != icao.INSGetResponse {
			var err error
			if answer, err = next(command); err != nil {
				return nil, err
			}
		}
		const piece = 100
		if len(answer)-2 <= piece {
			return answer, nil
		}
		kept = answer[piece:]
		left := byte(min(len(kept)-2, 255))
		return append(bytes.Clone(answer[:piece]), 0x61, left), nil
	}}
}

// exact wants to be asked for exactly as much as there is: 6Cxx otherwise.
func exact(c card.Card) card.Card {
	var kept []byte
	return &quirky{Card: c, most: 261, transmit: func(_ context.Context, command []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
		answer := kept
		if kept = nil; answer == nil {
			var err error
			if answer, err = next(command); err != nil {
				return nil, err
			}
			if n := len(answer) - 2; n > 0 && n < 256 {
				kept = answer
				return []byte{0x6C, byte(n)}, nil
			}
		}
		return answer, nil
	}}
}

func TestReadersAndChipsWithQuirksAreRead(t *testing.T) {
	for name, wrap := range map[string]func(card.Card) card.Card{"61xx": piecemeal, "6Cxx": exact} {
		t.Run(name, func(t *testing.T) {
			c := wrap(newCard(t, vcard.Profile{}))
			chip, err := eid.New(nil).ReadHolder(t.Context(), c, "123456", nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(chip.Groups) != 4 {
				t.Errorf("%d groups, want 4", len(chip.Groups))
			}
		})
	}
}

// A chip that answers for ever, nonsense, or changed bytes must end in a typed
// error, never in a loop or a panic.
func TestBrokenChipsEndInTypedErrors(t *testing.T) {
	endless := func(_ context.Context, _ []byte, _ func([]byte) ([]byte, error)) ([]byte, error) {
		return []byte{0xAA, 0x61, 0x01}, nil
	}
	tests := []struct {
		name     string
		transmit func(context.Context, []byte, func([]byte) ([]byte, error)) ([]byte, error)
		want     error
	}{
		{"more and more", endless, card.ErrProtocol},
		{"one byte", answerAlways(0x90), card.ErrProtocol},
		{"nothing but done", answerAlways(0x90, 0x00), card.ErrProtocol},
		{"knows no command", answerAlways(0x6D, 0x00), card.ErrForeign},
		{"knows no file", answerAlways(0x6A, 0x82), card.ErrForeign},
		{"no structure", answerAlways(1, 2, 3, 0x90, 0x00), card.ErrProtocol},
		{"empty security infos", answerAlways(0x31, 0x00, 0x90, 0x00), card.ErrWantsMRZ},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			c := &quirky{Card: newCard(t, vcard.Profile{}), transmit: func(ctx context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
				asked++
				return tt.transmit(ctx, raw, next)
			}}
			defer func() {
				if asked > 100 {
					t.Errorf("it was asked %d times", asked)
				}
			}()
			if _, err := eid.New(nil).ReadHolder(t.Context(), c, "123456", nil); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func answerAlways(answer ...byte) func(context.Context, []byte, func([]byte) ([]byte, error)) ([]byte, error) {
	return func(context.Context, []byte, func([]byte) ([]byte, error)) ([]byte, error) { return answer, nil }
}

// A byte changed on the way is noticed, wherever in the dialogue it is.
func TestChangedAnswersAreNoticed(t *testing.T) {
	for command := 1; command <= 15; command++ {
		n := 0
		c := &quirky{Card: newCard(t, vcard.Profile{})}
		c.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
			answer, err := next(raw)
			if n++; n == command && err == nil && len(answer) > 2 {
				answer = bytes.Clone(answer)
				answer[len(answer)/2] ^= 0x10
			}
			return answer, err
		}
		_, err := eid.New(nil).ReadHolder(t.Context(), c, "123456", nil)
		switch {
		case command == 1: // EF.ATR/INFO is a hint, not evidence
		case command == 3: // MSE has no answer to change
		case err == nil:
			t.Errorf("command %d: a changed answer was taken", command)
		case !typed(err):
			t.Errorf("command %d: error = %v has no type", command, err)
		}
	}
}

// ways are cards that are opened and that prove their keys in all ways.
var ways = map[string]vcard.Profile{
	"active":             {},
	"bac":                {BAC: true},
	"integrated mapping": {Mapping: icao.MappingIntegrated},
	"chip mapping":       {Mapping: icao.MappingChip},
	"agreement":          {ChipAuth: true},
	"agreement in 3DES":  {ChipAuth: true, Cipher: icao.TripleDES},
	"agreement by bac":   {ChipAuth: true, BAC: true},
	"all groups, short":  {ChipAuth: true, Issuing: true, Portrait: 2000, ShortOnly: true},
}

// Whatever answer is changed on the way, of whatever way in: either the reading
// ends in a typed error, or what was read proves nothing.
func TestChangedAnswersOfAllWaysAreNoticed(t *testing.T) {
	for name, p := range ways {
		t.Run(name, func(t *testing.T) {
			last := false
			for command := 1; !last; command++ {
				n, changed := 0, false
				q := &quirky{Card: newCard(t, p), most: 4096}
				q.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
					answer, err := next(raw)
					if n++; n == command && err == nil && len(answer) > 2 {
						answer, changed = bytes.Clone(answer), true
						answer[len(answer)/2] ^= 0x10
					}
					return answer, err
				}
				chip, err := eid.New(nil).Read(t.Context(), q, eid.Request{Access: zoneOf(t, cardtest.Aygun()), Portrait: true})
				last = n < command
				switch {
				case err == nil && changed && command > 1 && !proves(chip): // as it should
				case err == nil && changed && command > 1:
					t.Errorf("command %d: a changed answer was taken", command)
				case err != nil && !typed(err):
					t.Errorf("command %d: error = %v has no type", command, err)
				}
			}
		})
	}
}

// proves says whether a chip proved its key in the way that it was asked to.
func proves(chip *card.Chip) bool {
	switch {
	case chip.MappingDone:
		s, err := icao.ParseCardSecurity(chip.CardSecurity)
		return err == nil && s.Infos.VerifyMapping(chip.MappingKey, chip.MappingData) == nil
	case chip.ChipDone:
		return icao.VerifyChip(chip.Groups[14], chip.ChipSecret, chip.ChipResponse) == nil
	}
	return icao.VerifyActive(chip.Groups[15], chip.Groups[14], chip.ActiveChallenge, chip.ActiveResponse) == nil
}

func typed(err error) bool {
	for _, kind := range []error{card.ErrProtocol, card.ErrWrongCAN, card.ErrWrongMRZ, card.ErrWantsMRZ, card.ErrForeign} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// A card pulled out at any command is told as that.
func TestCardPulledOutAtEveryCommand(t *testing.T) {
	for name, p := range ways {
		t.Run(name, func(t *testing.T) {
			request := eid.Request{Access: zoneOf(t, cardtest.Aygun()), Portrait: true}
			whole, err := eid.New(nil).Read(t.Context(), newCard(t, p), request)
			if err != nil {
				t.Fatal(err)
			}
			for p.RemovedAfter = 1; p.RemovedAfter < whole.APDUs; p.RemovedAfter++ {
				if _, err := eid.New(nil).Read(t.Context(), newCard(t, p), request); !errors.Is(err, card.ErrRemoved) {
					t.Errorf("after %d of %d commands: error = %v", p.RemovedAfter, whole.APDUs, err)
				}
			}
		})
	}
}

// Some chips want the long form of a length for their signature, and others break
// with it, with the session or without: none of them is a copy.
func TestSignatureIsAskedForInTheFormThatTheChipKnows(t *testing.T) {
	tests := []struct {
		name    string
		profile vcard.Profile
		most    int // of the reader; 0 is not known
		proves  bool
	}{
		{"long only", vcard.Profile{ActiveKey: icao.KeyRSA, ProvesLong: true}, 65536, true},
		{"long only, and doesn't say that it knows it", vcard.Profile{ActiveKey: icao.KeyRSA, ProvesLong: true, NoCardInfo: true}, 65536, true},
		{"long only, of a curve", vcard.Profile{ProvesLong: true}, 0, true},
		{"short only", vcard.Profile{ActiveKey: icao.KeyRSA, ProvesShort: true}, 65536, true},
		{"forgets its session over the long form", vcard.Profile{ActiveKey: icao.KeyRSA, LosesProof: true, Portrait: 2000}, 65536, true},
		{"long only, and the reader is short", vcard.Profile{ProvesLong: true}, 261, false},
		{"neither", vcard.Profile{ActiveKey: icao.KeyRSA, ProvesLong: true, LosesProof: true, Portrait: 2000}, 65536, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := &quirky{Card: newCard(t, tt.profile), most: tt.most}
			q.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
				if tt.most == 261 && len(raw) > 261 {
					t.Errorf("%d bytes for a short reader", len(raw))
				}
				return next(raw)
			}
			early := 0
			chip, err := eid.New(nil).Read(t.Context(), q, eid.Request{
				Access: zoneOf(t, cardtest.Aygun()), Portrait: true, Early: func([]byte) { early++ },
			})
			if err != nil {
				t.Fatal(err)
			}
			if early != 1 || !chip.ActiveDone || proves(chip) != tt.proves {
				t.Errorf("proves = %v, want %v; group 1 was told %d times", proves(chip), tt.proves, early)
			}
			if tt.proves && len(chip.Groups[2]) != tt.profile.Portrait {
				t.Errorf("group 2 of %d bytes, want %d", len(chip.Groups[2]), tt.profile.Portrait)
			}
		})
	}
}

// A read that ends close to what a short command can bring is asked for so that the
// answer fits, protection and all: whatever is left of a file, and whatever the
// reader carries.
func TestAnswersFitIntoWhatWasAskedFor(t *testing.T) {
	read := func(portrait, most int, p vcard.Profile) {
		t.Helper()
		p.Portrait = portrait
		q := &quirky{Card: newCard(t, p), most: most}
		refused := 0
		q.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
			answer, err := next(raw)
			if len(answer) > 2 && answer[len(answer)-2] == 0x67 {
				refused++
			}
			if c, err := icao.ParseCommand(raw); most == 261 && (err != nil || c.Extended()) {
				t.Errorf("a long command for a short reader: % X, %v", raw, err)
			}
			return answer, err
		}
		chip, err := eid.New(nil).Read(t.Context(), q, eid.Request{Access: number(t, "123456"), Portrait: true})
		if err != nil || len(chip.Groups[2]) != portrait || refused > 0 {
			t.Errorf("%d bytes, reader of %d: %v, %d commands refused", portrait, most, err, refused)
		}
	}
	const block = 4063 // of a chip that says 4096
	for left := 220; left <= 260; left += 5 {
		read(block+left, 0, vcard.Profile{})
		read(2*block+left, 65536, vcard.Profile{Cipher: icao.TripleDES})
	}
	for most := 259; most <= 300; most += 3 {
		read(1000, most, vcard.Profile{})
	}
	for left := 215; left <= 265; left += 10 { // beyond what a plain offset reaches
		read(9*block+left, 0, vcard.Profile{})
	}
}

// A chip that gives less at once than it should is asked for less, on its first
// block: 223 bytes, 191, 127. What worked is remembered for the next card of its kind.
func TestReadsGetSmallerUntilTheChipGivesOne(t *testing.T) {
	tests := []struct {
		name    string
		profile vcard.Profile
		lost    int // commands refused the first time
		reads   bool
	}{
		{"191", vcard.Profile{ShortOnly: true, ReadsMost: 191}, 1, true},
		{"127", vcard.Profile{ShortOnly: true, ReadsMost: 127}, 2, true},
		{"127, of one that says 4096", vcard.Profile{ReadsMost: 127}, 3, true},
		{"191, forgets its session", vcard.Profile{ShortOnly: true, ReadsMost: 191, LosesSession: true}, 1, true},
		{"127, of one that says 4096, forgets its session", vcard.Profile{ReadsMost: 127, LosesSession: true}, 3, true},
		{"next to nothing", vcard.Profile{ReadsMost: 90}, 3 + 1, false},
		{"next to nothing, forgets its session", vcard.Profile{ReadsMost: 90, LosesSession: true}, 3 + 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused := 0
			q := &quirky{Card: newCard(t, tt.profile)}
			q.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
				answer, err := next(raw)
				if n := len(answer); n >= 2 && answer[n-2] == 0x67 {
					refused++
				}
				return answer, err
			}
			r := eid.New(nil)
			for _, lost := range []int{tt.lost, 0} {
				refused = 0
				chip, err := r.Read(t.Context(), q, eid.Request{Access: number(t, "123456")})
				if (err == nil) != tt.reads || refused != lost && tt.reads || refused > tt.lost {
					t.Errorf("%v after %d refusals, want %d", err, refused, lost)
				}
				if err == nil && !proves(chip) {
					t.Error("it proves nothing")
				}
				if err := q.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
