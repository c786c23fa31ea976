package say

import (
	"strconv"
	"strings"
	"time"

	"kosk/device/text"
)

var azerbaijani = tongue{
	lang:  text.Az,
	minus: "mənfi", plus: "üstəgəl", point: "nöqtə",
	signs: map[string]string{
		"%": "fayiz", "№": "nömrə", "§": "paraqraf", "+": "üstəgəl", "/": "kəsr", "&": "və", "@": "et işarəsi",
		"₼": "manat", "=": "bərabərdir", "°": "dərəcə", "*": "ulduz", "#": "diyez", "×": "vurulsun", "-": "tire", ".": "nöqtə", ",": "vergül",
	},
	short: map[string]string{
		"küç.": "küçəsi", "r-nu": "rayonu", "ş.": "şəhəri", "şəh.": "şəhəri", "pr.": "prospekti", "pros.": "prospekti", "qəs.": "qəsəbəsi",
		"mən.": "mənzil", "mərt.": "mərtəbə", "AZN": "manat", "№-li": "nömrəli", "s.": "sair", "məs.": "məsələn",
		"tel.": "telefon", "dəq.": "dəqiqə", "san.": "saniyə", "ABŞ": "a be şe", "PIN": "pin", "FIN": "fin", "PİN": "pin", "FİN": "fin", "F.I.N.": "fin", "F.İ.N.": "fin",
		"ASC": "a es ce", "MMC": "em em ce", "QSC": "qe es ce", "DYP": "de ye pe", "DİN": "de i en", "SMS": "es em es", "CAN": "ce a en",
		"QR": "kü ar", "faiz": "fayiz", "IMEI": "imey", "VÖEN": "vöen", "ŞV": "şe ve",
	},
	names: map[rune]string{
		'a': "a", 'b': "be", 'c': "ce", 'ç': "çe", 'd': "de", 'e': "e", 'ə': "ə", 'f': "fe", 'g': "ge", 'ğ': "ğe", 'h': "he", 'x': "xe",
		'ı': "ı", 'i': "i", 'j': "je", 'k': "ke", 'q': "qe", 'l': "el", 'm': "em", 'n': "en", 'o': "o", 'ö': "ö", 'p': "pe", 'r': "er",
		's': "es", 'ş': "şe", 't': "te", 'u': "u", 'ü': "ü", 'v': "ve", 'y': "ye", 'z': "ze", 'w': "dubl ve",
	},
	number: azNumber,
	ordinal: func(n int, _ string) string {
		return azOrdinal(n)
	},
	suffixed: func(n int, suffix string) string {
		switch suffix {
		case "ci", "cı", "cu", "cü", "nci", "ncı", "ncu", "ncü", "inci", "ıncı", "uncu", "üncü":
			return azOrdinal(n)
		}
		return ""
	},
	date: func(day int, m time.Month, year int, _ bool) string {
		return azNumber(day) + " " + text.Month(text.Az, m) + " " + azOrdinal(year) + " il"
	},
	clock: func(h, m int) string {
		zero := ifSome(m > 0 && m < 10, azNumber(0))
		return joinWords("saat", azNumber(h), zero, ifSome(m > 0, azNumber(m)))
	},
	money: func(manat, qepik int) string {
		return joinWords(ifSome(manat > 0 || qepik == 0, azNumber(manat)+" manat"), ifSome(qepik > 0, azNumber(qepik)+" qəpik"))
	},
	percent: func(n int) string { return azNumber(n) + " fayiz" },
	of:      func(a, b string) string { return a + ", cəmi " + b },
	span:    func(from, to string) string { return from + " ilə " + to + " arası" },
	masked:  func(n int) string { return azNumber(n) + " simvol daxil edilib" },
}

var (
	azOnes = [...]string{"", "bir", "iki", "üç", "dörd", "beş", "altı", "yeddi", "səkkiz", "doqquz"}
	azTens = [...]string{"", "on", "iyirmi", "otuz", "qırx", "əlli", "altmış", "yetmiş", "səksən", "doxsan"}
)

// azNumber is n in words, for 0 to 9999; others stay figures, which the voice
// reads well.
func azNumber(n int) string {
	if n == 0 {
		return "sıfır"
	}
	if n < 0 || n > 9999 {
		return strconv.Itoa(n)
	}
	count := func(n int, unit string) string { // one hundred is "yüz", never "bir yüz"
		switch n {
		case 0:
			return ""
		case 1:
			return unit
		}
		return azOnes[n] + " " + unit
	}
	return joinWords(count(n/1000, "min"), count(n/100%10, "yüz"), azTens[n/10%10], azOnes[n%10])
}

// azOrdinal adds -ıncı in harmony with the last vowel: -ncı after a vowel.
func azOrdinal(n int) string {
	if n < 0 || n > 9999 {
		return strconv.Itoa(n)
	}
	w := azNumber(n)
	runes := []rune(w)
	last := 'i'
	for _, r := range runes {
		if strings.ContainsRune("aıoueəiöü", r) {
			last = r
		}
	}
	vowel := map[rune]string{'a': "ı", 'ı': "ı", 'o': "u", 'u': "u", 'e': "i", 'ə': "i", 'i': "i", 'ö': "ü", 'ü': "ü"}[last]
	if strings.ContainsRune("aıoueəiöü", runes[len(runes)-1]) {
		return w + "nc" + vowel
	}
	return w + vowel + "nc" + vowel
}

func ifSome(ok bool, s string) string {
	if ok {
		return s
	}
	return ""
}
