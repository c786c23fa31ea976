package pkcs11

import (
	"fmt"

	"github.com/miekg/pkcs11"

	"kosk/drivers/card/icao"
	"kosk/drivers/signer"
)

// A token is one key of the card as it was found at Open: cards show each PIN as a
// token of its own, or both keys in one.
type token struct {
	key    signer.Key
	serial string // of the token: the same card is still there
	id     []byte // CKA_ID of certificate and key
	cert   []byte // DER
	min    int    // digits of the PIN
	max    int
	pad    bool // the PIN is typed on the reader
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

// read reads what a slot says without PIN.
func (o *Opener) read(slot uint) ([]*token, error) {
	info, err := o.module.GetTokenInfo(slot)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 { // nothing on it yet
		return nil, nil
	}
	session, err := o.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	defer o.module.CloseSession(session)
	objects, err := o.find(session, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE))
	if err != nil {
		return nil, err
	}
	var all []*token
	for _, object := range objects {
		values, err := o.module.GetAttributeValue(session, object, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_ID, nil), pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil),
		})
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		all = append(all, &token{
			key: purpose(values[1].Value), serial: info.SerialNumber, id: values[0].Value, cert: values[1].Value,
			min: int(info.MinPinLen), max: int(info.MaxPinLen), pad: info.Flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0,
		})
	}
	return all, nil
}

// maxObjects bounds how many objects of one kind a card is believed to have.
const maxObjects = 32

func (o *Opener) find(session pkcs11.SessionHandle, like ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := o.module.FindObjectsInit(session, like); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	found, _, err := o.module.FindObjects(session, maxObjects)
	if end := o.module.FindObjectsFinal(session); err == nil {
		err = end
	}
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return found, nil
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
