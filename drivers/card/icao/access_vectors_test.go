//lint:file-ignore SA1019 The worked examples are points of crypto/elliptic.

package icao

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
)

// ICAO 9303-11, appendix D.3: Basic Access Control.
func TestBasicAccessControlOfAppendixD3(t *testing.T) {
	b, err := NewBAC(PasswordMRZ("L898902C<", "690806", "940623"))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := unhex(t, "781723860C06C226"), unhex(t, "4608F91988702212")
	key := unhex(t, "0B795240CB7049B01C19B33E32804F0B")
	sealed, err := b.Seal(ours, theirs, key)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "terminal's message", sealed, "72C29C2371CC9BDB65B779B8E8D37B29ECC154AA56A8799FAE2F498F76ED92F25F1448EEA8AD90A7")
	answer := unhex(t, "46B9342A41396CD7386BF5803104D7CEDC122B9132139BAF2EEDC94EE178534F2F2D235D074D7449")
	chipKey, err := b.Open(answer, theirs, ours)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "chip's share", chipKey, "0B4F80323EB3191CB04970CB4052790B")
	session, err := BACSession(key, chipKey, ours, theirs)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "key for macs", session.macKey, "F1CB1F1FB5ADF208806B89DC579DC1F8")
	equal(t, "counter", session.ssc, "887022120C06C226")
	for i := range answer {
		changed := bytes.Clone(answer)
		changed[i] ^= 1
		if _, err := b.Open(changed, theirs, ours); !errors.Is(err, ErrBAC) {
			t.Errorf("byte %d changed: error = %v", i, err)
		}
	}
	if _, err := b.Open(answer, ours, theirs); !errors.Is(err, ErrBAC) {
		t.Errorf("another exchange's message: error = %v", err)
	}
}

// ICAO 9303-11, appendix H.1: PACE with ECDH, integrated mapping, AES-128 and
// brainpoolP256r1.
func TestIntegratedMappingOfAppendixH1(t *testing.T) {
	s := Suite{Info: ECDHPACE(MappingIntegrated, AES128, 13), curve: standardCurves[13].curve()}
	equal(t, "protocol", s.Info.Protocol, "04007F00070202040402")
	// The example gives the password's key, not the zone that it comes of.
	b, err := AES128.block(unhex(t, "591468CDA83D65219CCCB8560233600F"))
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 16)
	b.Decrypt(nonce, unhex(t, "143DC40C08C8E891FBED7DEDB92B64AD"))
	equal(t, "nonce", nonce, "2923BE84E16CD6AE529049F1F1BBE9EB")
	ours := unhex(t, "5DD4CBFC96F5453B130D890A1CDBAE32")
	number, err := s.pseudoRandom(nonce, ours)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "number of both nonces", number.Bytes(), "A2F8FF2DF50E52C6599F386ADCB595D229F6A167ADE2BE5F2C3296ADD5B7430E")
	g, err := s.MapIntegrated(nonce, ours)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mapped generator", elliptic.Marshal(s.curve, g.x, g.y), "048E82D31559ED0FDE92A4D0498ADD3C23BABA94FB77691E31E90AEA77FB17D427"+
		"4C1AE14BD0C3DBAC0C871B7F3608169364437CA30AC243A089D3F266C1E60FAD")
	terminal := s.keyOf(unhex(t, "A73FB703AC1436A18E0CFA5ABB3F7BEC7A070E7A6788486BEE230C4A22762595"), g)
	chip := s.keyOf(unhex(t, "107CF58696EF6155053340FD633392BA81909DF7B9706F226F32086C7AFF974A"), g)
	equal(t, "terminal's key", terminal.Public, "0489CBA23FFE96AA18D824627C3E934E54A9FD0B87A95D1471DC1C0ABFDCD640D4"+
		"6755DE9B7B778280B6BEBD57439ADFEB0E21FD4ED6DF42578C13418A59B34C37")
	equal(t, "chip's key", chip.Public, "0467F78E5F7F7686082B293E8D087E056916D0F74BC01A5F8957D0DE45691E51E8"+
		"932B69A962B52A0985AD2C0A271EE6A13A8ADDDCD1A3A994B9DED257F4D22753")
	enc, mac, err := s.SessionKeys(terminal, chip.Public)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "key for encryption", enc, "0D3FEB33251A6370893D62AE8DAAF51B")
	equal(t, "key for macs", mac, "B01E89E3D9E8719E586B50B4A7506E0B")
	theirs, err1 := s.Token(mac, terminal.Public)
	token, err2 := s.Token(mac, chip.Public)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	equal(t, "chip's token", theirs, "75D4D96E8D5B0308")
	equal(t, "terminal's token", token, "450F02B86F6A0909")
}

// ICAO 9303-11, appendix I: PACE with ECDH, chip authentication mapping, AES-128
// and brainpoolP256r1.
func TestChipAuthenticationMappingOfAppendixI(t *testing.T) {
	s := Suite{Info: ECDHPACE(MappingChip, AES128, 13), curve: standardCurves[13].curve()}
	password := PasswordMRZ("C11T002JM", "960812", "231031")
	nonce, err := s.DecryptNonce(password, unhex(t, "CB60E8E0D85B76A9BD304747C2AD42E2"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "nonce", nonce, "658B860BC94DF6F044FCE6D5C82CF8E5")
	chipMapping := unhex(t, "04A234236AA9B9621E8EFB73B5245C0E09D2576E5277183C1208BDD55280CAE8B3"+
		"04F365713A356E65A451E165ECC9AC0AC46E3771342C8FE5AEDD092685338E23")
	g, err := s.MapGeneric(nonce, s.keyOf(unhex(t, "5D8BB87BD74D985A4B7D4325B9F7B976FE835122773400798914AA22738135CC"), Generator{}), chipMapping)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mapped generator", elliptic.Marshal(s.curve, g.x, g.y), "0489F0B5EABF3BE293C75903A3986131925C9F5B515CA95AF485DC7E886F03245D"+
		"44BEFB2DD3A0DBD71CB5E618971CF4747F12B79E548379A40E45963BAAF3E829")
	key := s.keyOf(unhex(t, "76ECFDAA9841C323A3F5FC5E88B88DB3EFF7E35EBF57A7E6946CB630006C2120"), g)
	chipKey := unhex(t, "0402AD566F3C6EC7F9324509AD50A51FA52030782A4968FCFEDF737DAEA9933331"+
		"11C3B9B4C2287789BD137E7F8AA882E2A3C633CCD6ECC2C63C57AD401A09C2E1")
	enc, mac, err := s.SessionKeys(key, chipKey)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "key for encryption", enc, "0A9DA4DB03BDDE39FC5202BC44B2E89E")
	equal(t, "key for macs", mac, "4B1C06491ED5140CA2B537D344C6C0B1")
	token, err := s.Token(mac, chipKey)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "terminal's token", token, "E86BD06018A1CD3B")
	data, err := s.OpenChipData(enc, unhex(t, "1EEA964DAAE372AC990E3EFDE6333353BFC89A6704D93DA8798CF77F5B7A54BD10CBA372B42BE0B9B5F28AA8DE2F4F92"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "chip authentication data", data, "85DC3FA93D0952BFA82F5FD189EE75BD82F11D1F0B8ED4BF5319AC9B53C426B3")
	infos, err := ParseCardAccess(MakeTLV(tagSet, unhex(t, "3062060904007F0007020201023052300C060704007F0007010202010D0342000418727094"+
		"94399E7470A6431BE25E83EEE24FEA568C2ED28DB48E05DB3A610DC884D256A40E35EFCB59BF6753D3A489D28C7A4D973C2DA138A6E7A4A08F68E16F02010D")))
	if err != nil {
		t.Fatal(err)
	}
	if err := infos.VerifyMapping(chipMapping, data); err != nil {
		t.Error(err)
	}
	data[31] ^= 1
	if err := infos.VerifyMapping(chipMapping, data); !errors.Is(err, ErrChip) {
		t.Errorf("changed data: error = %v", err)
	}
}

// Whatever the nonces, integrated mapping gives both sides the same point of the
// curve, on every curve and with every cipher.
func TestIntegratedMappingOnAllCurves(t *testing.T) {
	for id := range standardCurves {
		for _, c := range []Cipher{TripleDES, AES128, AES192, AES256} {
			s, err := ChooseSuite([]PACEInfo{ECDHPACE(MappingIntegrated, c, id)})
			if err != nil {
				t.Fatal(err)
			}
			nonce, ours := make([]byte, s.NonceSize()), make([]byte, s.TerminalNonceSize())
			_, _ = rand.Read(nonce)
			_, _ = rand.Read(ours)
			a, err := s.MapIntegrated(nonce, ours)
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			ours[0] ^= 0x10
			b, err := s.MapIntegrated(nonce, ours)
			if err != nil || a.x.Cmp(b.x) == 0 {
				t.Errorf("%s: another nonce makes the same point: %v", s.Name, err)
			}
			if _, err := s.MapIntegrated(nonce[1:], ours); !errors.Is(err, ErrPACE) {
				t.Errorf("%s: short nonce: error = %v", s.Name, err)
			}
		}
	}
}

// A chip proves its key on every curve and with every cipher, by Chip
// Authentication and by the mapping; another chip doesn't.
func TestChipAuthenticationOnAllCurves(t *testing.T) {
	for id := range standardCurves {
		for _, c := range []Cipher{TripleDES, AES128, AES192, AES256} {
			chip, err := NewStaticKey(rand.Reader, id)
			if err != nil {
				t.Fatal(err)
			}
			group14 := DG14(nil, chip.Info(), ChipAuthentication(c))
			infos, err := ParseDG14(group14)
			if err != nil {
				t.Fatal(err)
			}
			suite, err := infos.ChooseChip()
			if err != nil {
				t.Fatal(err)
			}
			key, err := suite.NewKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			stranger, err := NewStaticKey(rand.Reader, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyChip(group14, key.Secret(), answerOf(t, chip, c, key.Public)); err != nil {
				t.Errorf("%s: %v", suite.Name, err)
			}
			if err := VerifyChip(group14, key.Secret(), answerOf(t, stranger, c, key.Public)); !errors.Is(err, ErrChip) {
				t.Errorf("%s: another chip: error = %v", suite.Name, err)
			}
			mapping, err := suite.NewKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := infos.VerifyMapping(mapping.Public, chip.MappingData(mapping)); err != nil {
				t.Errorf("%s: mapping: %v", suite.Name, err)
			}
			if err := infos.VerifyMapping(mapping.Public, stranger.MappingData(mapping)); !errors.Is(err, ErrChip) {
				t.Errorf("%s: mapping of another chip: error = %v", suite.Name, err)
			}
		}
	}
}

// answerOf is the first answer of a chip after Chip Authentication.
func answerOf(t *testing.T, chip *StaticKey, c Cipher, peer []byte) []byte {
	t.Helper()
	session, err := chip.Session(c, peer)
	if err != nil {
		t.Fatal(err)
	}
	session.count()
	r, err := session.SealResponse(Response{Data: []byte("60"), SW: SWDone}, false)
	if err != nil {
		t.Fatal(err)
	}
	return r.Bytes()
}

func TestNoProofIsNoProof(t *testing.T) {
	chip, err := NewStaticKey(rand.Reader, 12)
	if err != nil {
		t.Fatal(err)
	}
	group14 := DG14(nil, chip.Info(), ChipAuthentication(AES128))
	for name, answer := range map[string][]byte{"nothing": nil, "refused": {0x69, 0x88}, "done": {0x90, 0x00}} {
		if err := VerifyChip(group14, []byte{5}, answer); !errors.Is(err, ErrChip) {
			t.Errorf("%s: error = %v, want no proof", name, err)
		}
	}
	if err := VerifyChip(group14, nil, []byte{0x90, 0x00}); !errors.Is(err, ErrChip) {
		t.Errorf("no secret: error = %v, want no proof", err)
	}
	if err := VerifyChip(DG14(nil), []byte{5}, nil); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("no key: error = %v, want unknown algorithm", err)
	}
}

func TestSecretOfTheZoneIsChecked(t *testing.T) {
	got, err := MRZSecret("L898902C", Date{69, 8, 6}, Date{94, 6, 23})
	if err != nil || !bytes.Equal(got, PasswordMRZ("L898902C<", "690806", "940623")) {
		t.Errorf("secret = %X, %v", got, err)
	}
	for _, number := range []string{"", "<<<", "l898902c", "AA 123456", "12345678901234567890123"} {
		if _, err := MRZSecret(number, Date{69, 8, 6}, Date{94, 6, 23}); !errors.Is(err, ErrMRZ) {
			t.Errorf("number %q: error = %v", number, err)
		}
	}
	for _, d := range []Date{{69, 13, 1}, {69, 1, 32}, {169, 1, 1}, {-1, 1, 1}} {
		if _, err := MRZSecret("L898902C", d, Date{94, 6, 23}); !errors.Is(err, ErrMRZ) {
			t.Errorf("birth %v: error = %v", d, err)
		}
	}
}
