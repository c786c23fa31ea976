package eid

import (
	"context"
	"errors"
	"fmt"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// proveChip runs Chip Authentication when group 14 offers a way that is spoken
// here, ICAO 9303-11, 6.2, and restarts secure messaging. The first answer under
// the new session is the proof: it is recorded for device/identity. A chip that
// refuses has proved nothing, and is left in the session that it has.
func (l *line) proveChip(ctx context.Context, chip *card.Chip) error {
	infos, err := icao.ParseDG14(chip.Groups[14])
	if err != nil {
		return nil // device/identity says what a group that isn't one means
	}
	suite, err := infos.ChooseChip()
	if err != nil {
		return nil // as above
	}
	key, err := suite.NewKey(l.random)
	if err != nil {
		return err
	}
	chip.ChipDone, chip.ChipSecret = true, key.Secret()
	for _, command := range chipCommands(suite.Info, key.Public) {
		if _, err := l.must(ctx, command); isStatus(err) && l.session != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("chip authentication: %w", err)
		}
	}
	session, err := suite.Session(key)
	if err != nil {
		return fmt.Errorf("chip authentication: %w: %w", card.ErrProtocol, err)
	}
	l.session, l.proof = session, &chip.ChipResponse
	return nil
}

// chipCommands is how our key gets to the chip: MSE:Set KAT with 3DES, else
// MSE:Set AT and GENERAL AUTHENTICATE, ICAO 9303-11, 6.2.4.
func chipCommands(info icao.ChipInfo, public []byte) []icao.Command {
	const doKey, doReference = 0x91, 0x84
	var reference []byte
	if info.KeyID != nil {
		reference = icao.MakeTLV(doReference, info.KeyID)
	}
	if info.Cipher == icao.TripleDES {
		data := append(icao.MakeTLV(doKey, public), reference...)
		return []icao.Command{{INS: icao.INSManageEnvironment, P1: 0x41, P2: 0xA6, Data: data}}
	}
	data := append(icao.MakeTLV(doProtocol, info.Protocol), reference...)
	return []icao.Command{
		{INS: icao.INSManageEnvironment, P1: 0x41, P2: 0xA4, Data: data},
		authenticate(claLast, icao.MakeTLV(doNonce, public)),
	}
}

// unproven says whether an error is only what follows when a chip does not own the
// key that it was asked to prove: device/identity calls such a chip a clone.
func unproven(chip *card.Chip, err error) bool {
	if !chip.ChipDone || !errors.Is(err, card.ErrProtocol) && !isStatus(err) {
		return false
	}
	return icao.VerifyChip(chip.Groups[14], chip.ChipSecret, chip.ChipResponse) != nil
}
