package say

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kosk/device/text"
)

// ipa asks the real espeak-ng how it pronounces text.
func ipa(t *testing.T, lang text.Lang, s string) string {
	t.Helper()
	voice := map[text.Lang]string{text.Az: "az", text.Ru: "ru", text.En: "en-gb"}[lang]
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "espeak-ng", "-q", "--ipa", "-b", "1", "-v", voice, "--stdin")
	cmd.Env = append(os.Environ(), "PULSE_SERVER=unix:/dev/null") // else it leaves folders in /tmp
	cmd.Stdin = strings.NewReader(s + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v (build/deps installs espeak-ng)", err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// The faults that espeak-ng has are there without us and gone with us: each row
// has the phonemes that nobody must hear, and some of those that all must.
func TestNoCursedFormIsPronounced(t *testing.T) {
	for _, c := range []struct {
		lang         text.Lang
		kind         text.Kind
		in           string
		cursed, want []string
	}{
		{text.Az, text.Plain, "12.05.1990", []string{"bˈeʃ mˈin"}, []string{"mˈaj", "doxsanɯndʒˈɯ", "ˈil"}},
		{text.Az, text.FIN, "5ARPXK2", []string{"arpxk"}, []string{"bˈeʃ", "ˈer", "xˈe", "icˈi"}},
		{text.Az, text.Plain, "5ARPXK2", []string{"arpxk"}, []string{"bˈeʃ", "ˈer", "xˈe", "icˈi"}},
		{text.Az, text.DocNo, "AZE12345678", []string{"miljˈon", "azˈe"}, []string{"ˈon icˈi", "otˈuz dˈœrd"}},
		{text.Az, text.Plain, "25.50 manat", []string{"beʃ ællˈi"}, []string{"manˈat", "ɡæpˈi"}},
		{text.Az, text.Plain, "–5", nil, []string{"mænfˈi"}},
		{text.Az, text.Plain, "№ 5", nil, []string{"nˈœmræ"}},
		{text.Az, text.Plain, "§ 5", nil, []string{"paɾaɡrˈaf"}},
		{text.Az, text.Plain, "18 %", []string{"eɪ", "aɪ"}, []string{"fajˈiz"}},
		{text.Az, text.Plain, "a + b", []string{"plˈʌs"}, []string{"yst"}},
		{text.Az, text.Plain, "Nizami küç. 5, Nəsimi r-nu", []string{"cˈytʃ ", " nˈu"}, []string{"cytʃæsˈi", "rajonˈu"}},
		{text.Az, text.Plain, "DYP", []string{"djp"}, []string{"jˈe", "pˈe"}},
		{text.Az, text.Plain, "XX əsr", []string{"xˈe"}, []string{"ijirmindʒˈi"}},
		{text.Az, text.Plain, "PIN və FIN", []string{"pˈɯn", "fˈɯn"}, []string{"pˈin", "fˈin"}},
		{text.Az, text.Plain, "25 AZN", []string{"azn"}, []string{"manˈat"}},
		{text.Az, text.Phone, "+994501234567", []string{"miljˈ", "milijˈ"}, []string{"doxsˈan", "ællˈi"}},
		{text.Ru, text.Phone, "+994501234567", []string{"mʲilʲi"}, []string{"pɭʲˈu"}},
		{text.Ru, text.Plain, "12.05.1990", []string{"tˈotʃkʌ", "tˈotɕkʌ", "odnˈɑ tˈysʲʌ"}, []string{"mˈɑja", "ɡˈoda"}},
		{text.Ru, text.FIN, "5ARPXK2", []string{"(en)"}, []string{"ˈɛr", "ˈɪks"}},
		{text.En, text.Date, "1990-05-12", []string{"hˈʌndɹɪd"}, []string{"twˈɛlfθ", "nˈaɪntiːn nˈaɪnti"}},
		{text.En, text.DocNo, "AA1234567", []string{"mˈɪliən", "ɐ"}, []string{"ˈeɪ", "twˈɛlv"}},
		{text.En, text.Time, "2026-07-25T10:05:00Z", nil, []string{"pˈiː ˈɛm"}},
	} {
		said := Text(one(c.lang, c.kind, c.in))
		got := ipa(t, c.lang, said)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s %q is said %q and sounds %q, without %q", c.lang, c.in, said, got, w)
			}
		}
		for _, w := range c.cursed {
			if strings.Contains(got, w) {
				t.Errorf("%s %q is said %q and sounds %q, with %q", c.lang, c.in, said, got, w)
			}
		}
	}
}

// A name in a Russian or English sentence is pronounced by the Azerbaijani voice.
func TestNamesArePronouncedByTheirOwnVoice(t *testing.T) {
	w := text.Words{{Lang: text.Ru, Text: "Здравствуйте, "}, {Lang: text.Az, Kind: text.Name, Text: "AYGÜN MƏMMƏDOVA"}}
	parts := Parts(w)
	if len(parts) != 2 || parts[1].Lang != text.Az {
		t.Fatalf("got %+v", parts)
	}
	if got := ipa(t, parts[1].Lang, parts[1].Text); !strings.Contains(got, "ɟ") || !strings.Contains(got, "mæmmæ") {
		t.Errorf("sounds %q", got)
	}
}
