// Package scene is what a person meets at one moment: an ordered list of nodes,
// and the focus among them. What is drawn, what is said, the order of focus and
// the tests all come from that one list.
//
// A scene is a value made by device/session from the visit. It is laid out by
// ui/layout and read aloud by device/voice; it knows neither, and holds no
// colour, no place and no sound.
package scene

import "kosk/device/text"

// A Role is what a node is to the person (EN 301 549, 11.5.2.5: role, name,
// value and state are what assistive technology needs).
type Role int

// The roles of nodes.
const (
	Title    Role = iota + 1 // the one thing asked or said; every scene has one
	Eyebrow                  // the service, above the title
	Lead                     // the sentence under the title
	Text                     // a paragraph
	Heading                  // heads a group
	Note                     // a paragraph set apart; see Tone
	Figure                   // a picture, by Icon; Name is its alternative
	Tile                     // a large choice in a grid
	Choice                   // a choice in a row of its own
	Field                    // what the person has typed: Value
	Key                      // a key of the keypad or keyboard on the screen
	Datum                    // Name: label, Value: what is known, Hint: its source
	Button                   // an action inside the page
	Code                     // a QR code of Data; Name is its alternative
	Progress                 // something is under way
	Tool                     // in the top bar: language, text size, contrast, voice, help
	Step                     // "step 2 of 4", in the top bar
	Status                   // the state of the line, in the bottom bar
	Back                     // bottom bar, left
	Leave                    // bottom bar, beside Back
	Next                     // the one way forward: bottom right
	Banner                   // stands above everything: TEST
	Turn                     // turns the page of a scene that doesn't fit on one; see TurnNext
)

func (r Role) String() string {
	return [...]string{
		"none", "title", "eyebrow", "lead", "text", "heading", "note", "figure", "tile", "choice", "field", "key",
		"datum", "button", "code", "progress", "tool", "step", "status", "back", "leave", "next", "banner", "turn",
	}[r]
}

// The ids of the two nodes that turn pages. They bring words only: the layout
// shows them when a scene has several pages, and turning a page is moving the
// focus to it.
const (
	TurnNext = "page.next"
	TurnBack = "page.back"
)

// A Tone is how a node is meant.
type Tone int

// The tones.
const (
	Neutral Tone = iota
	Good
	Bad // an error: with an icon and words, never colour alone
)

// An Action is what activating a node means: an event of device/session.
type Action any

// A Node is one thing on a scene.
type Node struct {
	ID    string // stable within its scene: "next", "service.imei_check"
	Role  Role
	Tone  Tone
	Name  text.Words // what it is
	Value text.Words // what it holds
	Hint  text.Words // what helps: a source, a purpose, why it is unavailable
	Does  text.Words // what activating does, where name and role don't say it: "change"
	Icon  string     // ui/kit's picture of it, "" for none
	Data  []byte     // Code: what the code carries

	Action      Action // nil: nothing happens
	Selected    bool
	Unavailable bool // can be reached and heard; activating says Hint
	Private     bool // personal: heard only through headphones
	Typed       bool // its value was typed: no log has even its length
	Decorative  bool // not said
	Primary     bool // the one to take first: filled
}

// A Kind is how a scene is laid out.
type Kind int

// The kinds of scene.
const (
	Attract  Kind = iota + 1 // nobody is here: languages
	Menu                     // tiles and choices
	Insert                   // a picture of what to do with the card
	Question                 // one question: choices, or a field with its keys
	Review                   // data with sources
	Consent                  // what is agreed to
	Waiting                  // something is under way
	Result                   // how it ended
	Problem                  // what went wrong, and the way on
)

// A Scene is what a person meets at one moment.
type Scene struct {
	ID    string // of the state that made it: "can", "review"
	Kind  Kind
	Lang  text.Lang
	Nodes []Node
	Test  bool // a development trust bundle is in use: TEST stands on every screen

	// MustHear is said to its end before anything else is (EN 301 549, 5.1.3.5
	// note): "take your card". Empty for most.
	MustHear text.Words
}

// Find returns the node with the id, or nil.
func (s *Scene) Find(id string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].ID == id {
			return &s.Nodes[i]
		}
	}
	return nil
}

// Role returns the first node of the role, or nil.
func (s *Scene) Role(r Role) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Role == r {
			return &s.Nodes[i]
		}
	}
	return nil
}

// Add appends nodes.
func (s *Scene) Add(nodes ...Node) { s.Nodes = append(s.Nodes, nodes...) }
