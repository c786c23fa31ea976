//go:build race

package ui

// race says that the detector slows everything down: a time measured so says
// nothing.
const race = true
