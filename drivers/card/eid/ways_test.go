package eid_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

func zoneOf(t *testing.T, p vcard.Person) eid.Access {
	t.Helper()
	a, err := eid.MRZ(p.DocumentNumber, icao.DateOf(p.BirthDate), icao.DateOf(p.Expires))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func number(t *testing.T, can string) eid.Access {
	t.Helper()
	a, err := eid.CAN(can)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Every mapping on every curve with every cipher opens the chip, with the number
// and with the zone.
func TestAllWaysInAreOpened(t *testing.T) {
	mappings := []icao.Mapping{icao.MappingGeneric, icao.MappingIntegrated, icao.MappingChip}
	ciphers := []icao.Cipher{icao.TripleDES, icao.AES128, icao.AES192, icao.AES256}
	for i, curve := range []int{12, 13, 15, 16, 17, 18} {
		for _, m := range mappings {
			for _, c := range ciphers {
				if m == icao.MappingChip && c == icao.TripleDES {
					continue
				}
				a := number(t, "123456")
				if (i+int(c))%2 == 0 {
					a = zoneOf(t, cardtest.Aygun())
				}
				t.Run(fmt.Sprintf("%v-%v-%d", m, c, curve), func(t *testing.T) {
					chip, err := eid.New(nil).Read(t.Context(), newCard(t, vcard.Profile{Mapping: m, Cipher: c, Curve: curve}), eid.Request{Access: a})
					if err != nil {
						t.Fatal(err)
					}
					if got := chip.MappingDone; got != (m == icao.MappingChip) {
						t.Errorf("mapping proves a key: %v", got)
					}
					if chip.Groups[1] == nil || chip.COM == nil {
						t.Error("the files were not read")
					}
				})
			}
		}
	}
}

func TestChipWithoutPACEIsOpenedByItsZone(t *testing.T) {
	for name, p := range map[string]vcard.Profile{"plain": {BAC: true}, "short": {BAC: true, ShortOnly: true}, "proves": {BAC: true, ChipAuth: true}} {
		t.Run(name, func(t *testing.T) {
			chip, err := eid.New(nil).Read(t.Context(), newCard(t, p), eid.Request{Access: zoneOf(t, cardtest.Aygun())})
			if err != nil {
				t.Fatal(err)
			}
			if chip.Protocol != "BAC-3DES" || chip.CardAccess != nil {
				t.Errorf("protocol = %q, ef.cardaccess of %d bytes", chip.Protocol, len(chip.CardAccess))
			}
			if chip.ChipDone != p.ChipAuth {
				t.Errorf("chip authentication: %v", chip.ChipDone)
			}
			t.Logf("commands %d, bytes %d", chip.APDUs, chip.Bytes)
		})
	}
}

func TestWrongPasswordsAreNamed(t *testing.T) {
	other := cardtest.Aygun()
	other.DocumentNumber = "AA1234568"
	tests := []struct {
		name    string
		profile vcard.Profile
		access  eid.Access
		want    error
	}{
		{"another zone, PACE", vcard.Profile{}, zoneOf(t, other), card.ErrWrongMRZ},
		{"another zone, integrated mapping", vcard.Profile{Mapping: icao.MappingIntegrated}, zoneOf(t, other), card.ErrWrongMRZ},
		{"another zone, BAC", vcard.Profile{BAC: true}, zoneOf(t, other), card.ErrWrongMRZ},
		{"another number, integrated mapping", vcard.Profile{Mapping: icao.MappingIntegrated}, number(t, "654321"), card.ErrWrongCAN},
		{"another number, mapping that proves", vcard.Profile{Mapping: icao.MappingChip}, number(t, "654321"), card.ErrWrongCAN},
		{"a number for a chip that wants the zone", vcard.Profile{BAC: true}, number(t, "123456"), card.ErrWantsMRZ},
		{"a number for a card without PACE and application", vcard.Profile{Other: true}, number(t, "123456"), card.ErrForeign},
		{"no password", vcard.Profile{}, eid.Access{}, card.ErrForeign},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := eid.New(nil).Read(t.Context(), newCard(t, tt.profile), eid.Request{Access: tt.access})
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := eid.MRZ("aa 1", icao.Date{}, icao.Date{}); !errors.Is(err, card.ErrWrongMRZ) {
		t.Errorf("no zone: error = %v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, number(t, "123456")); got != "access" {
			t.Errorf("with %s a password prints as %s", verb, got)
		}
	}
}

// A chip that advertises PACE is never opened without it, whatever else it knows:
// neither when PACE fails, nor when none of its ways is spoken here.
func TestNothingIsOpenedWithLessThanWasAdvertised(t *testing.T) {
	unspoken := icao.Infos([]icao.PACEInfo{icao.GenericPACE(icao.AES128, 9)})
	for name, access := range map[string][]byte{"unspoken": unspoken, "spoken": icao.CardAccess(icao.GenericPACE(icao.AES128, 12))} {
		t.Run(name, func(t *testing.T) {
			begun := false
			q := &quirky{Card: newCard(t, vcard.Profile{BAC: true})}
			q.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
				begun = begun || raw[1] == icao.INSGetChallenge
				if raw[1] == icao.INSReadBinary && raw[2] == 0x9C {
					return append(append([]byte(nil), access...), 0x90, 0x00), nil
				}
				return next(raw)
			}
			if _, err := eid.New(nil).Read(t.Context(), q, eid.Request{Access: zoneOf(t, cardtest.Aygun())}); err == nil {
				t.Error("the chip was opened")
			}
			if begun {
				t.Error("basic access control was begun")
			}
		})
	}
}

// The proof of Chip Authentication is of the session, whatever the way in.
func TestChipProvesItsKey(t *testing.T) {
	for _, c := range []icao.Cipher{icao.TripleDES, icao.AES128, icao.AES192, icao.AES256} {
		for _, curve := range []int{12, 13, 15, 16, 17, 18} {
			p := vcard.Profile{ChipAuth: true, Cipher: c, Curve: curve}
			chip, err := eid.New(nil).ReadHolder(t.Context(), newCard(t, p), "123456", nil)
			if err != nil {
				t.Fatalf("%v, %d: %v", c, curve, err)
			}
			if err := icao.VerifyChip(chip.Groups[14], chip.ChipSecret, chip.ChipResponse); err != nil {
				t.Errorf("%v, %d: %v", c, curve, err)
			}
			if chip.ActiveDone || chip.APDUs > 16 {
				t.Errorf("%v, %d: %d commands, active authentication %v", c, curve, chip.APDUs, chip.ActiveDone)
			}
		}
	}
}

// A chip that cannot prove its key is read nevertheless: it is for device/identity
// to say what it is.
func TestChipThatProvesNothingIsHandedOn(t *testing.T) {
	for name, p := range map[string]vcard.Profile{
		"another key":          {ChipAuth: true, Cloned: true},
		"no key":               {ChipAuth: true, CannotProve: true},
		"another key, 3DES":    {ChipAuth: true, Cloned: true, Cipher: icao.TripleDES},
		"no key, 3DES":         {ChipAuth: true, CannotProve: true, Cipher: icao.TripleDES},
		"another key, by zone": {ChipAuth: true, Cloned: true, BAC: true},
		"another key, short":   {ChipAuth: true, Cloned: true, ShortOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			chip, err := eid.New(nil).Read(t.Context(), newCard(t, p), eid.Request{Access: zoneOf(t, cardtest.Aygun())})
			if err != nil {
				t.Fatal(err)
			}
			if err := icao.VerifyChip(chip.Groups[14], chip.ChipSecret, chip.ChipResponse); !chip.ChipDone || err == nil {
				t.Error("it proved its key")
			}
		})
	}
}

// A portrait over 32 KiB is out of reach of the plain instruction.
func TestPortraitIsReadOnRequest(t *testing.T) {
	for _, size := range []int{0, 19_885, 32_767, 32_768, 32_769, 40_000, 70_000} {
		for _, short := range []bool{false, true} {
			p := vcard.Profile{Portrait: size, ShortOnly: short}
			c := newCard(t, p)
			chip, err := eid.New(nil).Read(t.Context(), c, eid.Request{Access: number(t, "123456"), Portrait: true})
			if err != nil {
				t.Fatalf("%d bytes, short %v: %v", size, short, err)
			}
			if got := len(chip.Groups[2]); got != size {
				t.Errorf("%d bytes, short %v: %d", size, short, got)
			}
			sod, err := icao.ParseSOD(chip.SOD)
			if err != nil || size > 0 && sod.Check(2, chip.Groups[2]) != nil {
				t.Errorf("%d bytes, short %v: not the signed one, %v", size, short, err)
			}
			if chip, err = eid.New(nil).ReadHolder(t.Context(), c, "123456", nil); err != nil || chip.Groups[2] != nil {
				t.Errorf("%d bytes: read though nobody asked, %v", size, err)
			}
		}
	}
}

func TestIssuingAuthorityIsRead(t *testing.T) {
	chip, err := eid.New(nil).ReadHolder(t.Context(), newCard(t, vcard.Profile{Issuing: true}), "123456", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := icao.ParseDG12(chip.Groups[12])
	if err != nil || got.Authority != "ASAN XİDMƏT" || got.Issued.Format("2006-01-02") != "2023-03-01" {
		t.Errorf("group 12 = %+v, %v", got, err)
	}
}

// The commands that a card of the figures costs: group 2 of 19,885 bytes, 11, 14
// and 15.
func TestCommandsOfTheFigures(t *testing.T) {
	tests := []struct {
		name     string
		profile  vcard.Profile
		portrait bool
		most     int
	}{
		{"short, strict", vcard.Profile{ShortOnly: true, Portrait: 19_885}, true, 112},
		{"short, strict, chip authentication", vcard.Profile{ShortOnly: true, Portrait: 19_885, ChipAuth: true}, true, 112},
		{"extended", vcard.Profile{Portrait: 19_885}, true, 22},
		{"extended, chip authentication", vcard.Profile{Portrait: 19_885, ChipAuth: true}, true, 22},
		{"extended, mapping that proves", vcard.Profile{Portrait: 19_885, Mapping: icao.MappingChip}, true, 22},
		{"no photo", vcard.Profile{Portrait: 19_885}, false, 16},
		{"no photo, chip authentication", vcard.Profile{Portrait: 19_885, ChipAuth: true}, false, 16},
		{"no photo, mapping that proves", vcard.Profile{Portrait: 19_885, Mapping: icao.MappingChip}, false, 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chip, err := eid.New(nil).Read(t.Context(), newCard(t, tt.profile), eid.Request{Access: number(t, "123456"), Portrait: tt.portrait})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("commands %d, bytes %d, %s", chip.APDUs, chip.Bytes, chip.Protocol)
			if chip.APDUs > tt.most {
				t.Errorf("commands = %d, want at most %d", chip.APDUs, tt.most)
			}
		})
	}
}

// What a person types of the zone opens chips of both kinds, and is in no print.
func TestAHolderIsReadByTheZone(t *testing.T) {
	p := cardtest.Aygun()
	zone := card.Zone{Number: p.DocumentNumber, Birth: p.BirthDate, Expires: p.Expires}
	for name, profile := range map[string]vcard.Profile{"PACE": {}, "BAC": {BAC: true}} {
		early := 0
		chip, err := eid.New(nil).ReadHolderByZone(t.Context(), newCard(t, profile), zone, func([]byte) { early++ })
		if err != nil || chip.Groups[1] == nil || early != 1 {
			t.Errorf("%s: %v, the name came %d times", name, err, early)
		}
		wrong := zone
		wrong.Birth = wrong.Birth.AddDate(0, 0, 1)
		if _, err := eid.New(nil).ReadHolderByZone(t.Context(), newCard(t, profile), wrong, nil); !errors.Is(err, card.ErrWrongMRZ) {
			t.Errorf("%s, another day: %v", name, err)
		}
	}
	if _, err := eid.New(nil).ReadHolderByZone(t.Context(), newCard(t, vcard.Profile{}), card.Zone{}, nil); !errors.Is(err, card.ErrWrongMRZ) {
		t.Errorf("no zone: %v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, zone); got != "zone" {
			t.Errorf("with %s a zone prints as %s", verb, got)
		}
	}
	if raw, err := json.Marshal(zone); err != nil || string(raw) != `"zone"` {
		t.Errorf("a zone is encoded as %s, %v", raw, err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "zone", zone, "in", struct{ Z card.Zone }{zone})
	if strings.Contains(log.String(), p.DocumentNumber) {
		t.Errorf("a log holds %s", &log)
	}
}
