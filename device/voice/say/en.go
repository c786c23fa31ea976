package say

import (
	"strconv"
	"strings"
	"time"

	"kosk/device/text"
)

var english = tongue{
	lang:  text.En,
	minus: "minus", plus: "plus", point: "dot",
	signs: map[string]string{
		"%": "per cent", "№": "number", "§": "section", "+": "plus", "/": "slash", "&": "and", "@": "at",
		"₼": "manat", "=": "equals", "°": "degrees", "*": "star", "#": "hash", "×": "times", "-": "dash", ".": "dot", ",": "comma",
	},
	short: map[string]string{
		"AZN": "manat", "St.": "Street", "Ave.": "Avenue", "apt.": "apartment", "No.": "number", "Mr.": "Mister", "Mrs.": "Missis", "Dr.": "Doctor", "e.g.": "for example", "i.e.": "that is",
		"FIN": "fin", "PIN": "pin", "CAN": "see eigh en", "QR": "Q R", "IMEI": "I M E I", "ASC": "eigh ess see", "MMC": "em em see", "SMS": "S M S",
	},
	names: map[rune]string{
		'a': "eigh", 'b': "bee", 'c': "see", 'd': "dee", 'e': "ee", 'f': "ef", 'g': "jee", 'h': "aitch", 'i': "eye", 'j': "jay", 'k': "kay",
		'l': "el", 'm': "em", 'n': "en", 'o': "oh", 'p': "pee", 'q': "cue", 'r': "are", 's': "ess", 't': "tee", 'u': "you", 'v': "vee",
		'w': "double you", 'x': "ex", 'y': "why", 'z': "zed", 'ə': "schwa", 'ş': "sh", 'ç': "ch", 'ğ': "soft g", 'ö': "o umlaut",
		'ü': "u umlaut", 'ı': "dotless i",
	},
	number:  enNumber,
	ordinal: enRoman,
	suffixed: func(n int, suffix string) string {
		switch suffix {
		case "st", "nd", "rd", "th":
			return enOrdinal(n)
		}
		return ""
	},
	date: func(day int, m time.Month, year int, _ bool) string {
		return "the " + enOrdinal(day) + " of " + text.Month(text.En, m) + " " + enYear(year)
	},
	clock: func(h, m int) string {
		half := "eigh em"
		if h >= 12 {
			half = "pee em"
		}
		hour := enNumber((h+11)%12 + 1)
		switch {
		case m == 0:
			return hour + " " + half
		case m < 10:
			return hour + " oh " + enNumber(m) + " " + half
		}
		return hour + " " + enNumber(m) + " " + half
	},
	money: func(manat, qepik int) string {
		return joinWords(ifSome(manat > 0 || qepik == 0, enNumber(manat)+" manat"), ifSome(qepik > 0, enNumber(qepik)+" qapik"))
	},
	percent: func(n int) string { return enNumber(n) + " per cent" },
	of:      func(a, b string) string { return a + " of " + b },
	span:    func(from, to string) string { return from + " to " + to },
	masked: func(n int) string {
		if n == 1 {
			return "one character entered"
		}
		return enNumber(n) + " characters entered"
	},
}

// enRoman is an ordinal before a small word (XX century), a number else (Group II).
func enRoman(n int, next string) string {
	if next != "" && strings.ToLower(next) == next {
		return enOrdinal(n)
	}
	return enNumber(n)
}

var (
	enOnes = [...]string{
		"", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
		"fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
	}
	enTens = [...]string{"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}
)

// enNumber is n in words, for 0 to 9999; others stay figures.
func enNumber(n int) string {
	if n == 0 {
		return "zero"
	}
	if n < 0 || n > 9999 {
		return strconv.Itoa(n)
	}
	var out []string
	if n >= 1000 {
		out = append(out, enOnes[n/1000], "thousand")
	}
	if n%1000 >= 100 {
		out = append(out, enOnes[n/100%10], "hundred")
	}
	if n > 100 && n%100 > 0 {
		out = append(out, "and")
	}
	if r := n % 100; r >= 20 {
		out = append(out, joinWords(enTens[r/10], enOnes[r%10]))
	} else if r > 0 {
		out = append(out, enOnes[r])
	}
	return strings.Join(out, " ")
}

func enOrdinal(n int) string {
	w := enNumber(n)
	at := strings.LastIndexByte(w, ' ') + 1
	last := w[at:]
	switch last {
	case "one":
		last = "first"
	case "two":
		last = "second"
	case "three":
		last = "third"
	case "five":
		last = "fifth"
	case "eight":
		last = "eighth"
	case "nine":
		last = "ninth"
	case "twelve":
		last = "twelfth"
	default:
		last = strings.TrimSuffix(last, "y")
		if len(last) < len(w[at:]) {
			last += "ie"
		}
		last += "th"
	}
	return w[:at] + last
}

// enYear says 1990 as nineteen ninety, 2005 as two thousand and five.
func enYear(n int) string {
	if n < 1100 || n > 9999 || n/100 == 20 && n < 2010 {
		return enNumber(n)
	}
	switch r := n % 100; {
	case r == 0:
		return enNumber(n/100) + " hundred"
	case r < 10:
		return enNumber(n/100) + " oh " + enNumber(r)
	default:
		return enNumber(n/100) + " " + enNumber(r)
	}
}
