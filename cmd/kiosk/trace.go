package main

import (
	"encoding/json"
	"io"
	"runtime/debug"
	"sync"

	"kosk/ui/layout"
)

// A trace tells where nodes lie on each painted frame: places, never contents.
// Tests find with it what to touch.
type trace struct {
	file  io.WriteCloser // nil: none
	first sync.Once
}

func openTrace(path string) (*trace, error) {
	if path == "" {
		return &trace{}, nil
	}
	f, err := open(path, nil)
	return &trace{file: f}, err
}

// painted writes one line. A trace that can't be written is no reason to stop.
// After the first frame, what the start needed and nobody needs any more (fonts
// read, pictures drawn from their paths) goes back to the system.
func (t *trace) painted(p layout.Painted) {
	t.first.Do(func() { go debug.FreeOSMemory() })
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
