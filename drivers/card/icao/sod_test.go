package icao_test

import (
	"os"
	"path/filepath"
	"testing"

	"kosk/drivers/card/icao"
)

// The files are real ones of four states; NZ1 is in BER of indefinite length,
// MY1 names its signer in another order than the certificate does.
func TestRealSecurityObjectsVerifyWithTheirSigners(t *testing.T) {
	countries := map[string]string{"DE1": "DE", "FR1": "FR", "MY1": "MY", "NZ1": "NZ"}
	for name, country := range countries {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("testdata", name+".sod"))
			if err != nil {
				t.Fatal(err)
			}
			sod, err := icao.ParseSOD(file)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := sod.Verify()
			if err != nil {
				t.Fatal(err)
			}
			if got := signer.Certificate.Issuer.Country; got != country {
				t.Errorf("signer's country = %q, want %q", got, country)
			}
			if !sod.Has(1) {
				t.Errorf("groups = %v, want group 1 among them", sod.Groups())
			}
			t.Logf("groups %v, signed %v", sod.Groups(), signer.Time)
		})
	}
}
