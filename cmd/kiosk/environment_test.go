package main

import (
	"slices"
	"testing"
)

func TestTheKioskHasAnEnvironmentOfItsOwn(t *testing.T) {
	own, changed := environment([]string{"PATH=/bin", "LC_ALL=az_AZ.UTF-8", "LANG=C", "FYNE_SCALE=2"})
	want := []string{"FYNE_CACHE=20s", "FYNE_SCALE=1", "GODEBUG=clobberfree=1", "LANG=C.UTF-8", "LANGUAGE=en", "PATH=/bin"}
	if !changed || !slices.Equal(own, want) {
		t.Errorf("%q, %v", own, changed)
	}
	slices.Reverse(own)
	if again, changed := environment(own); changed { // or it would start itself for ever
		t.Errorf("it changes its own: %q", again)
	}
}
