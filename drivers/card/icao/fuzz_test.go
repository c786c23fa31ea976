package icao

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
)

func addSODs(f *testing.F) {
	names, err := filepath.Glob("testdata/*.sod")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

func FuzzTLV(f *testing.F) {
	f.Add([]byte{0x7F, 0x49, 0x81, 0x02, 0x86, 0x00})
	f.Add([]byte{0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 0xAA, 0x04, 0x01, 0xBB, 0, 0, 0, 0})
	f.Add([]byte{0x04, 0x84, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		if tlv, rest, err := ReadTLV(b); err == nil && len(tlv.Raw)+len(rest) != len(b) {
			t.Error("bytes were lost")
		}
		_, _ = FileSize(b)
		der, err := Definite(b)
		if err != nil {
			return
		}
		again, err := Definite(der)
		if err != nil || !bytes.Equal(der, again) {
			t.Errorf("definite of definite differs: %v", err)
		}
	})
}

func FuzzAPDU(f *testing.F) {
	for _, c := range []Command{{INS: INSSelect}, {Le: 256}, {Data: []byte{1}}, {Data: []byte{1}, Le: 65536}, {Data: make([]byte, 300)}} {
		b, err := c.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseResponse(b); err == nil && !bytes.Equal(r.Bytes(), b) {
			t.Error("response comes back changed")
		}
		c, err := ParseCommand(b)
		if err != nil {
			return
		}
		out, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseCommand(out)
		if err != nil || d.Le != c.Le || !bytes.Equal(d.Data, c.Data) {
			t.Errorf("command comes back changed: %v", err)
		}
	})
}

func FuzzMRZ(f *testing.F) {
	for _, z := range zones {
		f.Add(z.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMRZ(text)
		if err != nil {
			return
		}
		_, _ = m.FIN()
		if lines := m.TD1Lines(); len(lines) != 90 {
			t.Errorf("%d characters", len(lines))
		}
	})
}

func FuzzGroups(f *testing.F) {
	f.Add(DG1(zones[0].text))
	f.Add(DG11(Details{Surname: "MƏMMƏDOVA", GivenNames: "AYGÜN", PersonalNumber: "5ARPXK2"}))
	f.Add(DG12(Issuing{Authority: "ASAN XİDMƏT"}))
	f.Add(DG14([]PACEInfo{GenericPACE(AES128, 12)}))
	f.Add(COM(1, 11, 14, 15))
	f.Add(DG15([]byte{tagSeq, 0}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = ParseDG1(b)
		_, _ = ParseDG11(b)
		_, _ = ParseDG12(b)
		_, _ = ParseDG14(b)
		_, _ = ParseDG15(b)
		_, _ = ParseCOM(b)
		_ = VerifyActive(b, b, b, b)
	})
}

func FuzzCardAccess(f *testing.F) {
	f.Add(CardAccess(GenericPACE(AES128, 12), GenericPACE(AES256, 18)))
	f.Add([]byte{0x47, 0x03, 0, 0, 0x40, 0x7F, 0x66, 0x08, 2, 2, 0x10, 0, 2, 2, 0x10, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		ParseCardInfo(b)
		if s, err := ParseCardAccess(b); err == nil {
			_, _ = ChooseSuite(s.PACE)
			_, _ = s.ChooseChip()
		}
	})
}

func FuzzCardSecurity(f *testing.F) {
	addSODs(f)
	key, err := NewStaticKey(rand.Reader, 13)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Infos([]PACEInfo{ECDHPACE(MappingChip, AES128, 13)}, key.Info(), ChipAuthentication(AES256)))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if infos, err := ParseCardAccess(b); err == nil {
			_ = infos.VerifyMapping(b, b)
		}
		_ = VerifyChip(b, b, b)
		if s, err := ParseCardSecurity(b); err == nil {
			_, _ = s.Verify()
		}
	})
}

func FuzzSOD(f *testing.F) {
	addSODs(f)
	f.Fuzz(func(_ *testing.T, b []byte) {
		s, err := ParseSOD(b)
		if err != nil {
			return
		}
		_, _ = s.Verify()
		_ = s.Check(1, b)
	})
}

func FuzzCertificate(f *testing.F) {
	names, err := filepath.Glob("testdata/*.sod")
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		s, err := ParseSOD(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.signed.Certificates[0].Raw)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := ParseCertificate(b); err == nil {
			_ = c.CheckSignatureFrom(c)
		}
	})
}

func FuzzSecureMessaging(f *testing.F) {
	m, err := NewMessaging(AES128, make([]byte, 16), make([]byte, 16), nil)
	if err != nil {
		f.Fatal(err)
	}
	r, err := m.SealResponse(Response{Data: []byte{1, 2, 3}, SW: SWDone}, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.Data)
	f.Fuzz(func(_ *testing.T, b []byte) {
		m, err := NewMessaging(AES128, make([]byte, 16), make([]byte, 16), nil)
		if err != nil {
			return
		}
		_, _ = m.OpenResponse(Response{Data: b, SW: SWDone})
		_, _ = m.OpenCommand(Command{CLA: 0x0C, Data: b})
	})
}

func FuzzBAC(f *testing.F) {
	b, err := NewBAC(PasswordMRZ("L898902C<", "690806", "940623"))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := b.Seal(make([]byte, BACNonce), make([]byte, BACNonce), make([]byte, BACKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, message []byte) {
		if _, _, err := b.OpenFirst(message, make([]byte, BACNonce)); err == nil && !bytes.Equal(message, sealed) {
			t.Error("a message of nobody was taken")
		}
		s := Suite{Info: ECDHPACE(MappingChip, AES128, 12)}
		_, _ = s.OpenChipData(make([]byte, 16), message)
	})
}
