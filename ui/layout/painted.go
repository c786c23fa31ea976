package layout

import "time"

// A Painted is one frame on the panel, for the trace: places, never contents.
type Painted struct {
	Scene   string          `json:"scene"`
	Lang    string          `json:"lang"`
	Focus   string          `json:"focus,omitempty"`
	Page    int             `json:"page"`
	Pages   int             `json:"pages"`
	Shown   time.Time       `json:"shown"` // when the view came
	At      time.Time       `json:"at"`    // when its frame was painted
	Targets []PaintedTarget `json:"targets"`
}

// A PaintedTarget is where a node lies, in pixels.
type PaintedTarget struct {
	ID    string  `json:"id"`
	Role  string  `json:"role"`
	X     float32 `json:"x"`
	Y     float32 `json:"y"`
	W     float32 `json:"w"`
	H     float32 `json:"h"`
	Touch bool    `json:"touch"`
}
