package rules

import (
	"go/ast"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"github.com/go-fonts/dejavu/dejavusansmono"
	"golang.org/x/image/font/sfnt"

	"kosk/device/catalogue"
	"kosk/device/text"
)

// faces are the fonts that words are shown and printed in.
func faces() map[string][]byte {
	return map[string][]byte{
		"the screen's":      theme.DefaultTheme().Font(fyne.TextStyle{}).Content(),
		"the screen's bold": theme.DefaultTheme().Font(fyne.TextStyle{Bold: true}).Content(),
		"the slip's":        dejavusansmono.TTF,
	}
}

// missing returns the runes of s that a font has no glyph for.
func missing(t *testing.T, ttf []byte, s string) string {
	t.Helper()
	face, err := sfnt.Parse(ttf)
	if err != nil {
		t.Fatal(err)
	}
	var buf sfnt.Buffer
	var none []rune
	for _, r := range s {
		i, err := face.GlyphIndex(&buf, r)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && r != '\n' && !slices.Contains(none, r) {
			none = append(none, r)
		}
	}
	slices.Sort(none)
	return string(none)
}

func TestNoGlyphIsMissing(t *testing.T) {
	shown := map[string]string{"the words": phrases(), "the catalogue": offered(t), "the code and the test persons": literals(t)}
	for face, ttf := range faces() {
		for source, s := range shown {
			if len([]rune(s)) < 200 {
				t.Errorf("%s are hardly anything: %q", source, s)
			}
			if none := missing(t, ttf, s); none != "" {
				t.Errorf("%s font has no %q of %s", face, none, source)
			}
		}
	}
}

func TestMissingGlyphIsTold(t *testing.T) {
	for face, ttf := range faces() {
		if got := missing(t, ttf, "Aə漢я"); got != "漢" {
			t.Errorf("%s font: missing %q", face, got)
		}
	}
}

// phrases is every form that is shown, one after the other.
func phrases() string {
	var b strings.Builder
	for _, key := range text.Keys() {
		for _, lang := range text.Langs {
			show, _ := text.Forms(lang, key)
			b.WriteString(show + text.Upper(lang, show) + "\n")
		}
	}
	return b.String()
}

// offered is every name in the catalogue.
func offered(t *testing.T) string {
	t.Helper()
	c, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	collect(reflect.ValueOf(c), func(n catalogue.Names) { b.WriteString(n.Az + n.Ru + n.En) })
	return b.String()
}

// collect calls f with each Names in a value made of structs, slices and pointers.
func collect(v reflect.Value, f func(catalogue.Names)) {
	if n, ok := reflect.TypeAssert[catalogue.Names](v); ok {
		f(n)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collect(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collect(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			collect(v.Field(i), f)
		}
	}
}

// writers are the folders whose code puts letters on the screen or the slip by
// itself (bullets, quotes, units), and the test persons with their names.
var writers = []string{"device/session", "device/scene", "device/text", "device/receipt", "ui", "cmd/bus/agency"}

// literals is every literal in the code of the writers.
func literals(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	eachLiteral(t, func(s *Source, value string) {
		if withinAny(s.Dir(), writers) {
			b.WriteString(value)
		}
	})
	return b.String()
}

// eachLiteral calls f with each string and rune literal of the code, tests left out.
func eachLiteral(t *testing.T, f func(s *Source, value string)) {
	t.Helper()
	tree, err := Read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range tree.Sources {
		if s.Test() {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && (lit.Kind == token.STRING || lit.Kind == token.CHAR) {
				if value, err := strconv.Unquote(lit.Value); err == nil {
					f(s, value)
				}
			}
			return true
		})
	}
}

func TestWordsAreCompleteInThreeLanguages(t *testing.T) {
	places := regexp.MustCompile(`\{[A-Za-z]+\}`)
	for _, key := range text.Keys() {
		var want []string
		for i, lang := range text.Langs {
			show, say := text.Forms(lang, key)
			if strings.TrimSpace(show) == "" {
				t.Errorf("%s has no words in %s", key, lang)
			}
			for _, form := range []string{show, say} {
				if form == "" {
					continue
				}
				got := places.FindAllString(form, -1)
				slices.Sort(got)
				if i == 0 && form == show {
					want = got
				}
				if form == show && !slices.Equal(got, want) {
					t.Errorf("%s in %s has the places %v, in %s %v", key, lang, got, text.Langs[0], want)
				}
			}
		}
	}
	c, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	collect(reflect.ValueOf(c), func(n catalogue.Names) {
		all := []string{n.Az, n.Ru, n.En}
		if given := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" }); len(given) != 0 && len(given) != 3 {
			t.Errorf("the catalogue lacks a language: %q", all)
		}
	})
}

func TestEveryPhraseIsUsed(t *testing.T) {
	used := map[string]bool{}
	eachLiteral(t, func(_ *Source, value string) { used[value] = true })
	for _, key := range unused(text.Keys(), used) {
		t.Errorf("%s is nowhere in the code", key)
	}
}

func TestUnusedPhraseIsTold(t *testing.T) {
	used := map[string]bool{"title": true, "fault.": true, "slip": true, "wrong.imei": true}
	got := unused([]text.Key{"title", "fault.paper.title", "wrong.imei.lead", "slip.number", "lead"}, used)
	if want := []text.Key{"slip.number", "lead"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// unused returns the keys that no literal is, or begins: "fault." and
// "fault.paper" begin "fault.paper.title", "fault", which may be any word, doesn't.
func unused(keys []text.Key, literals map[string]bool) []text.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(key text.Key) bool {
		for i, r := range key {
			if begin := string(key[:i]); r == '.' && (literals[begin+"."] || literals[begin] && strings.Contains(begin, ".")) {
				return true
			}
		}
		return literals[string(key)]
	})
}
