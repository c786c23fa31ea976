package scene

import "fmt"

// A Command is what a person asks of the kiosk by a key: of the tactile keypad,
// or of the keyboard that stands in for it.
type Command int

// The commands.
const (
	FocusNext     Command = iota + 1 // to the next node
	FocusPrevious                    // to the previous node
	Select                           // the round key: activate the focused node
	GoBack                           // the back key
	Cancel                           // the key with the cross: leave
	Erase                            // the raised left arrow
	Repeat                           // say it again
	Pause                            // pause or go on
	Hush                             // stop speaking
	WhereAmI                         // scene, step, focus
	Louder
	Quieter
	Faster
	Slower
	CycleLanguage
	CycleText
	CycleContrast
	ToggleVoice
	HeadphonesIn
	HeadphonesOut
)

// An Input is one act of a person at the screen, the keypad or the panel. One
// field is set.
type Input struct {
	Activate string  // the node with this id was touched
	Focus    string  // the page with this node was turned to
	Command  Command // a key
	Rune     rune    // a letter or digit
}

// String names the input without what was typed: runes may be secret.
func (i Input) String() string {
	switch {
	case i.Activate != "":
		return "activate " + i.Activate
	case i.Focus != "":
		return "focus " + i.Focus
	case i.Command != 0:
		return fmt.Sprintf("command %d", i.Command)
	}
	return "rune"
}
