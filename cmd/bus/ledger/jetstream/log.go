package jetstream

import (
	"fmt"
	"log/slog"
	"strings"
)

// speaker lets the embedded server speak through slog. What it has to say of
// itself is for debugging; its errors and warnings are ours.
type speaker struct{ log *slog.Logger }

func (s speaker) Noticef(format string, v ...any) { s.log.Debug("engine", "says", said(format, v)) }
func (s speaker) Warnf(format string, v ...any)   { s.log.Warn("engine warns", "says", said(format, v)) }

func (s speaker) Errorf(format string, v ...any) {
	s.log.Error("engine failed", "says", said(format, v))
}

func (s speaker) Fatalf(format string, v ...any) {
	s.log.Error("engine ended", "says", said(format, v))
}
func (s speaker) Debugf(string, ...any) {}
func (s speaker) Tracef(string, ...any) {}

func said(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
