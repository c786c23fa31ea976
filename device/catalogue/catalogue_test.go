package catalogue

import (
	"strings"
	"testing"

	"kosk/device/text"
)

// good is a small catalogue; the tests spoil it line by line.
const good = `
version = "1"
[[agency]]
id = "a"
name = { az = "A", ru = "А", en = "A" }
[[service]]
id = "s"
agency = "a"
level = "genuine"
lookup = "x"
submit = true
ttl = 30
wait = 8
name = { az = "S", ru = "С", en = "S" }
register = { az = "R", ru = "Р", en = "R" }
[[service.fields]]
id = "f"
type = "choice"
title = { az = "T", ru = "Т", en = "T" }
label = { az = "L", ru = "Л", en = "L" }
hint = { az = "H", ru = "Х", en = "H" }
options = [ { id = "o", name = { az = "O", ru = "О", en = "O" } } ]
[[service.data]]
id = "d"
kind = "date"
label = { az = "D", ru = "Д", en = "D" }
values = [ { id = "v", good = true, name = { az = "V", ru = "В", en = "V" } } ]
`

func TestParse(t *testing.T) {
	c, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Service("s")
	if s == nil || s.Level != Genuine || s.WaitTime().Seconds() != 8 || s.Lifetime().Hours() != 30*24 || c.Agency(s.Agency).Name.In(text.Ru).String() != "А" {
		t.Fatalf("service %+v", s)
	}
	if f := s.Fields[0]; f.Option("o") == nil || f.Option("p") != nil {
		t.Errorf("field %+v", f)
	}
	if d := s.Datum("d"); d == nil || d.Value("v") == nil || d.Value("w") != nil || s.Datum("e") != nil {
		t.Errorf("datum %+v", d)
	}
	if c.Service("t") != nil || c.Agency("b") != nil {
		t.Error("found what isn't there")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"no toml", `version = "1"`, `version = `, "catalogue:"},
		{"an unknown key", `wait = 8`, `wait = 8` + "\nwiat = 9", "unknown key service.wiat"},
		{"an unknown key of an option", `id = "o", name`, `id = "o", nmae = "x", name`, "unknown key"},
		{"a wrong type", `wait = 8`, `wait = "8"`, "catalogue:"},
		{"an unknown agency", `agency = "a"`, `agency = "b"`, `service s: no agency "b"`},
		{"an unknown level", `"genuine"`, `"very_genuine"`, `no level "very_genuine"`},
		{"an unknown type of field", `type = "choice"`, `type = "chioce"`, `field f: no type "chioce"`},
		{"an unknown kind of datum", `kind = "date"`, `kind = "dat"`, `datum d: no kind "dat"`},
		{"an agency without Russian", `{ az = "A", ru = "А", en = "A" }`, `{ az = "A", en = "A" }`, "a name is missing"},
		{"a service without English", `en = "S"`, `en = ""`, "a name is missing"},
		{"a register without Azerbaijani", `az = "R", `, ``, "a name is missing"},
		{"a question without words", `az = "T", `, ``, "field f: words are missing"},
		{"a label without words", `az = "L", `, ``, "field f: words are missing"},
		{"a hint without words", `az = "H", `, ``, "field f: words are missing"},
		{"an option without words", `az = "O", `, ``, "option o: words are missing"},
		{"a datum without words", `az = "D", `, ``, "datum d: words are missing"},
		{"a value without words", `az = "V", `, ``, "value v: words are missing"},
		{"nothing to choose", `options = [ { id = "o", name = { az = "O", ru = "О", en = "O" } } ]`, ``, "nothing to choose"},
		{"neither submitted nor looked up", "lookup = \"x\"\nsubmit = true", ``, "neither submitted nor looked up"},
		{"submitted for nobody", `"genuine"`, `"none"`, "submitted for nobody"},
		{"no wait", "wait = 8\n", ``, "no wait between"},
		{"a wait that nobody bears", "wait = 8", `wait = 9999999999`, "no wait between"},
		{"a request that waits for ever", "ttl = 30\n", ``, "no ttl between"},
		{"a request that waits less than a day", "ttl = 30", `ttl = -1`, "no ttl between"},
		{"a request that outlives its id", "ttl = 30", `ttl = 401`, "no ttl between"},
		{"a look-up that waits", "submit = true", `submit = false`, "a ttl of what never waits"},
		{"an unknown output", "wait = 8", "wait = 8\noutput = \"card\"", `no output "card"`},
		{"operations without English", "wait = 8", "wait = 8\noperations = { az = \"O\", ru = \"О\" }", "words are missing"},
		{"an application that nobody submits", "submit = true", `output = "application"`, "an application that nobody submits"},
		{"no id", `id = "s"`, ``, "its id is empty"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%s: nothing to spoil", c.name)
		}
		_, err := Parse(strings.Replace(good, c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "catalogue:") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	_, services, _ := strings.Cut(good, "[[service]]")
	if _, err := Parse(good + "[[service]]" + services); err == nil || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("a service twice: %v", err)
	}
	head, _, _ := strings.Cut(good, "[[service.fields]]")
	if _, err := Parse(head); err == nil || !strings.Contains(err.Error(), "no fields") {
		t.Errorf("no fields: %v", err)
	}
}

func TestTheShippedCatalogue(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if c.Version == "" {
		t.Error("no version: consents name it")
	}
	open, closed := c.Open(false), c.Open(true)
	if len(open)+len(closed) != len(c.Services) || len(open) == 0 || len(closed) == 0 {
		t.Errorf("%d open, %d with a card, of %d", len(open), len(closed), len(c.Services))
	}
	for _, s := range open {
		if s.Level != Anyone {
			t.Errorf("%s needs a card and is among the open ones", s.ID)
		}
	}
}

func TestReaches(t *testing.T) {
	for i, l := range levels {
		for j, need := range levels {
			if got := l.Reaches(need); got != (i >= j) {
				t.Errorf("%s reaches %s: %v", l, need, got)
			}
		}
	}
	for _, l := range levels {
		if l.Reaches("") || l.Reaches("best") {
			t.Errorf("%s reaches a level that doesn't exist", l)
		}
		if Level("best").Reaches(l) || Level("assurance(0)").Reaches(l) {
			t.Errorf("an unknown level reaches %s", l)
		}
	}
}

func TestValid(t *testing.T) {
	imei := Field{Type: IMEI}
	for s, want := range map[string]bool{
		"490154203237518":  true, // 3GPP's own example
		"352099001761481":  true,
		"000000000000000":  true,
		"490154203237519":  false, // the check digit
		"490154203237581":  false, // two digits changed places
		"49015420323751":   false,
		"4901542032375180": false,
		"49015420323751a":  false,
		"49015420323751８":  false, // a digit of another script
		"":                 false,
	} {
		if got := imei.Valid(s); got != want {
			t.Errorf("imei %q: %v", s, got)
		}
	}
	choice := Field{Type: Choice, Options: []Option{{ID: "bank"}}}
	if !choice.Valid("bank") || choice.Valid("") || choice.Valid("BANK") {
		t.Error("a choice takes what isn't offered")
	}
	if (&Field{Type: "unheard_of"}).Valid("x") {
		t.Error("an unknown field takes anything")
	}
}

// Luhn's digit finds every single wrong digit.
func TestLuhnFindsEveryWrongDigit(t *testing.T) {
	const s = "490154203237518"
	for i := range len(s) {
		for d := byte('0'); d <= '9'; d++ {
			b := []byte(s)
			b[i] = d
			if got := luhn(string(b)); got != (d == s[i]) {
				t.Errorf("%s: %v", b, got)
			}
		}
	}
}

// What parses holds what the rest of the kiosk takes for granted.
func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add(data)
	f.Add(`version = 1`)
	f.Add("[[service]]\nid = \"\"")
	f.Add("[[agency]]\n[[agency]]\n[[service]]\n[[service.fields.options]]")
	f.Fuzz(func(t *testing.T, doc string) {
		c, err := Parse(doc)
		if err != nil {
			if c != nil {
				t.Error("a catalogue and an error")
			}
			return
		}
		for i := range c.Services {
			s := &c.Services[i]
			if c.Service(s.ID) != s || c.Agency(s.Agency) == nil || len(s.Fields) == 0 || s.WaitTime() <= 0 {
				t.Errorf("service %q is not whole", s.ID)
			}
			for _, lang := range text.Langs {
				if s.Name.In(lang).Empty() {
					t.Errorf("service %q has no name in %s", s.ID, lang)
				}
			}
		}
	})
}

// ways is a means of identification; the tests spoil it as they do good.
const ways = `
[[means]]
id = "m"
level = "holder_verified"
sign = true
name = { az = "M", ru = "М", en = "M" }
hint = { az = "H", ru = "Х", en = "H" }
[[means.fields]]
id = "f"
min = 4
max = 12
title = { az = "T", ru = "Т", en = "T" }
label = { az = "L", ru = "Л", en = "L" }
hint = { az = "N", ru = "Н", en = "N" }
`

func TestMeans(t *testing.T) {
	c, err := Parse(good + ways)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.MeansOf("m"); m == nil || m.Level != HolderVerified || !m.Sign || len(m.Fields) != 1 || c.MeansOf("n") != nil {
		t.Errorf("means %+v", m)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"no id", `id = "m"`, ``, "its id is empty"},
		{"an unknown level", `"holder_verified"`, `"sure"`, `no level "sure"`},
		{"the level of nobody", `"holder_verified"`, `"none"`, `no level "none"`},
		{"no words", `az = "M", `, ``, "words are missing"},
		{"a field without words", `az = "T", `, ``, "field f: words are missing"},
		{"no digits", `min = 4`, `min = 0`, "0 to 12 digits"},
		{"less than the least", `max = 12`, `max = 3`, "4 to 3 digits"},
		{"too many digits", `max = 12`, `max = 17`, "4 to 17 digits"},
	} {
		_, err := Parse(good + strings.Replace(ways, c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Parse(good + ways + ways); err == nil || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("means twice: %v", err)
	}
	if _, err := Parse(strings.Replace(good, "wait = 8", "wait = 8\nsign = true", 1)); err == nil || !strings.Contains(err.Error(), "verified person") {
		t.Errorf("signed by anybody: %v", err)
	}
}

// Every service that is offered can be reached, and every one that is signed signed.
func TestTheShippedMeansReachTheShippedServices(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Services {
		reached, signed := s.Level == Anyone, !s.Sign
		for _, m := range c.Means {
			reached = reached || m.Level.Reaches(s.Level)
			signed = signed || m.Sign && m.Level.Reaches(s.Level)
		}
		if !reached || !signed {
			t.Errorf("%s: reached %v, signed %v", s.ID, reached, signed)
		}
	}
}
