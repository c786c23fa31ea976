package eid

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

var update = flag.Bool("update", false, "record the transcripts anew from the virtual card")

// seeded gives a Reader whose keys and challenges are the same every time, so
// that a transcript fits.
func seeded() *Reader {
	r := New(nil)
	r.random = rand.NewChaCha8([32]byte{'k', 'o', 's', 'k'})
	return r
}

func record(t *testing.T, path string, p vcard.Profile) {
	t.Helper()
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	c, err := vcard.New(pki, cardtest.Aygun(), p)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString("# The virtual card of a test person, read with a seeded Reader.\n")
	_, _ = seeded().Read(t.Context(), cardtest.Record(c, &out), request(t, p)) // errors are recorded too
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// request opens a card by its number, or by its zone where nothing else will do.
func request(t *testing.T, p vcard.Profile) Request {
	t.Helper()
	access, err := CAN("123456")
	if p.BAC {
		access, err = MRZ("AA1234567", icao.Date{YY: 90, MM: 5, DD: 12}, icao.Date{YY: 33, MM: 3, DD: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	return Request{Access: access, Portrait: p.Portrait > 0}
}

// A transcript fixes every byte that goes to the chip: a change in what is sent
// shows here before a real chip refuses it.
func TestTranscripts(t *testing.T) {
	tests := []struct {
		name    string
		profile vcard.Profile
		apdus   int
		want    error
	}{
		{"extended", vcard.Profile{}, 15, nil},
		{"short", vcard.Profile{ShortOnly: true}, 19, nil},
		{"loses-session", vcard.Profile{LosesSession: true}, 29, nil},
		{"removed", vcard.Profile{RemovedAfter: 11}, 0, card.ErrRemoved},
		{"bac", vcard.Profile{BAC: true}, 14, nil},
		{"integrated-mapping", vcard.Profile{Mapping: icao.MappingIntegrated, Cipher: icao.AES256, Curve: 13}, 15, nil},
		{"chip-mapping", vcard.Profile{Mapping: icao.MappingChip, Curve: 13}, 14, nil},
		{"chip-authentication", vcard.Profile{ChipAuth: true}, 15, nil},
		{"chip-authentication-3des", vcard.Profile{ChipAuth: true, Cipher: icao.TripleDES}, 14, nil},
		{"clone", vcard.Profile{ChipAuth: true, Cloned: true}, 15, nil},
		{"long-portrait", vcard.Profile{Portrait: 36_000}, 24, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join("testdata", tt.name+".txt")
			if *update {
				record(t, path, tt.profile)
			}
			chip, err := seeded().Read(t.Context(), cardtest.Play(t, path), request(t, tt.profile))
			if !errors.Is(err, tt.want) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			if err == nil && chip.APDUs != tt.apdus {
				t.Errorf("commands = %d, want %d", chip.APDUs, tt.apdus)
			}
		})
	}
}

// What was learnt about a chip's size saves the second reading the lost session.
func TestWorkingSizeIsRemembered(t *testing.T) {
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	c, err := vcard.New(pki, vcard.Person{FIN: "5ARPXK2", DocumentNumber: "AA1234567", CAN: "123456", Sex: 'F'}, vcard.Profile{LosesSession: true})
	if err != nil {
		t.Fatal(err)
	}
	r := New(nil)
	var counts []int
	for range 2 {
		chip, err := r.ReadHolder(t.Context(), c, "123456", nil)
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, chip.APDUs)
		c.Close()
	}
	if counts[1] >= counts[0] || counts[1] > 20 {
		t.Errorf("commands = %v, want fewer the second time", counts)
	}
}
