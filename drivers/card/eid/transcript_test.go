package eid

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
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
	c, err := vcard.New(pki, vcard.Person{
		FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün", Sex: 'F', DocumentNumber: "AA1234567", CAN: "123456",
		BirthDate: time.Date(1990, 5, 12, 0, 0, 0, 0, time.UTC), Expires: time.Date(2033, 3, 1, 0, 0, 0, 0, time.UTC),
	}, p)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString("# The virtual card of a test person, read with a seeded Reader.\n")
	_, _ = seeded().ReadHolder(t.Context(), cardtest.Record(c, &out), "123456", nil) // errors are recorded too
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join("testdata", tt.name+".txt")
			if *update {
				record(t, path, tt.profile)
			}
			chip, err := seeded().ReadHolder(t.Context(), cardtest.Play(t, path), "123456", nil)
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
