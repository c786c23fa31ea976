package vcard

import (
	"time"

	"kosk/drivers/card/icao"
)

// A Named is a profile that can be asked for by name.
type Named struct {
	Name    string
	Profile Profile
}

// Profiles lists the cards that are met, or feared: genuine ones of every kind of
// key and protocol first, then what misbehaves.
func Profiles() []Named {
	all := []Named{
		{"genuine", Profile{}},
		{"no-signing", Profile{NoSigning: true}},
		{"portrait", Profile{Portrait: 19_885, Issuing: true}},
		{"short-apdus", Profile{ShortOnly: true}},
		{"loses-session", Profile{LosesSession: true}},
		{"slow", Profile{Latency: 12 * time.Millisecond, BytesPerSecond: 106_000 / 8}},
		{"bac", Profile{BAC: true}},
		{"integrated-mapping", Profile{Mapping: icao.MappingIntegrated}},
		{"chip-mapping", Profile{Mapping: icao.MappingChip, NoActive: true}},
		{"chip-authentication", Profile{ChipAuth: true, NoActive: true}},
		{"chip-authentication-3des", Profile{ChipAuth: true, NoActive: true, Cipher: icao.TripleDES}},
		{"aes-256", Profile{Cipher: icao.AES256, Curve: 15}},
		{"brainpool", Profile{Curve: 13}},
		{"active-rsa", Profile{ActiveKey: icao.KeyRSA}},
		{"active-rsa-short", Profile{ActiveKey: icao.KeyRSA, LosesProof: true}},
		{"active-brainpool", Profile{ActiveKey: icao.KeyBrainpool256}},
		{"no-key", Profile{NoActive: true}},
		{"pin-last-try", Profile{PINUsed: 2}},
		{"pin-blocked", Profile{PINUsed: 3}},
	}
	for _, s := range []struct {
		name string
		kind icao.KeyKind
	}{
		{"p384", icao.KeyP384},
		{"p521", icao.KeyP521},
		{"brainpool256", icao.KeyBrainpool256},
		{"brainpool384", icao.KeyBrainpool384},
		{"brainpool512", icao.KeyBrainpool512},
		{"p256-explicit", icao.KeyP256Explicit},
		{"brainpool256-explicit", icao.KeyBrainpool256Explicit},
		{"brainpool384-explicit", icao.KeyBrainpool384Explicit},
		{"rsa", icao.KeyRSA},
		{"pss", icao.KeyPSS},
	} {
		all = append(all, Named{"state-" + s.name, Profile{StateKey: s.kind}})
	}
	return append(all,
		Named{"tampered", Profile{TamperedDG1: true}},
		Named{"cloned", Profile{Cloned: true}},
		Named{"cloned-chip-authentication", Profile{ChipAuth: true, NoActive: true, Cloned: true}},
		Named{"cloned-chip-mapping", Profile{Mapping: icao.MappingChip, NoActive: true, Cloned: true}},
		Named{"cloned-active-rsa", Profile{ActiveKey: icao.KeyRSA, Cloned: true}},
		Named{"cannot-prove", Profile{CannotProve: true}},
		Named{"hides-pace", Profile{HidesPACE: true}},
		Named{"unknown-signer", Profile{UnknownSigner: true}},
		Named{"unknown-signer-pss", Profile{UnknownSigner: true, StateKey: icao.KeyPSS}},
		Named{"expired", Profile{Expired: true}},
		Named{"foreign", Profile{Foreign: true}},
		Named{"other", Profile{Other: true}},
		Named{"mute", Profile{Mute: true}},
		Named{"silent", Profile{Silent: true}},
		Named{"pulled-out", Profile{RemovedAfter: 9}},
		Named{"random", Profile{Random: 1}},
		Named{"random-later", Profile{Random: 9}},
	)
}
