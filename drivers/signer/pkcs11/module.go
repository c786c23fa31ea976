package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"kosk/drivers/card/icao"
	"kosk/drivers/signer"
)

// A module is the loaded library. It lives in a process of its own, for one errand:
// see Main.
type module struct {
	*pkcs11.Ctx
	prefix string
}

// obey loads the module and does one errand with it.
func obey(todo order, pin []byte) (a answer, err error) {
	if _, err := os.Stat(todo.Module); err != nil {
		return a, fmt.Errorf("%w: %w", ErrNoModule, err)
	}
	m := &module{pkcs11.New(todo.Module), todo.Prefix}
	if m.Ctx == nil {
		return a, fmt.Errorf("%w: %s cannot be loaded", ErrNoModule, todo.Module)
	}
	if todo.Do == doLoad {
		return a, nil
	}
	if err := m.Initialize(); err != nil {
		return a, fmt.Errorf("initialise: %w", err)
	}
	defer func() { err = errors.Join(err, m.Finalize()) }()
	switch todo.Do {
	case doTokens:
		a.Tokens, err = m.tokens()
	case doTries:
		a.Tries, err = m.tries(todo.Token)
	case doSign:
		a.Signature, err = m.sign(todo.Token, pin, todo.Hash, todo.Digest)
	default:
		err = fmt.Errorf("no errand of name %q", todo.Do)
	}
	return a, err
}

// tokens reads what all slots of our reader say without PIN.
func (m *module) tokens() (found []*token, err error) {
	slots, err := m.slots()
	if err != nil {
		return nil, err
	}
	for _, slot := range slots {
		all, err := m.read(slot)
		if err != nil {
			return nil, err
		}
		found = append(found, all...)
	}
	return found, nil
}

// tries says how many tries the module's flags tell of.
func (m *module) tries(t *token) (int, error) {
	slot, err := m.again(t)
	if err != nil {
		return 0, err
	}
	info, err := m.GetTokenInfo(slot)
	return flagged(info.Flags), err
}

// sign logs in and signs once.
func (m *module) sign(t *token, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	slot, err := m.again(t)
	if err != nil {
		return nil, err
	}
	session, err := m.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	defer m.CloseSession(session)
	if err := m.login(session, pkcs11.CKU_USER, pin); err != nil {
		return nil, err
	}
	defer m.Logout(session)
	return m.signIn(session, t, pin, hash, digest)
}

// slots lists the slots of our reader that hold a token.
func (m *module) slots() ([]uint, error) {
	all, err := m.GetSlotList(true)
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	var ours []uint
	for _, slot := range all {
		info, err := m.GetSlotInfo(slot)
		if err != nil {
			return nil, fmt.Errorf("slot: %w", err)
		}
		if strings.HasPrefix(info.SlotDescription, m.prefix) {
			ours = append(ours, slot)
		}
	}
	return ours, nil
}

// again finds the slot of a key, and checks that it is still the same card.
func (m *module) again(t *token) (uint, error) {
	slots, err := m.slots()
	if err != nil {
		return 0, err
	}
	other := false
	for _, slot := range slots {
		all, err := m.read(slot)
		if err != nil {
			return 0, err
		}
		for _, now := range all {
			if now.Key == t.Key && bytes.Equal(now.Serial, t.Serial) && bytes.Equal(now.Cert, t.Cert) {
				return slot, nil
			}
			other = true
		}
	}
	if other {
		return 0, errOther
	}
	return 0, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)
}

// login gives the PIN, or has it typed on the reader's pad when there is none:
// PKCS#11 2.40, 5.6, wants a null pointer then, which the binding makes of "".
func (m *module) login(session pkcs11.SessionHandle, user uint, pin []byte) error {
	if err := m.Login(session, user, string(pin)); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// signIn signs within a session that is logged in.
func (m *module) signIn(session pkcs11.SessionHandle, t *token, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	keys, err := m.find(session, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, t.ID))
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, signer.ErrNoKeys
	}
	rsa := false
	if kind, err := m.attribute(session, keys[0], pkcs11.CKA_KEY_TYPE); err != nil {
		return nil, fmt.Errorf("key type: %w", err)
	} else if rsa = bytes.Equal(kind, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).Value); !rsa {
		digest = t.shorten(digest)
	}
	mechanism := uint(pkcs11.CKM_ECDSA)
	if rsa {
		mechanism = pkcs11.CKM_RSA_PKCS
		if digest, err = digestInfo(hash, digest); err != nil {
			return nil, err
		}
	}
	if err := m.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, keys[0]); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	// A module that does not know the attribute does not ask again.
	if always, err := m.attribute(session, keys[0], pkcs11.CKA_ALWAYS_AUTHENTICATE); err == nil && len(always) == 1 && always[0] != 0 {
		if err := m.login(session, pkcs11.CKU_CONTEXT_SPECIFIC, pin); err != nil {
			return nil, err
		}
	}
	return m.Sign(session, digest)
}

func (m *module) attribute(session pkcs11.SessionHandle, object pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	values, err := m.GetAttributeValue(session, object, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, err
	}
	return values[0].Value, nil
}

// shorten cuts a digest to the length of the curve's order, FIPS 186-5, 6.4.1:
// CKM_ECDSA leaves that to its caller.
func (t *token) shorten(digest []byte) []byte {
	cert, err := x509.ParseCertificate(t.Cert)
	if err != nil { // a curve that has no shorter digest in use
		return digest
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		return digest[:min(len(digest), (key.Params().BitSize+7)/8)]
	}
	return digest
}

// hashArcs are the last arcs of the hashes below 2.16.840.1.101.3.4.2.
var hashArcs = map[crypto.Hash]byte{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3, crypto.SHA224: 4}

// digestInfo is what PKCS#1 v1.5 signs, RFC 8017, 9.2.
func digestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	arc, known := hashArcs[hash]
	if !known {
		return nil, fmt.Errorf("no rsa signature with %v", hash)
	}
	id := icao.MakeTLV(0x06, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc})
	return icao.MakeTLV(0x30, icao.MakeTLV(0x30, id, icao.MakeTLV(0x05)), icao.MakeTLV(0x04, digest)), nil
}

// read reads what a slot says without PIN.
func (m *module) read(slot uint) ([]*token, error) {
	info, err := m.GetTokenInfo(slot)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 { // nothing on it yet
		return nil, nil
	}
	session, err := m.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	defer m.CloseSession(session)
	objects, err := m.find(session, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE))
	if err != nil {
		return nil, err
	}
	var all []*token
	for _, object := range objects {
		values, err := m.GetAttributeValue(session, object, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_ID, nil), pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil),
		})
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		all = append(all, &token{
			Key: purpose(values[1].Value), Serial: []byte(info.SerialNumber), ID: values[0].Value, Cert: values[1].Value,
			Min: int(info.MinPinLen), Max: int(info.MaxPinLen), Pad: info.Flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0,
		})
	}
	return all, nil
}

// maxObjects bounds how many objects of one kind a card is believed to have.
const maxObjects = 32

func (m *module) find(session pkcs11.SessionHandle, like ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := m.FindObjectsInit(session, like); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	found, _, err := m.FindObjects(session, maxObjects)
	if end := m.FindObjectsFinal(session); err == nil {
		err = end
	}
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return found, nil
}
