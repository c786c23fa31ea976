package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"kosk/drivers/keystore"
)

// Keys that sign. The rules are:
//   - the TPM holds a key only while it signs: it has room for three, and what a
//     reset takes from it is loaded again with the next signature;
//   - a policy over PCRs is the only way to use a key, and there is none to get it
//     out: one that was taken over can be duplicated no more either, for that
//     needs a policy that names the command. TPM 2.0 Library Part 1, 19.7.8.

var _ keystore.Keeper = (*Store)(nil)

// A key is one in the TPM.
type key struct {
	store           *Store
	public, private []byte // as Load takes them
	ecdsa           *ecdsa.PublicKey
	moved           bool
}

var _ keystore.Key = (*key)(nil)

// coordinate is the length of one, and of a private key, on P-256.
const coordinate = 32

// template is the public part of all our keys. born says that the TPM makes it.
func template(policy tpm2.TPM2BDigest, born bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: policy,
		// No UserWithAuth: the policy is the only way to it.
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: born, FixedParent: born, SensitiveDataOrigin: born, SignEncrypt: true, NoDA: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
		}),
	}
}

// NewKey makes a key in the TPM.
func (s *Store) NewKey() (keystore.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	policy, err := s.policy(s.keyPCRs)
	if err != nil {
		return nil, fmt.Errorf("new key: policy: %w", err)
	}
	rsp, err := tpm2.Create{ParentHandle: s.parent(), InPublic: tpm2.New2B(template(policy, true))}.Execute(s.tpm)
	if err != nil {
		return nil, fmt.Errorf("new key: %w", err)
	}
	k, err := s.key(rsp.OutPublic.Bytes(), rsp.OutPrivate.Buffer)
	if err != nil {
		return nil, fmt.Errorf("new key: %w", err)
	}
	return k, nil
}

// TakeKey imports a key, which is encrypted to the storage key on its way.
func (s *Store) TakeKey(outside *ecdsa.PrivateKey) (keystore.Key, error) {
	if outside == nil || outside.Curve != elliptic.P256() {
		return nil, fmt.Errorf("take key: %w", keystore.ErrKey)
	}
	scalar, err := outside.Bytes()
	if err != nil {
		return nil, fmt.Errorf("take key: %w: %w", keystore.ErrKey, err)
	}
	defer clear(scalar)
	point, err := outside.PublicKey.Bytes() // 04, x, y
	if err != nil {
		return nil, fmt.Errorf("take key: %w: %w", keystore.ErrKey, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.take(scalar, point[1:1+coordinate], point[1+coordinate:])
	if err != nil {
		return nil, fmt.Errorf("take key: %w", err)
	}
	return k, nil
}

func (s *Store) take(scalar, x, y []byte) (*key, error) {
	policy, err := s.policy(s.keyPCRs)
	if err != nil {
		return nil, err
	}
	public := template(policy, false)
	public.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: x}, Y: tpm2.TPM2BECCParameter{Buffer: y},
	})
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return nil, err
	}
	sensitive := tpm2.Marshal(tpm2.TPMTSensitive{
		SensitiveType: tpm2.TPMAlgECC,
		Sensitive:     tpm2.NewTPMUSensitiveComposite(tpm2.TPMAlgECC, &tpm2.TPM2BECCParameter{Buffer: scalar}),
	})
	defer clear(sensitive)
	to, err := tpm2.ImportEncapsulationKey(&s.pub)
	if err != nil {
		return nil, err
	}
	duplicate, seed, err := tpm2.CreateDuplicate(rand.Reader, to, name.Buffer, sensitive)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Import{
		ParentHandle: s.parent(), ObjectPublic: tpm2.New2B(public), Duplicate: tpm2.TPM2BPrivate{Buffer: duplicate},
		InSymSeed: tpm2.TPM2BEncryptedSecret{Buffer: seed}, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
	}.Execute(s.tpm)
	if err != nil {
		return nil, err
	}
	return s.key(tpm2.Marshal(public), rsp.OutPrivate.Buffer)
}

// OpenKey has the key sign once: one that will not is told of here.
func (s *Store) OpenKey(guarded []byte) (keystore.Key, error) {
	public, private, err := split(guarded, tpm2.TPMAlgECC)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	k, err := s.key(public, private)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	trial := sha256.Sum256([]byte("trial"))
	signature, err := k.Sign(nil, trial[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(k.ecdsa, trial[:], signature) {
		err = keystore.ErrForeign
	}
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return k, nil
}

// key reads the public part. Errors: keystore.ErrForeign.
func (s *Store) key(public, private []byte) (*key, error) {
	p, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil || !p.ObjectAttributes.SignEncrypt || p.ObjectAttributes.UserWithAuth {
		return nil, keystore.ErrForeign
	}
	parms, err := p.Parameters.ECCDetail()
	if err != nil || parms.CurveID != tpm2.TPMECCNistP256 {
		return nil, keystore.ErrForeign
	}
	point, err := p.Unique.ECC()
	if err != nil || len(point.X.Buffer) > coordinate || len(point.Y.Buffer) > coordinate {
		return nil, keystore.ErrForeign
	}
	sec1 := make([]byte, 1+2*coordinate)
	sec1[0] = 4 // uncompressed. SEC 1, 2.3.3
	copy(sec1[1+coordinate-len(point.X.Buffer):], point.X.Buffer)
	copy(sec1[1+2*coordinate-len(point.Y.Buffer):], point.Y.Buffer)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), sec1)
	if err != nil {
		return nil, keystore.ErrForeign
	}
	return &key{s, public, private, pub, !p.ObjectAttributes.SensitiveDataOrigin}, nil
}

// Public implements crypto.Signer.
func (k *key) Public() crypto.PublicKey { return k.ecdsa }

// Guarded implements keystore.Key.
func (k *key) Guarded() []byte { return together(k.public, k.private) }

// Moved implements keystore.Key.
func (k *key) Moved() bool { return k.moved }

// String says what it is: there is nothing in it to hide.
func (k *key) String() string { return "key in a tpm" }

var errDigest = errors.New("no digest of sha-256")

// Sign implements crypto.Signer. The TPM draws its own random numbers. Errors:
// keystore.ErrState, keystore.ErrForeign.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if len(digest) != sha256.Size || opts != nil && opts.HashFunc() != crypto.SHA256 && opts.HashFunc() != 0 {
		return nil, fmt.Errorf("sign: %w", errDigest)
	}
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	var signature []byte
	err := k.store.loaded(k.public, k.private, func(o tpm2.NamedHandle) (err error) {
		signature, err = k.store.sign(o, digest)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

func (s *Store) sign(o tpm2.NamedHandle, digest []byte) ([]byte, error) {
	sess, done, err := tpm2.PolicySession(s.tpm, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := (tpm2.PolicyPCR{PolicySession: sess.Handle(), Pcrs: s.keyPCRs}).Execute(s.tpm); err != nil {
		return nil, err
	}
	rsp, err := tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: o.Handle, Name: o.Name, Auth: sess},
		Digest:     tpm2.TPM2BDigest{Buffer: digest},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(s.tpm)
	switch {
	case errors.Is(err, tpm2.TPMRCPolicyFail):
		return nil, fmt.Errorf("%w: %w", keystore.ErrState, err)
	case isTPM(err): // another kind of object, which was made elsewhere
		return nil, fmt.Errorf("%w: %w", keystore.ErrForeign, err)
	case err != nil:
		return nil, err
	}
	sig, err := rsp.Signature.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer),
	})
}
