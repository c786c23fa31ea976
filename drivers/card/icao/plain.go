package icao

import (
	"crypto"
	"crypto/rsa"
	"fmt"
)

// VerifyToken checks a signature as tokens make it, PKCS#11 2.3: PKCS#1 v1.5 of
// an RSA key, r and s of equal length of an EC key. Errors: ErrSignature,
// ErrAlgorithm for a hash that is not spoken here.
func (k *PublicKey) VerifyToken(h crypto.Hash, content, signature []byte) error {
	if makers[h] == nil {
		return fmt.Errorf("%w: hash %v", ErrAlgorithm, h)
	}
	if k.rsa == nil {
		return k.verifyPlain(h, content, signature)
	}
	if rsa.VerifyPKCS1v15(k.rsa, h, digest(h, content), signature) != nil {
		return ErrSignature
	}
	return nil
}
