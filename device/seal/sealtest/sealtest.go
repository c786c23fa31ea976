// Package sealtest makes the keys that tests sign with, here and wherever else what
// stations, buses and operators sign is tested.
package sealtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
)

// Key makes a P-256 key: the only kind that a station, a bus or an operator has.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
