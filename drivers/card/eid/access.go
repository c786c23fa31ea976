package eid

import (
	"fmt"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// An Access is the password that opens a chip: make one with CAN or MRZ.
type Access struct {
	number byte   // of the password in MSE:Set AT, ICAO 9303-11, 4.4.4.1
	secret []byte // what PACE and BAC make of it
	wrong  error  // what it means that the chip refuses it
}

// Numbers of passwords in MSE:Set AT.
const (
	passwordMRZ = 1
	passwordCAN = 2
)

// CAN opens a chip with the card access number on the front of the card. The error
// is card.ErrWrongCAN when it is not six digits.
func CAN(number string) (Access, error) {
	if !validCAN(number) {
		return Access{}, fmt.Errorf("%w: not six digits", card.ErrWrongCAN)
	}
	return Access{number: passwordCAN, secret: []byte(number), wrong: card.ErrWrongCAN}, nil
}

// MRZ opens a chip with what the machine readable zone says: the document number
// without fillers and check digit, the holder's birth and the last day of the
// document. Only this opens a chip that knows no PACE. The error is
// card.ErrWrongMRZ when no zone can say so.
func MRZ(number string, birth, expires icao.Date) (Access, error) {
	secret, err := icao.MRZSecret(number, birth, expires)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", card.ErrWrongMRZ, err)
	}
	return Access{number: passwordMRZ, secret: secret, wrong: card.ErrWrongMRZ}, nil
}

// String keeps the password out of logs.
func (Access) String() string { return "access" }

// GoString keeps the password out of logs.
func (Access) GoString() string { return "access" }

// A Request is what is asked of a chip.
type Request struct {
	Access Access
	// Portrait asks for group 2, too, which no screen shows and nothing here
	// decodes. It is read last.
	Portrait bool
	// Early is called with group 1 as soon as that is read, once; it may be nil.
	Early func(dg1 []byte)
}
