// Package tpm wraps keys in a TPM 2.0: each is sealed under the storage key,
// bound to the values of the chosen PCRs at that moment. Another machine, and
// this one with other firmware, get nothing.
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
}

// A Store is a TPM.
type Store struct {
	pcrs tpm2.TPMLPCRSelection

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
	for _, pcr := range o.PCRs {
		if pcr > 23 {
			return nil, fmt.Errorf("open tpm: pcr %d", pcr)
		}
	}
	t, err := dial(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open tpm: %w: %w", keystore.ErrNoStore, err)
	}
	s := &Store{tpm: t, pcrs: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(o.PCRs...),
	}}}}
	if err := s.derive(); err != nil {
		return nil, errors.Join(fmt.Errorf("open tpm: storage key: %w", err), t.Close())
	}
	return s, nil
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
	policy, err := s.policy()
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
	public, private := rsp.OutPublic.Bytes(), rsp.OutPrivate.Buffer
	b := binary.BigEndian.AppendUint16(nil, uint16(len(public)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(private)))
	return append(append(b, public...), private...), nil
}

// encrypted authorises the use of the storage key, whose secret is empty, by a
// session that hides what goes into the TPM.
func (s *Store) encrypted() tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Salted(s.root.Handle, s.pub), tpm2.AESEncryption(128, tpm2.EncryptIn))
}

// policy is the digest of "the PCRs are as they are now".
func (s *Store) policy() (tpm2.TPM2BDigest, error) {
	sess, done, err := tpm2.PolicySession(s.tpm, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	defer done()
	if _, err := (tpm2.PolicyPCR{PolicySession: sess.Handle(), Pcrs: s.pcrs}).Execute(s.tpm); err != nil {
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
	public, private, err := split(wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	load, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: s.root.Handle, Name: s.root.Name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](public),
	}.Execute(s.tpm)
	if isTPM(err) {
		return nil, fmt.Errorf("unwrap: %w: %w", keystore.ErrForeign, err)
	}
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	key, err := s.unseal(tpm2.NamedHandle{Handle: load.ObjectHandle, Name: load.Name})
	_, flushed := tpm2.FlushContext{FlushHandle: load.ObjectHandle}.Execute(s.tpm)
	if err := errors.Join(err, flushed); err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	return key, nil
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

// isTPM reports whether the TPM itself said no, and the way to it is sound.
func isTPM(err error) bool {
	_, ok := errors.AsType[tpm2.TPMRC](err)
	if !ok {
		_, ok = errors.AsType[tpm2.TPMFmt1Error](err)
	}
	return ok
}

// split takes apart what Wrap put together.
func split(b []byte) (public, private []byte, err error) {
	const head = 4
	if len(b) < head {
		return nil, nil, keystore.ErrForeign
	}
	n, m := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	if n == 0 || m == 0 || len(b) != head+n+m {
		return nil, nil, keystore.ErrForeign
	}
	public, private = b[head:head+n], b[head+n:]
	if _, err := tpm2.Unmarshal[tpm2.TPMTPublic](public); err != nil {
		return nil, nil, keystore.ErrForeign
	}
	return public, private, nil
}
