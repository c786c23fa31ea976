package pkcs11

import "crypto"

// SignHere signs with the module in this process, as no program does: what stays in
// its memory then is what the memory test must be able to find.
func (s *Signer) SignHere(pin []byte, hash crypto.Hash, digest []byte) error {
	_, err := obey(order{Do: doSign, Module: s.opener.module, Prefix: s.opener.prefix, Token: s.tokens[1], Hash: hash, Digest: digest}, pin)
	clear(pin)
	return err
}
