// Package sound is the contract between the kiosk and its loudspeaker or
// headphones: clips go in and are heard.
//
// Makes live beside it: pulse plays through PulseAudio, file writes what would
// be heard to a WAV file.
package sound

import (
	"context"
	"errors"

	"kosk/drivers/speech"
)

// ErrNoSink says that there is nothing to play through.
var ErrNoSink = errors.New("no sound device")

// A Sink plays one clip at a time.
type Sink interface {
	// Play returns when the clip was heard to its end, or, with ctx's error, at
	// most 50 ms after ctx ended, with nothing more to be heard.
	Play(ctx context.Context, clip speech.Clip) error
	Close() error
}
