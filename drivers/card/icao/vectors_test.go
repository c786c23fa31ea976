//lint:file-ignore SA1019 The worked examples are points of crypto/elliptic.

package icao

import (
	"bytes"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func equal(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s = %X, want %s", what, got, want)
	}
}

// ICAO 9303-11, appendix D.1: keys from a seed.
func TestKeyDerivationOfAppendixD1(t *testing.T) {
	seed := unhex(t, "239AB9CB282DAF66231DC5A4DF6BFBAE")
	equal(t, "key for encryption", TripleDES.Derive(seed, UseEncryption), "AB94FDECF2674FDFB9B391F85D7F76F2")
	equal(t, "key for macs", TripleDES.Derive(seed, UseMAC), "7962D9ECE03D1ACD4C76089DCE131543")
}

// ICAO 9303-11, appendix D.2: the seed from the zone.
func TestPasswordOfAppendixD2(t *testing.T) {
	equal(t, "seed", PasswordMRZ("L898902C<", "690806", "940623")[:16], "239AB9CB282DAF66231DC5A4DF6BFBAE")
}

// ICAO 9303-11, appendix D.4: reading EF.COM under 3DES.
func TestSecureMessagingOfAppendixD4(t *testing.T) {
	newSession := func() *Messaging {
		m, err := NewMessaging(TripleDES, unhex(t, "979EC13B1CBFE9DCD01AB0FED307EAE5"),
			unhex(t, "F1CB1F1FB5ADF208806B89DC579DC1F8"), unhex(t, "887022120C06C226"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	exchanges := []struct {
		command         Command
		sealed, answer  string
		plain           string
		sealedByTheChip bool
	}{
		{
			command: Command{INS: INSSelect, P1: 0x02, P2: 0x0C, Data: []byte{0x01, 0x1E}},
			sealed:  "0CA4020C158709016375432908C044F68E08BF8B92D635FF24F800",
			answer:  "990290008E08FA855A5D4C50A8ED9000",
		},
		{
			command: Command{INS: INSReadBinary, Le: 4},
			sealed:  "0CB000000D9701048E08ED6705417E96BA5500",
			answer:  "8709019FF0EC34F9922651990290008E08AD55CC17140B2DED9000",
			plain:   "60145F01",
		},
		{
			command: Command{INS: INSReadBinary, P2: 4, Le: 18},
			sealed:  "0CB000040D9701128E082EA28A70F3C7B53500",
			answer:  "871901FB9235F4E4037F2327DCC8964F1F9B8C30F42C8E2FFF224A990290008E08C8B2787EAEA07D749000",
			plain:   "04303130365F36063034303030305C026175",
		},
	}
	terminal, chip := newSession(), newSession()
	for i, e := range exchanges {
		sealed, err := terminal.SealCommand(e.command)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := sealed.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "sealed command", raw, e.sealed)
		opened, err := chip.OpenCommand(sealed)
		if err != nil || opened.INS != e.command.INS || !bytes.Equal(opened.Data, e.command.Data) || opened.Le != e.command.Le {
			t.Errorf("exchange %d: the chip opens %+v, %v", i, opened, err)
		}
		resealed, err := chip.SealResponse(Response{Data: unhex(t, e.plain), SW: SWDone}, false)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "sealed response", resealed.Bytes(), e.answer)
		resp, err := ParseResponse(unhex(t, e.answer))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := terminal.OpenResponse(resp)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "plain response", plain.Data, e.plain)
	}
}

// ICAO 9303-11, appendix G.1: PACE with ECDH, generic mapping, AES-128,
// brainpoolP256r1 and the zone as password.
func TestPACEOfAppendixG1(t *testing.T) {
	s := Suite{Info: GenericPACE(AES128, 13), curve: standardCurves[13].curve()}
	password := PasswordMRZ("T22000129", "640812", "101031")
	equal(t, "password", password, "7E2D2A41C74EA0B38CD36F863939BFA8E9032AAD")
	equal(t, "password's key", AES128.Derive(password, UsePassword), "89DED1B26624EC1E634C1989302849DD")
	nonce, err := s.DecryptNonce(password, unhex(t, "95A3A016522EE98D01E76CB6B98B42C3"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "nonce", nonce, "3F00C4D39D153F2B2A214A078D899B22")

	terminal := s.keyOf(unhex(t, "7F4EF07B9EA82FD78AD689B38D0BC78CF21F249D953BC46F4C6E19259C010F99"), Generator{})
	chip := s.keyOf(unhex(t, "498FF49756F2DC1587840041839A85982BE7761D14715FB091EFA7BCE9058560"), Generator{})
	equal(t, "terminal's mapping key", terminal.Public, "047ACF3EFC982EC45565A4B155129EFBC74650DCBFA6362D896FC70262E0C2CC5E"+
		"544552DCB6725218799115B55C9BAA6D9F6BC3A9618E70C25AF71777A9C4922D")
	equal(t, "chip's mapping key", chip.Public, "04824FBA91C9CBE26BEF53A0EBE7342A3BF178CEA9F45DE0B70AA601651FBA3F57"+
		"30D8C879AAA9C9F73991E61B58F4D52EB87A0A0C709A49DC63719363CCD13C54")
	g, err := s.MapGeneric(nonce, terminal, chip.Public)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mapped generator", elliptic.Marshal(s.curve, g.x, g.y), "048CED63C91426D4F0EB1435E7CB1D74A46723A0AF21C89634F65A9AE87A9265E2"+
		"8C879506743F8611AC33645C5B985C80B5F09A0B83407C1B6A4D857AE76FE522")

	terminal = s.keyOf(unhex(t, "A73FB703AC1436A18E0CFA5ABB3F7BEC7A070E7A6788486BEE230C4A22762595"), g)
	chip = s.keyOf(unhex(t, "107CF58696EF6155053340FD633392BA81909DF7B9706F226F32086C7AFF974A"), g)
	equal(t, "terminal's key", terminal.Public, "042DB7A64C0355044EC9DF190514C625CBA2CEA48754887122F3A5EF0D5EDD301C"+
		"3556F3B3B186DF10B857B58F6A7EB80F20BA5DC7BE1D43D9BF850149FBB36462")
	equal(t, "chip's key", chip.Public, "049E880F842905B8B3181F7AF7CAA9F0EFB743847F44A306D2D28C1D9EC65DF6DB"+
		"7764B22277A2EDDC3C265A9F018F9CB852E111B768B326904B59A0193776F094")
	enc, mac, err := s.SessionKeys(terminal, chip.Public)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "key for encryption", enc, "F5F0E35C0D7161EE6724EE513A0D9A7F")
	equal(t, "key for macs", mac, "FE251C7858B356B24514B3BD5F4297D1")
	ours, err := s.Token(mac, chip.Public)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "terminal's token", ours, "C2B0BD78D94BA866")
	theirs, err := s.Token(mac, terminal.Public)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "chip's token", theirs, "3ABB9674BCE93C08")
}

// NIST SP 800-38B, appendix D.1: AES-128.
func TestCMACOfSP80038B(t *testing.T) {
	b, err := AES128.block(unhex(t, "2B7E151628AED2A6ABF7158809CF4F3C"))
	if err != nil {
		t.Fatal(err)
	}
	message := unhex(t, "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411")
	equal(t, "mac of nothing", cmac(b, nil), "BB1D6929E95937287FA37D129B756746")
	equal(t, "mac of 16 bytes", cmac(b, message[:16]), "070A16B46B4D4144F79BDD9DD04A287C")
	equal(t, "mac of 40 bytes", cmac(b, message), "DFA66747DE9AE63030CA32611497C827")
}

// The sizes that card readers know by heart.
func TestPlainDataInAShortResponse(t *testing.T) {
	aes, err := NewMessaging(AES128, make([]byte, 16), make([]byte, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	des, err := NewMessaging(TripleDES, make([]byte, 16), make([]byte, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := aes.MaxPlain(MaxShort); got != 223 {
		t.Errorf("AES: %d, want 223", got)
	}
	if got := des.MaxPlain(MaxShort); got != 231 {
		t.Errorf("3DES: %d, want 231", got)
	}
	for room := 40; room < 5000; room++ {
		chip, err := NewMessaging(AES256, make([]byte, 32), make([]byte, 32), nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := chip.SealResponse(Response{Data: make([]byte, aes.MaxPlain(room)), SW: SWDone}, false)
		if err != nil || len(r.Data) > room {
			t.Fatalf("room of %d: %d bytes, %v", room, len(r.Data), err)
		}
	}
}

func TestForeignPointsAreRefused(t *testing.T) {
	for id := range standardCurves {
		s := Suite{Info: GenericPACE(AES128, id), curve: standardCurves[id].curve()}
		key := s.keyOf([]byte{5}, Generator{})
		off := bytes.Clone(s.keyOf([]byte{7}, Generator{}).Public)
		off[len(off)-1] ^= 1
		for name, peer := range map[string][]byte{
			"our own": key.Public, "off the curve": off, "infinity": {0}, "empty": {}, "cut short": off[:20],
		} {
			if _, err := s.MapGeneric(make([]byte, 16), key, peer); !errors.Is(err, ErrPACE) {
				t.Errorf("curve %d, %s: error = %v, want bad pace", id, name, err)
			}
		}
	}
}

// Whatever is changed in a protected message, the other side notices.
func TestChangedMessagesAreRefused(t *testing.T) {
	for _, c := range []Cipher{TripleDES, AES128, AES192, AES256} {
		size := map[Cipher]int{TripleDES: 16, AES128: 16, AES192: 24, AES256: 32}[c]
		session := func() *Messaging {
			m, err := NewMessaging(c, bytes.Repeat([]byte{1}, size), bytes.Repeat([]byte{2}, size), nil)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		sealed, err := session().SealResponse(Response{Data: []byte("5F1F"), SW: SWDone}, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range sealed.Data {
			changed := Response{Data: bytes.Clone(sealed.Data), SW: SWDone}
			changed.Data[i] ^= 1
			if _, err := session().OpenResponse(changed); !errors.Is(err, ErrMessaging) {
				t.Errorf("%v, byte %d: error = %v, want bad secure messaging", c, i, err)
			}
		}
		if _, err := session().OpenResponse(Response{Data: sealed.Data, SW: SWEndOfFile}); !errors.Is(err, ErrMessaging) {
			t.Errorf("%v: a status changed outside was taken: %v", c, err)
		}
		again := session()
		if _, err := again.OpenResponse(sealed); err != nil {
			t.Errorf("%v: %v", c, err)
		}
		if _, err := again.OpenResponse(sealed); !errors.Is(err, ErrMessaging) {
			t.Errorf("%v: a repeated message was taken", c)
		}
	}
}
