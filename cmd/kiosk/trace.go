package main

import (
	"encoding/json"
	"os"

	"kosk/ui/layout"
)

// A trace tells where nodes lie on each painted frame: places, never contents.
// Tests find with it what to touch.
type trace struct{ file *os.File }

func openTrace(path string) (*trace, error) {
	if path == "" {
		return &trace{}, nil
	}
	f, err := open(path, nil)
	return &trace{f}, err
}

// painted writes one line. A trace that can't be written is no reason to stop.
func (t *trace) painted(p layout.Painted) {
	if t.file == nil {
		return
	}
	if b, err := json.Marshal(p); err == nil {
		_, _ = t.file.Write(append(b, '\n'))
	}
}

func (t *trace) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}
