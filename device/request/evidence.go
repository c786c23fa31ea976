package request

import (
	"strconv"
	"strings"

	"kosk/drivers/card"
)

// EvidenceOf is what an envelope carries of a chip: the reverse of Chip.
func EvidenceOf(c *card.Chip) Evidence {
	e := Evidence{
		Protocol: c.Protocol, CardAccess: c.CardAccess, COM: c.COM, SOD: c.SOD, Groups: map[string][]byte{},
		AAChallenge: c.ActiveChallenge, AAResponse: c.ActiveResponse, CASecret: c.ChipSecret, CAResponse: c.ChipResponse,
		MappingKey: c.MappingKey, MappingData: c.MappingData, Security: c.CardSecurity,
	}
	for n, file := range c.Groups {
		e.Groups["DG"+strconv.Itoa(n)] = file
	}
	return e
}

// Chip is what the evidence says that was read, for device/identity to believe or
// not; nil without a security object. A proof counts as begun when anything of it
// is there, so that half a proof is a failed one.
func (e Evidence) Chip() *card.Chip {
	if len(e.SOD) == 0 {
		return nil
	}
	c := &card.Chip{
		CardAccess: e.CardAccess, COM: e.COM, SOD: e.SOD, Groups: map[int][]byte{}, Protocol: e.Protocol,
		ActiveDone: e.AAChallenge != nil || e.AAResponse != nil, ActiveChallenge: e.AAChallenge, ActiveResponse: e.AAResponse,
		ChipDone: e.CASecret != nil || e.CAResponse != nil, ChipSecret: e.CASecret, ChipResponse: e.CAResponse,
		MappingDone: e.MappingKey != nil || e.MappingData != nil, MappingKey: e.MappingKey, MappingData: e.MappingData,
		CardSecurity: e.Security,
	}
	for name, file := range e.Groups {
		digits, ok := strings.CutPrefix(name, "DG")
		if n, err := strconv.Atoi(digits); ok && err == nil {
			c.Groups[n] = file
		}
	}
	return c
}
