package text

import (
	"strings"
	"time"
)

var months = map[Lang][12]string{
	Az: {"yanvar", "fevral", "mart", "aprel", "may", "iyun", "iyul", "avqust", "sentyabr", "oktyabr", "noyabr", "dekabr"},
	Ru: {"января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"},
	En: {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
}

// Month is the month's name as it stands after a day's number.
func Month(lang Lang, m time.Month) string { return months[lang][m-1] }

// baku is the kiosk's wall clock: Azerbaijan keeps UTC+4 all year.
var baku = time.FixedZone("Asia/Baku", 4*60*60)

// Show is the span as the eye gets it: dates in words of its language, long
// numbers in groups.
func (s Span) Show() string {
	switch s.Kind {
	case Date:
		if t, err := time.Parse(time.DateOnly, s.Text); err == nil {
			return showDate(s.Lang, t)
		}
	case Time:
		if t, err := time.Parse(time.RFC3339, s.Text); err == nil {
			t = t.In(baku)
			return showDate(s.Lang, t) + t.Format(", 15:04")
		}
	case Number:
		return groups(s.Text, 3)
	}
	return s.Text
}

func showDate(lang Lang, t time.Time) string {
	return t.Format("2 ") + Month(lang, t.Month()) + t.Format(" 2006")
}

// groups sets a space after every n characters of each run between spaces and hyphens.
func groups(s string, n int) string {
	var b strings.Builder
	run := 0
	for _, r := range s {
		if r == ' ' || r == '-' {
			run = 0
		} else {
			if run == n {
				b.WriteByte(' ')
				run = 0
			}
			run++
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Day makes a date of the words of a language.
func Day(lang Lang, t time.Time) Words {
	return Words{{Lang: lang, Kind: Date, Text: t.In(baku).Format(time.DateOnly)}}
}

// Moment makes a date and time of the words of a language.
func Moment(lang Lang, t time.Time) Words {
	return Words{{Lang: lang, Kind: Time, Text: t.UTC().Format(time.RFC3339)}}
}
