package mute

import (
	"testing"

	"kosk/drivers/speech"
	"kosk/drivers/speech/speechtest"
)

func TestSynthesiser(t *testing.T) {
	speechtest.Run(t, func(*testing.T) speech.Synthesiser { return New() })
}
