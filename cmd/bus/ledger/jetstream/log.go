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

func (s speaker) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") { // of MaxPayload: it is as we want it, and whoever reads the log can't mend it
		s.Noticef(format, v...)
		return
	}
	s.log.Warn("engine warns", "says", said(format, v))
}

func (s speaker) Errorf(format string, v ...any) {
	s.log.Error("engine failed", "says", said(format, v))
}

func (s speaker) Fatalf(format string, v ...any) {
	s.log.Error("engine ended", "says", said(format, v))
}
func (s speaker) Debugf(string, ...any) {}
func (s speaker) Tracef(string, ...any) {}

func said(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
