package pkcs11

import (
	"github.com/miekg/pkcs11"

	"kosk/drivers/card/icao"
	"kosk/drivers/signer"
)

// A token is one key of the card as it was found at Open: cards show each PIN as a
// token of its own, or both keys in one.
type token struct {
	Key    signer.Key
	Serial []byte // of the token: the same card is still there
	ID     []byte // CKA_ID of certificate and key
	Cert   []byte // DER
	Min    int    // digits of the PIN
	Max    int
	Pad    bool // the PIN is typed on the reader
}

// contentCommitment is bit 1 of KeyUsage, RFC 5280, 4.2.1.3: what was signed was
// meant.
const contentCommitment icao.KeyUsage = 1 << 14

// purpose says which key a certificate is of; 0 when of neither.
func purpose(der []byte) signer.Key {
	cert, err := icao.ParseCertificate(der)
	switch {
	case err != nil, cert.CA:
		return 0
	case cert.Usage&contentCommitment != 0:
		return signer.Signature
	case cert.Usage&icao.KeyUsageDigitalSignature != 0:
		return signer.Authentication
	}
	return 0
}

// flagged is how many tries are left as far as a module's flags tell, where the
// card itself could not be asked: exact for none and for the last.
func flagged(flags uint) int {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return 0
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return 1
	case flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0:
		return 2
	}
	return 3
}
