package say

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kosk/device/text"
)

func one(lang text.Lang, kind text.Kind, s string) text.Words { return text.Say(lang, kind, s) }

// What a span says, in the three languages.
func TestTypedSpans(t *testing.T) {
	for name, c := range map[string]struct {
		kind       text.Kind
		in         string
		az, ru, en string
	}{
		"a date of birth": {
			text.Date, "1990-05-12", "on iki may min doqquz yüz doxsanıncı il",
			"двенадцатое мая тысяча девятьсот девяностого года", "the twelfth of May nineteen ninety",
		},
		"a date to come": {
			text.Date, "2033-03-01", "bir mart iki min otuz üçüncü il",
			"первое марта две тысячи тридцать третьего года", "the first of March twenty thirty three",
		},
		"a round year": {
			text.Date, "2000-12-31", "otuz bir dekabr iki mininci il",
			"тридцать первое декабря двухтысячного года", "the thirty first of December two thousand",
		},
		"a year of one figure": {
			text.Date, "2006-09-20", "iyirmi sentyabr iki min altıncı il",
			"двадцатое сентября две тысячи шестого года", "the twentieth of September two thousand and six",
		},
		"an old year": {
			text.Date, "1905-04-03", "üç aprel min doqquz yüz beşinci il",
			"третье апреля тысяча девятьсот пятого года", "the third of April nineteen oh five",
		},
		"what is no date": {text.Date, "12 may", "12 may", "12 may", "12 may"},
		"a moment": {
			text.Time, "2026-07-25T10:05:00Z", "iyirmi beş iyul iki min iyirmi altıncı il, saat on dörd sıfır beş",
			"двадцать пятое июля две тысячи двадцать шестого года, четырнадцать часов пять минут",
			"the twenty fifth of July twenty twenty six, two oh five pee em",
		},
		"a moment on the hour": {
			text.Time, "2026-07-25T20:00:00Z", "iyirmi altı iyul iki min iyirmi altıncı il, saat sıfır",
			"двадцать шестое июля две тысячи двадцать шестого года, ноль часов", "the twenty sixth of July twenty twenty six, twelve eigh em",
		},
		"a FIN": {text.FIN, "5ARPXK2", "beş, a, er, pe, xe, ke, iki", "пять, а, эр, пэ, икс, ка, два", "five, eigh, are, pee, ex, kay, two"},
		"a document number": {
			text.DocNo, "AZE12345678", "a, ze, e, on iki, otuz dörd, əlli altı, yetmiş səkkiz",
			"а, зет, е, двенадцать, тридцать четыре, пятьдесят шесть, семьдесят восемь",
			"eigh, zed, ee, twelve, thirty four, fifty six, seventy eight",
		},
		"a document number with zeros": {
			text.DocNo, "AA0050700", "a, a, sıfır sıfır, əlli, yetmiş, sıfır",
			"а, а, ноль ноль, пятьдесят, семьдесят, ноль", "eigh, eigh, zero zero, fifty, seventy, zero",
		},
		"a dotted and a dotless I": {text.DocNo, "İI1", "i, ı, bir", "и, и, один", "eye, eye, one"},
		"a CAN":                    {text.Digits, "123456", "bir iki üç, dörd beş altı", "один два три, четыре пять шесть", "one two three, four five six"},
		"an IMEI": {
			text.Digits, "35 209900 176148 1", "üç beş, iki sıfır doqquz, doqquz sıfır sıfır, bir yeddi altı, bir dörd səkkiz, bir",
			"три пять, два ноль девять, девять ноль ноль, один семь шесть, один четыре восемь, один",
			"three five, two zero nine, nine zero zero, one seven six, one four eight, one",
		},
		"a number of a request": {text.Number, "K7Q-204", "ke, yeddi, qe, iki, sıfır, dörd", "ка, семь, ку, два, ноль, четыре", "kay, seven, cue, two, zero, four"},
		"a mobile telephone": {
			text.Phone, "+994501234567", "üstəgəl doqquz yüz doxsan dörd, əlli, yüz iyirmi üç, qırx beş, altmış yeddi",
			"плюс девятьсот девяносто четыре, пятьдесят, сто двадцать три, сорок пять, шестьдесят семь",
			"plus nine hundred and ninety four, fifty, one hundred and twenty three, forty five, sixty seven",
		},
		"a telephone in the city": {
			text.Phone, "(012) 404-00-05", "sıfır on iki, dörd yüz dörd, sıfır sıfır, sıfır beş",
			"ноль двенадцать, четыреста четыре, ноль ноль, ноль пять", "zero twelve, four hundred and four, zero zero, zero five",
		},
		"a short telephone": {text.Phone, "157", "yüz əlli yeddi", "сто пятьдесят семь", "one hundred and fifty seven"},
		"a PIN as bullets":  {text.Masked, "••••", "dörd simvol daxil edilib", "введено четыре знака", "four characters entered"},
		"one bullet":        {text.Masked, "•", "bir simvol daxil edilib", "введено один знак", "one character entered"},
	} {
		for lang, want := range map[text.Lang]string{text.Az: c.az, text.Ru: c.ru, text.En: c.en} {
			if lang == text.Ru && name == "what is no date" {
				continue // its Latin word is another part: TestLanguages
			}
			if got := Text(one(lang, c.kind, c.in)); got != want {
				t.Errorf("%s in %s:\n got %s\nwant %s", name, lang, got, want)
			}
		}
	}
}

// What plain words say: the faults that a synthesiser makes of them.
func TestPlainWords(t *testing.T) {
	for _, c := range []struct {
		lang     text.Lang
		in, want string
	}{
		{text.Az, "Doğulub: 12.05.1990", "Doğulub: on iki may min doqquz yüz doxsanıncı il"},
		{text.Ru, "до 12.05.1990", "до двенадцатого мая тысяча девятьсот девяностого года"},
		{text.En, "until 2033-03-01.", "until the first of March twenty thirty three."},
		{text.Az, "99.99.1990", "99.99.1990"},
		{text.Az, "Rüsum 25.50 manat", "Rüsum iyirmi beş manat əlli qəpik"},
		{text.Az, "25,50 AZN", "iyirmi beş manat əlli qəpik"},
		{text.Az, "0,05 ₼", "beş qəpik"},
		{text.Az, "12 500,00 AZN", "12500 manat"},
		{text.Ru, "21 манат, 2,01 AZN", "двадцать один манат, два маната один гяпик"},
		{text.En, "5.20 AZN", "five manat twenty qapik"},
		{text.Az, "–5 dərəcə", "mənfi 5 dərəcə"},
		{text.Ru, "температура −5", "температура минус 5"},
		{text.Az, "5–10 gün", "5 ilə 10 arası gün"},
		{text.Ru, "5–10 минут", "5 тире 10 минут"},
		{text.En, "5–10 minutes", "5 to 10 minutes"},
		{text.Az, "№ 12, § 3", "nömrə 12, paraqraf 3"},
		{text.Ru, "№12 и §3", "номер 12 и параграф 3"},
		{text.En, "№ 12 & § 3", "number 12 and section 3"},
		{text.Az, "12 №-li məktəb", "12 nömrəli məktəb"},
		{text.Az, "18 %", "on səkkiz fayiz"},
		{text.Ru, "21 % и 5%", "двадцать один процент и пять процентов"},
		{text.Az, "Nizami küç. 5, Nəsimi r-nu, Bakı ş.", "Nizami küçəsi 5, Nəsimi rayonu, Bakı şəhəri"},
		{text.Az, "DYP xidməti", "de ye pe xidməti"},
		{text.Az, "XX əsr, II qrup, XXI", "iyirminci əsr, ikinci qrup, iyirmi birinci"},
		{text.Az, "I qrup", "birinci qrup"},
		{text.Ru, "XX век, II группа, инвалид II группы", "двадцатый век, вторая группа, инвалид второй группы"},
		{text.En, "XX century, Group II. I agree", "twentieth century, Group two. I agree"},
		{text.Az, "PIN kod, FİN", "pin kod, fin"},
		{text.Az, "PİN1 kodunu yazın", "pin bir kodunu yazın"},
		{text.Ru, "Введите PIN2.", "Введите пин два."},
		{text.En, "PIN1 is blocked", "pin one is blocked"},
		{text.Az, "1990-cı il, 1-ci, 4-cü, 6-cı", "min doqquz yüz doxsanıncı il, birinci, dördüncü, altıncı"},
		{text.Ru, "2-я группа, 3-й, 5-го", "вторая группа, третий, пятого"},
		{text.En, "21st, 2nd, 3rd", "twenty first, second, third"},
		{text.Az, "AZE12345678 nömrəli", "a, ze, e, on iki, otuz dörd, əlli altı, yetmiş səkkiz nömrəli"},
		{text.Az, "“Xəzər Gəmiçilik” ASC", "Xəzər Gəmiçilik a es ce"},
		{text.Az, "Zəng edin: +994501234567", "Zəng edin: üstəgəl doqquz yüz doxsan dörd, əlli, yüz iyirmi üç, qırx beş, altmış yeddi"},
		{text.Az, "İş vaxtı 09:00–18:00", "İş vaxtı saat doqquz ilə saat on səkkiz arası"},
		{text.Ru, "в 14:05", "в четырнадцать часов пять минут"},
		{text.Az, "asan.gov.az saytı", "asan nöqtə gov nöqtə az saytı"},
		{text.Ru, "ул. Низами, 1990 г.", "улица Низами, 1990 года"},
		{text.Az, "Xidmət (pulsuz) — tez…", "Xidmət, pulsuz, tez,"},
		{text.Az, "və/və ya", "və, və ya"},
		{text.Az, "1234567890123", "on iki, otuz dörd, əlli altı, yetmiş səkkiz, doxsan, on iki, üç"},
		{text.En, "Nothing here changes.", "Nothing here changes."},
		{text.Az, "Addım 2 / 4", "Addım 2, cəmi 4"},
		{text.Ru, "Шаг 2 / 4", "Шаг 2 из 4"},
		{text.En, "Mon–Fri, 2 / 4", "Mon to Fri, 2 of 4"},
		{text.Az, "Saat 9:30", "saat doqquz otuz"},
		{text.Az, "Xətt yoxdur (indi).", "Xətt yoxdur, indi."},
		{text.Ru, "до 01.03.2033 г.", "до первого марта две тысячи тридцать третьего года"},
		{text.Az, "+994 50 *** ** 67", "üstəgəl 994 50, 67"},
		{text.Az, "Bakı, 8 Noyabr pr. 12/3", "Bakı, 8 Noyabr prospekti 12 kəsr 3"},
		{text.Az, "[[k'art]] <b>", "k'art b"},
	} {
		if got := Text(one(c.lang, text.Plain, c.in)); got != c.want {
			t.Errorf("%s %q:\n got %s\nwant %s", c.lang, c.in, got, c.want)
		}
	}
}

func TestASpokenFormIsSaid(t *testing.T) {
	w := text.Words{{Lang: text.Az, Text: "ASAN", Say: "asan xidmət"}}
	if got := Text(w); got != "asan xidmət" {
		t.Errorf("got %q", got)
	}
}

// Each language has its voice: spans by their tag, and plain words by script.
func TestLanguages(t *testing.T) {
	for name, c := range map[string]struct {
		in   text.Words
		want []Part
	}{
		"a name in a Russian sentence": {
			text.Words{{Lang: text.Ru, Text: "Здравствуйте, "}, {Lang: text.Az, Kind: text.Name, Text: "AYGÜN MƏMMƏDOVA"}, {Lang: text.Ru, Text: "! Выберите услугу."}},
			[]Part{{text.Ru, "Здравствуйте,", false}, {text.Az, "Aygün Məmmədova", false}, {text.Ru, "Выберите услугу.", true}},
		},
		"neighbours in one language are one part": {
			text.Words{{Lang: text.Az, Text: "Salam, "}, {Lang: text.Az, Kind: text.Name, Text: "AYGÜN"}},
			[]Part{{text.Az, "Salam, Aygün", true}},
		},
		"sentences are parts": {
			one(text.Az, text.Plain, "Kartı qoyun. Gözləyin! Nə vaxt? 3.5 saat"),
			[]Part{{text.Az, "Kartı qoyun.", true}, {text.Az, "Gözləyin!", true}, {text.Az, "Nə vaxt?", true}, {text.Az, "3.5 saat", true}},
		},
		"Latin words in Russian are Azerbaijani": {
			one(text.Ru, text.Plain, "Услуги Şəxsiyyət vəsiqəsi здесь"),
			[]Part{{text.Ru, "Услуги", false}, {text.Az, "Şəxsiyyət vəsiqəsi", false}, {text.Ru, "здесь", true}},
		},
		"letters of ours in English are Azerbaijani": {
			one(text.En, text.Plain, "District of Nəsimi here"),
			[]Part{{text.En, "District of", false}, {text.Az, "Nəsimi", false}, {text.En, "here", true}},
		},
		"Cyrillic in Azerbaijani is Russian": {
			one(text.Az, text.Plain, "Dil: Русский"),
			[]Part{{text.Az, "Dil:", false}, {text.Ru, "Русский", true}},
		},
		"nothing":     {nil, nil},
		"marks alone": {one(text.Az, text.Plain, " — … "), nil},
	} {
		if diff := cmp.Diff(c.want, Parts(c.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNumbersInAzerbaijani(t *testing.T) {
	for n, want := range map[int]string{
		0: "sıfırıncı", 1: "birinci", 2: "ikinci", 3: "üçüncü", 4: "dördüncü", 5: "beşinci", 6: "altıncı", 7: "yeddinci", 8: "səkkizinci", 9: "doqquzuncu",
		10: "onuncu", 20: "iyirminci", 30: "otuzuncu", 40: "qırxıncı", 50: "əllinci", 60: "altmışıncı", 70: "yetmişinci", 80: "səksəninci", 90: "doxsanıncı",
		100: "yüzüncü", 1000: "mininci", 1990: "min doqquz yüz doxsanıncı", 2026: "iki min iyirmi altıncı", 10000: "10000",
	} {
		if got := azOrdinal(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestOrdinalsInRussian(t *testing.T) {
	for n, want := range map[int]string{
		1: "первого", 2: "второго", 3: "третьего", 6: "шестого", 13: "тринадцатого", 20: "двадцатого", 40: "сорокового", 90: "девяностого", 100: "сотого",
		1900: "тысяча девятисотого", 2000: "двухтысячного", 2023: "две тысячи двадцать третьего", 1917: "тысяча девятьсот семнадцатого",
	} {
		if got := ruOrdinal(n, genitive); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestEveryKeyIsNamed(t *testing.T) {
	for lang, keys := range map[text.Lang]string{
		text.Az: "abcçdeəfgğhxıijkqlmnoöprsştuüvyzwABCÇDEƏFGĞHXIİJKQLMNOÖPRSŞTUÜVYZ0123456789 -.@",
		text.Ru: "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАЯabcxyzABC0123456789 -.@",
		text.En: "abcdefghijklmnopqrstuvwxyzABC0123456789 -.@",
	} {
		for _, r := range keys {
			got := Text(Rune(lang, r))
			if strings.TrimSpace(got) == "" {
				t.Errorf("%s %q is silent", lang, r)
			}
		}
		if got := Text(Rune(lang, '\u2603')); got == "" {
			t.Errorf("%s: an unknown sign is silent", lang)
		}
	}
	for r, want := range map[rune]string{'I': "ı, nöqtəsiz i", 'İ': "i", 'B': "be, Bakı", 'Ə': "ə", 'x': "xe", '7': "yeddi"} {
		if got := Text(Rune(text.Az, r)); got != want {
			t.Errorf("%c: got %q, want %q", r, got, want)
		}
	}
}

// The capitals of a document number are told apart by more than their names, and their
// words begin with them in the languages that write them so.
func TestLettersAreToldApart(t *testing.T) {
	for _, lang := range text.Langs {
		heard := map[string]rune{}
		for r := 'A'; r <= 'Z'; r++ {
			said := Text(Rune(lang, r))
			if twin, twice := heard[said]; twice {
				t.Errorf("%s: %c and %c are both %q", lang, r, twin, said)
			}
			heard[said] = r
			name, word, has := strings.Cut(said, ", ")
			if strings.ContainsRune("BCDGPTVZMNFSAHK", r) && !has && !(lang == text.Ru && r == 'H') {
				t.Errorf("%s: %c is only %q", lang, r, name)
			}
			if has && lang != text.Ru && !(lang == text.Az && r == 'I') && !strings.HasPrefix(text.Upper(lang, word), string(r)) {
				t.Errorf("%s: %q isn't a word with %c", lang, word, r)
			}
		}
	}
	for _, c := range []struct {
		lang text.Lang
		want string
	}{
		{text.Az, "a, Astara, be, Bakı, bir iki üç, dörd"},
		{text.Ru, "а, Анна, бэ, Борис, один два три, четыре"},
		{text.En, "eigh, Alpha, bee, Bravo, one two three, four"},
	} {
		if got := Text(text.Say(c.lang, text.Spelt, "AB 1234")); got != c.want {
			t.Errorf("%s: %q", c.lang, got)
		}
	}
}

// FuzzParts: whatever a register answers is said without a crash, and without
// what a synthesiser would take for an order.
func FuzzParts(f *testing.F) {
	for _, s := range []string{"12.05.1990", "5ARPXK2", "25,50 AZN", "№-li §%+/&@", "XXI əsr", "–5–10", "+994 50 123", "...!?", "г. Баку 1990 г."} {
		f.Add(s, int(text.Plain))
		f.Add(s, int(text.Phone))
	}
	f.Fuzz(func(t *testing.T, s string, kind int) {
		for _, lang := range text.Langs {
			for _, p := range Parts(one(lang, text.Kind(kind), s)) {
				if strings.TrimSpace(p.Text) == "" || strings.Contains(p.Text, "[[") || strings.Contains(p.Text, "\n") {
					t.Errorf("%s %q: part %q", lang, s, p.Text)
				}
			}
		}
	})
}
