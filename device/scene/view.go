package scene

// A TextSize is one of the four sizes of text.
type TextSize int

// The sizes of text.
const (
	TextSmall TextSize = iota
	TextNormal
	TextLarge
	TextLargest
	TextSizes = iota
)

// A Contrast is one of the contrasts of the screen.
type Contrast int

// The contrasts.
const (
	ContrastDefault Contrast = iota
	ContrastBlackOnWhite
	ContrastWhiteOnBlack
	Contrasts = iota
)

// A View is a scene as one person asked to have it shown.
type View struct {
	Scene    Scene
	Focus    string // id of the node with the focus, "" for none
	Ring     bool   // draw the focus ring: keys are in use
	TextSize TextSize
	Contrast Contrast
}
