// Package theme holds the measures and colours of the screen: sizes in
// millimetres, four text sizes, three contrasts. The tokens stand first, the
// rules that they keep are tests beside them.
//
// It draws nothing. ui/layout places by these measures, ui/kit paints with them.
package theme

import (
	"image/color"

	"kosk/device/scene"
)

// MM is a length on the panel in millimetres.
type MM float32

// The tokens that don't change with the text size.
const (
	Margin       MM = 16   // left and right of everything
	MarginNarrow MM = 10   // the same on panels under 220 mm
	GridGap      MM = 7    // between tiles and choices
	Corner       MM = 5    // of buttons and fields
	CardCorner   MM = 7    // of cards
	Stroke       MM = 0.5  // of control borders
	FocusInner   MM = 1.2  // inner ring (WCAG 2.4.13)
	FocusOuter   MM = 1.2  // outer ring, yellow
	TargetMin    MM = 12.7 // smallest thing to touch: VVSG 2.0, 7.2-I
	TargetGap    MM = 2.54 // smallest gap between two of them: VVSG 2.0, 7.2-I
	TopBar       MM = 33
	BottomBar    MM = 44
	PrimaryHigh  MM = 28
	CardPad      MM = 11.4
)

// CapHeight is the height of a capital letter in em of the fonts in use (Noto Sans).
const CapHeight = 0.714

// A Style is a use of text.
type Style int

// The uses of text.
const (
	Title Style = iota
	Hero        // the welcome, and a slip's number on the screen
	Lead
	Body
	Label  // above an answer; heads a group
	Source // below an answer
	Answer
	Button
	Key // a key of the keypad
)

// A Face is how a use of text is set.
type Face struct {
	Cap  MM // height of capitals
	Bold bool
}

// Faces at the default text size.
var faces = map[Style]Face{
	Title:  {10, true},
	Hero:   {15, true},
	Lead:   {5.6, false},
	Body:   {5.2, false},
	Label:  {4.8, true},
	Source: {4.8, false},
	Answer: {6.4, true},
	Button: {6, true},
	Key:    {7, true},
}

// bodyCaps are the four heights of body capitals: VVSG 2.0, 7.1-G; the last
// passes EN 301 549, 5.1.4 at 600 mm.
var bodyCaps = [...]MM{3.9, 5.2, 6.8, 8.8}

// FaceOf is a use of text at a text size. Body text takes the four heights;
// what is larger than body at the default grows less, so that it still fits.
func FaceOf(s Style, size scene.TextSize) Face {
	f := faces[s]
	body := bodyCaps[size]
	k := body / bodyCaps[scene.TextNormal]
	if f.Cap > 7 && k > 1 {
		k = 1 + (k-1)*0.3
	}
	f.Cap *= k
	if size == scene.TextLargest && f.Cap < 8.2 {
		f.Cap = 8.2
	}
	return f
}

// A Palette is the colours of one contrast.
type Palette struct {
	Ink, Second    color.NRGBA // text
	Paper, Card    color.NRGBA // grounds
	Accent, Deep   color.NRGBA // the one filled button; the attract screen
	OnAccent       color.NRGBA // text on Accent
	OnDeep         color.NRGBA // text on Deep
	AccentText     color.NRGBA // accent words and icons on Paper, Card and Tint
	Tint           color.NRGBA // ground of notes
	Good, GoodTint color.NRGBA
	Bad, BadTint   color.NRGBA
	Border, Hair   color.NRGBA // of controls (>= 3:1); of cards and dividing lines
	Focus, FocusIn color.NRGBA // the two rings of the focus: apart >= 3:1, so that one is seen on any ground
	Pressed        color.NRGBA
	Brass          color.NRGBA // only in the mark and the chip
	Lattice        color.NRGBA // the ornament on Deep; equal to Deep where it disappears
	Ornament       color.NRGBA // the same on Paper
	Keys           color.NRGBA // ground of the keypad
}

func hex(v uint32) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255}
}

var palettes = [...]Palette{
	scene.ContrastDefault: {
		Ink: hex(0x14212B), Second: hex(0x2E3B45), Paper: hex(0xF6F4EE), Card: hex(0xFFFFFF),
		Accent: hex(0x00485A), Deep: hex(0x003B4A), OnAccent: hex(0xFFFFFF), OnDeep: hex(0xFFFFFF), AccentText: hex(0x003B4A),
		Tint: hex(0xE1EEF0), Good: hex(0x0B3F20), GoodTint: hex(0xE2F0E6), Bad: hex(0x64101A), BadTint: hex(0xFBEAEA),
		Border: hex(0x5F6D76), Hair: hex(0x76838A), Focus: hex(0xFFD23F), FocusIn: hex(0x14212B), Pressed: hex(0x012D38),
		Brass: hex(0xB98A2C), Lattice: hex(0x17505E), Ornament: hex(0xE9E5DA), Keys: hex(0xE8E5DC),
	},
	scene.ContrastBlackOnWhite: {
		Ink: hex(0), Second: hex(0), Paper: hex(0xFFFFFF), Card: hex(0xFFFFFF),
		Accent: hex(0), Deep: hex(0xFFFFFF), OnAccent: hex(0xFFFFFF), OnDeep: hex(0), AccentText: hex(0),
		Tint: hex(0xFFFFFF), Good: hex(0), GoodTint: hex(0xFFFFFF), Bad: hex(0), BadTint: hex(0xFFFFFF),
		Border: hex(0), Hair: hex(0), Focus: hex(0), FocusIn: hex(0xFFFFFF), Pressed: hex(0x333333),
		Brass: hex(0), Lattice: hex(0xFFFFFF), Ornament: hex(0xFFFFFF), Keys: hex(0xFFFFFF),
	},
	scene.ContrastWhiteOnBlack: {
		Ink: hex(0xFFFFFF), Second: hex(0xFFFFFF), Paper: hex(0), Card: hex(0),
		Accent: hex(0xFFFFFF), Deep: hex(0), OnAccent: hex(0), OnDeep: hex(0xFFFFFF), AccentText: hex(0xFFFFFF),
		Tint: hex(0), Good: hex(0xFFFFFF), GoodTint: hex(0), Bad: hex(0xFFFFFF), BadTint: hex(0),
		Border: hex(0xFFFFFF), Hair: hex(0xFFFFFF), Focus: hex(0xFFFFFF), FocusIn: hex(0), Pressed: hex(0xCCCCCC),
		Brass: hex(0xFFFFFF), Lattice: hex(0), Ornament: hex(0), Keys: hex(0),
	},
}

// PaletteOf is the colours of a contrast.
func PaletteOf(c scene.Contrast) Palette { return palettes[c] }
