package say

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kosk/device/text"
)

var russian = tongue{
	lang:  text.Ru,
	minus: "минус", plus: "плюс", point: "точка",
	signs: map[string]string{
		"%": "процентов", "№": "номер", "§": "параграф", "+": "плюс", "/": "дробь", "&": "и", "@": "собака",
		"₼": "манатов", "=": "равно", "°": "градусов", "*": "звёздочка", "#": "решётка", "×": "умножить на", "-": "дефис", ".": "точка", ",": "запятая",
	},
	short: map[string]string{
		"ул.": "улица", "г.": "город", "р-н": "район", "пр.": "проспект", "пр-т": "проспект", "д.": "дом", "кв.": "квартира", "пос.": "посёлок",
		"эт.": "этаж", "тел.": "телефон", "т.д.": "так далее", "т.е.": "то есть", "AZN": "манатов",
		"FIN": "фин", "FİN": "фин", "PIN": "пин", "PİN": "пин", "CAN": "цэ а эн", "QR": "кью ар", "SMS": "эсэмэс", "IMEI": "имей", "SIM": "сим",
		"Wi-Fi": "вай фай", "ASC": "а эс цэ", "MMC": "эм эм цэ", "ОАО": "о а о", "ООО": "о о о",
	},
	names: map[rune]string{
		'а': "а", 'б': "бэ", 'в': "вэ", 'г': "гэ", 'д': "дэ", 'е': "е", 'ё': "ё", 'ж': "жэ", 'з': "зэ", 'и': "и", 'й': "и краткое", 'к': "ка",
		'л': "эль", 'м': "эм", 'н': "эн", 'о': "о", 'п': "пэ", 'р': "эр", 'с': "эс", 'т': "тэ", 'у': "у", 'ф': "эф", 'х': "ха", 'ц': "цэ",
		'ч': "чэ", 'ш': "ша", 'щ': "ща", 'ъ': "твёрдый знак", 'ы': "ы", 'ь': "мягкий знак", 'э': "э", 'ю': "ю", 'я': "я",
		'a': "а", 'b': "бэ", 'c': "цэ", 'd': "дэ", 'e': "е", 'f': "эф", 'g': "гэ", 'h': "аш", 'i': "и", 'j': "йот", 'k': "ка", 'l': "эль",
		'm': "эм", 'n': "эн", 'o': "о", 'p': "пэ", 'q': "ку", 'r': "эр", 's': "эс", 't': "тэ", 'u': "у", 'v': "вэ", 'w': "дубль вэ",
		'x': "икс", 'y': "игрек", 'z': "зет",
	},
	number:  func(n int) string { return ruNumber(n, masculine) },
	ordinal: func(n int, next string) string { return ruOrdinal(n, endingBefore(next)) },
	suffixed: func(n int, suffix string) string {
		e, ok := ruSuffix[suffix]
		if !ok {
			return ""
		}
		return ruOrdinal(n, e)
	},
	// A date that stands alone is the subject ("двенадцатое мая"); within a
	// sentence it is when something is ("двенадцатого мая").
	date: func(day int, m time.Month, year int, first bool) string {
		e := genitive
		if first {
			e = neuterForm
		}
		return ruOrdinal(day, e) + " " + text.Month(text.Ru, m) + " " + ruOrdinal(year, genitive) + " года"
	},
	clock: func(h, m int) string {
		s := ruNumber(h, masculine) + " " + ruPlural(h, "час", "часа", "часов")
		if m > 0 {
			s += " " + ruNumber(m, feminine) + " " + ruPlural(m, "минута", "минуты", "минут")
		}
		return s
	},
	money: func(manat, qepik int) string {
		return joinWords(
			ifSome(manat > 0 || qepik == 0, ruNumber(manat, masculine)+" "+ruPlural(manat, "манат", "маната", "манатов")),
			ifSome(qepik > 0, ruNumber(qepik, masculine)+" "+ruPlural(qepik, "гяпик", "гяпика", "гяпиков")))
	},
	percent: func(n int) string {
		return ruNumber(n, masculine) + " " + ruPlural(n, "процент", "процента", "процентов")
	},
	of:   func(a, b string) string { return a + " из " + b },
	span: func(from, to string) string { return from + " тире " + to },
	masked: func(n int) string {
		return "введено " + ruNumber(n, masculine) + " " + ruPlural(n, "знак", "знака", "знаков")
	},
}

// The genders of cardinals: один, одна.
const (
	masculine = iota
	feminine
)

// An ending is the form of an ordinal.
type ending int

// The forms that the kiosk's sentences need.
const (
	masculineForm ending = iota // двадцатый век
	feminineForm                // вторая группа
	neuterForm                  // двенадцатое мая
	genitive                    // девяностого года
	feminineOther               // второй группы
	locative                    // в девяностом году
)

var ruSuffix = map[string]ending{
	"й": masculineForm, "ый": masculineForm, "ой": masculineForm, "я": feminineForm, "ая": feminineForm, "е": neuterForm, "ое": neuterForm,
	"го": genitive, "ого": genitive, "м": locative, "ом": locative,
}

// endingBefore guesses the form from the word that follows.
func endingBefore(next string) ending {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(next, ".,;:!?"))
	switch last {
	case 'а', 'я':
		if next == "века" || next == "года" {
			return genitive
		}
		return feminineForm
	case 'ы', 'и':
		return feminineOther
	case 'о', 'е':
		if next == "веке" {
			return locative
		}
		return neuterForm
	case 'у':
		return locative
	}
	return masculineForm
}

var (
	ruOnes = [...]string{
		"", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять", "одиннадцать", "двенадцать",
		"тринадцать", "четырнадцать", "пятнадцать", "шестнадцать", "семнадцать", "восемнадцать", "девятнадцать",
	}
	ruTens     = [...]string{"", "", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто"}
	ruHundreds = [...]string{"", "сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот"}
)

// ruNumber is n in words, for 0 to 9999; others stay figures.
func ruNumber(n, gender int) string {
	if n == 0 {
		return "ноль"
	}
	if n < 0 || n > 9999 {
		return strconv.Itoa(n)
	}
	thousands := ""
	if k := n / 1000; k > 0 {
		thousands = ruPlural(k, "тысяча", "тысячи", "тысяч")
		if k > 1 {
			thousands = ruNumber(k, feminine) + " " + thousands
		}
	}
	tens, ones := n/10%10, n%10
	if tens == 1 {
		tens, ones = 0, n%100
	}
	last := ruOnes[ones]
	if gender == feminine {
		switch ones {
		case 1:
			last = "одна"
		case 2:
			last = "две"
		}
	}
	return joinWords(thousands, ruHundreds[n/100%10], ruTens[tens], last)
}

func ruPlural(n int, one, few, many string) string {
	switch {
	case n%100 >= 11 && n%100 <= 14:
		return many
	case n%10 == 1:
		return one
	case n%10 >= 2 && n%10 <= 4:
		return few
	}
	return many
}

// The stems of ordinals: with a hard ending (перв-ый), but for три and those
// stressed on it (втор-ой).
var (
	ruOrdOnes = [...]string{
		"нулев", "перв", "втор", "трет", "четвёрт", "пят", "шест", "седьм", "восьм", "девят", "десят", "одиннадцат", "двенадцат",
		"тринадцат", "четырнадцат", "пятнадцат", "шестнадцат", "семнадцат", "восемнадцат", "девятнадцат",
	}
	ruOrdTens     = [...]string{"", "", "двадцат", "тридцат", "сороков", "пятидесят", "шестидесят", "семидесят", "восьмидесят", "девяност"}
	ruOrdHundreds = [...]string{"", "сот", "двухсот", "трёхсот", "четырёхсот", "пятисот", "шестисот", "семисот", "восьмисот", "девятисот"}
	ruOrdThousand = [...]string{"", "тысячн", "двухтысячн", "трёхтысячн", "четырёхтысячн", "пятитысячн", "шеститысячн", "семитысячн", "восьмитысячн", "девятитысячн"}
)

// ruOrdinal inflects the last part of n, for 0 to 9999.
func ruOrdinal(n int, e ending) string {
	if n < 0 || n > 9999 {
		return strconv.Itoa(n)
	}
	rest, stem := 0, ""
	switch {
	case n%100 < 20 && n%100 > 0 || n == 0:
		rest, stem = n-n%100, ruOrdOnes[n%100]
	case n%10 > 0:
		rest, stem = n-n%10, ruOrdOnes[n%10]
	case n%100 > 0:
		rest, stem = n-n%100, ruOrdTens[n/10%10]
	case n%1000 > 0:
		rest, stem = n-n%1000, ruOrdHundreds[n/100%10]
	default:
		stem = ruOrdThousand[n/1000]
	}
	word := stem + [...]string{"ый", "ая", "ое", "ого", "ой", "ом"}[e]
	switch stem {
	case "втор", "шест", "седьм", "восьм", "сороков", "нулев":
		if e == masculineForm {
			word = stem + "ой"
		}
	case "трет":
		word = stem + [...]string{"ий", "ья", "ье", "ьего", "ьей", "ьем"}[e]
	}
	if rest == 0 {
		return word
	}
	return ruNumber(rest, masculine) + " " + word
}
