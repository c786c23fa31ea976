// Package tpm wraps keys in a TPM 2.0: each is sealed under the storage key,
// bound to the values of the chosen PCRs at that moment. Another machine, and
// this one with other firmware, get nothing. Keys that sign are made in it and
// sign there; they are bound to PCRs that outlast an update.
//
// The storage key is derived anew at Open from the TPM's own seed; nothing is
// stored in the TPM. What passes on the bus between processor and TPM is encrypted.
package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"kosk/drivers/keystore"
)

// Options of a Store.
type Options struct {
	Path string // device, such as /dev/tpmrm0, or the socket of an emulator
	PCRs []uint // of the SHA-256 bank, 0 to 23; none: 0, 2, 4 and 7, firmware to boot loader

	// KeyPCRs are those that keys that sign are bound to; none: 7, who may sign
	// what the machine starts. Another one would strike the machine off its bus at
	// every update of firmware or boot loader.
	KeyPCRs []uint
}

// A Store is a TPM.
type Store struct {
	pcrs, keyPCRs tpm2.TPMLPCRSelection

	mu   sync.Mutex // over the TPM: one command at a time
	tpm  transport.TPMCloser
	root tpm2.NamedHandle // the storage key
	pub  tpm2.TPMTPublic
}

var _ keystore.Store = (*Store)(nil)

// Open finds the TPM. Errors: keystore.ErrNoStore.
func Open(o Options) (*Store, error) {
	if len(o.PCRs) == 0 {
		o.PCRs = []uint{0, 2, 4, 7}
	}
	if len(o.KeyPCRs) == 0 {
		o.KeyPCRs = []uint{7}
	}
	for _, pcr := range slices.Concat(o.PCRs, o.KeyPCRs) {
		if pcr > 23 {
			return nil, fmt.Errorf("open tpm: pcr %d", pcr)
		}
	}
	t, err := dial(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open tpm: %w: %w", keystore.ErrNoStore, err)
	}
	s := &Store{tpm: t, pcrs: selection(o.PCRs), keyPCRs: selection(o.KeyPCRs)}
	if err := s.derive(); err != nil {
		return nil, errors.Join(fmt.Errorf("open tpm: storage key: %w", err), t.Close())
	}
	return s, nil
}

func selection(pcrs []uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...),
	}}}
}

func dial(path string) (transport.TPMCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket != 0 {
		return linuxudstpm.Open(path)
	}
	return linuxtpm.Open(path)
}

// derive makes the storage key, which is the same as long as the TPM has one owner.
func (s *Store) derive() error {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(s.tpm)
	if err != nil {
		return err
	}
	pub, err := rsp.OutPublic.Contents()
	if err != nil {
		return err
	}
	s.root, s.pub = tpm2.NamedHandle{Handle: rsp.ObjectHandle, Name: rsp.Name}, *pub
	return nil
}

// Close forgets the storage key and lets the TPM go.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := tpm2.FlushContext{FlushHandle: s.root.Handle}.Execute(s.tpm)
	if err := errors.Join(err, s.tpm.Close()); err != nil {
		return fmt.Errorf("close tpm: %w", err)
	}
	return nil
}

// Wrap seals the key in the TPM. What it returns is two lengths (uint16), and
// the public and the private part of the sealed object.
func (s *Store) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	if len(key) == 0 || len(key) > keystore.MaxKey {
		return nil, keystore.ErrKey
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	policy, err := s.policy(s.pcrs)
	if err != nil {
		return nil, fmt.Errorf("wrap: policy: %w", err)
	}
	rsp, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: s.root.Handle, Name: s.root.Name, Auth: s.encrypted()},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: policy,
			// No UserWithAuth: the policy is the only way to it.
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true},
		}),
	}.Execute(s.tpm)
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	return together(rsp.OutPublic.Bytes(), rsp.OutPrivate.Buffer), nil
}

// together is what split takes apart.
func together(public, private []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(public)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(private)))
	return append(append(b, public...), private...)
}

// encrypted authorises the use of the storage key, whose secret is empty, by a
// session that hides what goes into the TPM.
func (s *Store) encrypted() tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Salted(s.root.Handle, s.pub), tpm2.AESEncryption(128, tpm2.EncryptIn))
}

// policy is the digest of "the PCRs are as they are now".
func (s *Store) policy(pcrs tpm2.TPMLPCRSelection) (tpm2.TPM2BDigest, error) {
	sess, done, err := tpm2.PolicySession(s.tpm, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	defer done()
	if _, err := (tpm2.PolicyPCR{PolicySession: sess.Handle(), Pcrs: pcrs}).Execute(s.tpm); err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	rsp, err := tpm2.PolicyGetDigest{PolicySession: sess.Handle()}.Execute(s.tpm)
	if err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	return rsp.PolicyDigest, nil
}

// Unwrap has the TPM open what Wrap returned.
func (s *Store) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	public, private, err := split(wrapped, tpm2.TPMAlgKeyedHash)
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var key []byte
	err = s.loaded(public, private, func(o tpm2.NamedHandle) (err error) {
		key, err = s.unseal(o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	return key, nil
}

// loaded has the TPM load an object for the time of do.
func (s *Store) loaded(public, private []byte, do func(tpm2.NamedHandle) error) error {
	load, err := tpm2.Load{
		ParentHandle: s.parent(),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](public),
	}.Execute(s.tpm)
	if isTPM(err) {
		return fmt.Errorf("%w: %w", keystore.ErrForeign, err)
	}
	if err != nil {
		return err
	}
	err = do(tpm2.NamedHandle{Handle: load.ObjectHandle, Name: load.Name})
	_, flushed := tpm2.FlushContext{FlushHandle: load.ObjectHandle}.Execute(s.tpm)
	return errors.Join(err, flushed)
}

// parent authorises the use of the storage key for what need not be hidden.
func (s *Store) parent() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: s.root.Handle, Name: s.root.Name, Auth: tpm2.PasswordAuth(nil)}
}

func (s *Store) unseal(o tpm2.NamedHandle) ([]byte, error) {
	sess, done, err := tpm2.PolicySession(s.tpm, tpm2.TPMAlgSHA256, 16,
		tpm2.Salted(s.root.Handle, s.pub), tpm2.AESEncryption(128, tpm2.EncryptOut))
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := (tpm2.PolicyPCR{PolicySession: sess.Handle(), Pcrs: s.pcrs}).Execute(s.tpm); err != nil {
		return nil, err
	}
	rsp, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: o.Handle, Name: o.Name, Auth: sess}}.Execute(s.tpm)
	if errors.Is(err, tpm2.TPMRCPolicyFail) {
		return nil, fmt.Errorf("%w: %w", keystore.ErrState, err)
	}
	if err != nil {
		return nil, err
	}
	return rsp.OutData.Buffer, nil
}

// isTPM reports whether the TPM itself said no, and the way to it is sound. A
// warning is none: that it has no room, or wants to be asked later.
func isTPM(err error) bool {
	if code, ok := errors.AsType[tpm2.TPMRC](err); ok {
		return !code.IsWarning()
	}
	_, ok := errors.AsType[tpm2.TPMFmt1Error](err)
	return ok
}

// split takes apart what together made of an object of the kind.
func split(b []byte, kind tpm2.TPMAlgID) (public, private []byte, err error) {
	const head = 4
	if len(b) < head {
		return nil, nil, keystore.ErrForeign
	}
	n, m := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	if n == 0 || m == 0 || len(b) != head+n+m {
		return nil, nil, keystore.ErrForeign
	}
	public, private = b[head:head+n], b[head+n:]
	if p, err := tpm2.Unmarshal[tpm2.TPMTPublic](public); err != nil || p.Type != kind {
		return nil, nil, keystore.ErrForeign
	}
	return public, private, nil
}
