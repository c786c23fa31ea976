package identity

import "testing"

func TestTitleKeepsAzerbaijaniLetters(t *testing.T) {
	tests := map[string]string{
		"MƏMMƏDOVA":         "Məmmədova",
		"İLQAR":             "İlqar",
		"ISMAYILOVA":        "Ismayılova",
		"AYGÜN RAUF QIZI":   "Aygün Rauf qızı",
		"ƏLİ VƏLİ OĞLU":     "Əli Vəli oğlu",
		"ƏLİYEVA-HƏSƏNOVA":  "Əliyeva-Həsənova",
		"  ŞƏFƏQ   ÇİÇƏK  ": "Şəfəq Çiçək",
		"":                  "",
	}
	for in, want := range tests {
		if got := title(in); got != want {
			t.Errorf("title(%q) = %q, want %q", in, got, want)
		}
	}
}
