package say

import (
	"strings"

	"kosk/device/text"
)

// telling has the words that tell the capitals of a document number apart, which by
// their names alone sound alike (be, ce, de, ge, pe): each a word that all who speak
// the language know, and that begins with the letter's sound. No Azerbaijani word
// begins with I. Letters without a word, such as W, have names that nothing sounds like.
var telling = map[text.Lang]map[rune]string{
	text.Az: {
		'A': "Astara", 'B': "Bakı", 'C': "Cəlilabad", 'D': "Daşkəsən", 'E': "Elçin", 'F': "Füzuli", 'G': "Gəncə", 'H': "Həsən",
		'I': "nöqtəsiz i", 'J': "jurnal", 'K': "Kəlbəcər", 'L': "Lənkəran", 'M': "Masallı", 'N': "Naxçıvan", 'O': "Oğuz", 'P': "Pirallahı",
		'Q': "Qəbələ", 'R': "Rəşad", 'S': "Sumqayıt", 'T': "Tovuz", 'U': "Ucar", 'V': "Vaqif", 'X': "Xaçmaz", 'Y': "Yevlax", 'Z': "Zaqatala",
	},
	text.Ru: {
		'A': "Анна", 'B': "Борис", 'C': "цапля", 'D': "Дмитрий", 'E': "Елена", 'F': "Фёдор", 'G': "Григорий",
		'I': "Иван", 'J': "йод", 'K': "Константин", 'L': "Леонид", 'M': "Мария", 'N': "Николай", 'O': "Ольга", 'P': "Павел",
		'R': "Роман", 'S': "Семён", 'T': "Татьяна", 'U': "Ульяна", 'V': "Василий", 'Z': "Зинаида",
	},
	text.En: {
		'A': "Alpha", 'B': "Bravo", 'C': "Charlie", 'D': "Delta", 'E': "Echo", 'F': "Foxtrot", 'G': "Golf", 'H': "Hotel",
		'I': "India", 'J': "Juliet", 'K': "Kilo", 'L': "Lima", 'M': "Mike", 'N': "November", 'O': "Oscar", 'P': "Papa",
		'Q': "Quebec", 'R': "Romeo", 'S': "Sierra", 'T': "Tango", 'U': "Uniform", 'V': "Victor", 'X': "X-ray", 'Y': "Yankee", 'Z': "Zulu",
	},
}

// told is a letter's name, of a capital with its word behind it.
func (t *tongue) told(r rune) string {
	name := t.letter(r)
	if word := telling[t.lang][r]; word != "" {
		return name + ", " + word
	}
	return name
}

// spelt says what was typed, so that it can be checked by ear: each letter with its
// word, digits one by one in threes.
func spelt(t *tongue, s string) string {
	var out []string
	for run := range fields(s) {
		if run[0] >= '0' && run[0] <= '9' {
			out = append(out, digits(t, run, 3))
			continue
		}
		for _, r := range run {
			if name := t.told(r); name != "" {
				out = append(out, name)
			}
		}
	}
	return strings.Join(out, ", ")
}
