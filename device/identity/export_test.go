package identity

import (
	"time"

	"kosk/drivers/card/icao"
)

// Trust is the rule about signers alone, for documents of other states.
func (a *Anchors) Trust(s icao.Signer, now time.Time) error { return a.trust(s, now) }
