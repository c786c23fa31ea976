// Package panel is the contract between the kiosk and the lamps beside its slots:
// a lamp is told a pattern, and shows it. Names of lamps and patterns are those of
// XFS4IoT's Lights interface.
//
// A lamp is never the only sign of anything: what it says stands on the screen and
// is spoken, too. Makes live beside it: gpio lights real lamps, desk writes down
// what would be lit; paneltest is the suite that every make passes.
package panel

import (
	"context"
	"errors"
)

// Errors of panels. Makes wrap them; compare with errors.Is.
var (
	ErrUnplugged = errors.New("panel unplugged")     // it, or a line to a lamp, is not there; or it is closed
	ErrFault     = errors.New("lamp does not light") // a line to it refuses what it is told
	ErrPattern   = errors.New("no such pattern")
)

// A Lamp is a lamp by what it stands beside: XFS4IoT, Lights.SetLight.
type Lamp string

// The lamps of a kiosk. Which of them are wired is the configuration's affair.
const (
	CardReader      Lamp = "cardReader"
	ReceiptPrinter  Lamp = "receiptPrinter"
	DocumentPrinter Lamp = "documentPrinter"
)

// Lamps are all lamps, in the order in which they are told.
func Lamps() []Lamp { return []Lamp{CardReader, ReceiptPrinter, DocumentPrinter} }

// A Panel lights lamps.
type Panel interface {
	// Light has a lamp show a pattern until it is told otherwise. One that is not
	// wired stays dark, and that is no error. With ErrFault the lamp shows it as soon
	// as it can. A ctx that has ended lights nothing.
	Light(ctx context.Context, l Lamp, p Pattern) error
	// Run flashes the lamps until ctx ends. Then all of them are dark, whatever
	// Light with the same ctx is told, and it returns nil. One Run at a time.
	Run(ctx context.Context) error
	// Err says why lamps don't show what they are told; nil while they do. It doesn't
	// wait for them.
	Err() error
	// Close makes all lamps dark, and lets the panel go.
	Close() error
}
