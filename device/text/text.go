// Package text holds every word that Köşk shows, speaks or prints, in
// Azerbaijani, Russian and English, and how a typed value (a number, a name, a
// date) stands among them.
//
// The words are data: lang/*.toml, one file a room, the three languages of a
// key side by side. A key may have a second, spoken form (az_say). Nothing here
// draws, speaks or prints.
package text

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// A Lang is one of the kiosk's languages, by its BCP 47 primary tag.
type Lang string

// The languages of the kiosk.
const (
	Az Lang = "az"
	Ru Lang = "ru"
	En Lang = "en"
)

// Langs lists the languages in the order in which they are offered.
var Langs = []Lang{Az, Ru, En}

// A Key names a phrase: "question.purpose.title".
type Key string

// A Kind is what a span holds, so that the voice knows how to say it and the
// eye how it is grouped.
type Kind int

// The kinds of span.
const (
	Plain   Kind = iota // words of the span's language
	Name                // a proper name of a person, a place or a firm
	FIN                 // personal identification number
	DocNo               // number of a document
	Number              // a number of a request or certificate: said in groups
	Digits              // digits said one by one: CAN, IMEI
	Date                // RFC 3339 date in Text
	Time                // RFC 3339 date and time in Text
	Phone               // telephone number
	Masked              // bullets; the voice says only how many
	Ordinal             // "2 / 4": Text is "2", the whole is words
	Spelt               // letters and digits that were typed: said so that B, D and P are told apart
)

// A Span is one run of a phrase in one language and of one kind.
type Span struct {
	Lang Lang
	Kind Kind
	Text string // as shown: NFC; for Date and Time as RFC 3339
	Say  string // as spoken, when that differs from Text
}

// Words is a phrase, from first span to last.
type Words []Span

// String is the phrase as shown.
func (w Words) String() string {
	var b strings.Builder
	for _, s := range w {
		b.WriteString(s.Show())
	}
	return b.String()
}

// Empty reports whether nothing is shown.
func (w Words) Empty() bool { return w.String() == "" }

// Say makes words that are already in a language: a name, a number, an answer
// of a register.
func Say(lang Lang, kind Kind, s string) Words {
	if s == "" {
		return nil
	}
	return Words{{Lang: lang, Kind: kind, Text: s}}
}

// Join sets phrases one after the other with sep between those that are not empty.
func Join(sep string, phrases ...Words) Words {
	var all Words
	for _, w := range phrases {
		if w.Empty() {
			continue
		}
		if len(all) > 0 {
			all = append(all, Span{Lang: w[0].Lang, Text: sep})
		}
		all = append(all, w...)
	}
	return all
}

//go:embed lang/*.toml
var files embed.FS

// phrase is one key in all languages: "az" -> shown, "az_say" -> spoken.
type phrase map[string]string

var load = sync.OnceValue(func() map[Key]phrase {
	all := map[Key]phrase{}
	names, err := fs.Glob(files, "lang/*.toml")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		var tree map[string]any
		if err := toml.Unmarshal(b, &tree); err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
		flatten(name, "", tree, all)
	}
	return all
})

// flatten puts the leaves of a table (those whose values are strings) into all.
func flatten(file, prefix string, tree map[string]any, all map[Key]phrase) {
	for k, v := range tree {
		t, ok := v.(map[string]any)
		if !ok {
			panic(fmt.Sprintf("%s: %s%s: a phrase is a table of languages", file, prefix, k))
		}
		leaf := phrase{}
		for l, s := range t {
			if s, ok := s.(string); ok {
				leaf[l] = s
			}
		}
		key := Key(prefix + k)
		if len(leaf) == 0 {
			flatten(file, string(key)+".", t, all)
			continue
		}
		if len(leaf) != len(t) {
			panic(fmt.Sprintf("%s: %s: words and further keys in one table", file, key))
		}
		if _, twice := all[key]; twice {
			panic(fmt.Sprintf("%s: %s: stands twice", file, key))
		}
		all[key] = leaf
	}
}

// Keys lists every key, sorted.
func Keys() []Key {
	var keys []Key
	for k := range load() {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}

// Forms returns the shown and the spoken form of a key as they stand in the
// files, both empty when the language lacks it.
func Forms(lang Lang, key Key) (show, say string) {
	p := load()[key]
	return p[string(lang)], p[string(lang)+"_say"]
}

// An Arg fills the place {Name} of a phrase.
type Arg struct {
	Name  string
	Words Words
}

// In returns the words of a key, with its places filled. A key without words is
// a broken program: it panics.
func In(lang Lang, key Key, args ...Arg) Words {
	show, say := Forms(lang, key)
	if show == "" {
		panic(fmt.Sprintf("text: no %s words for %q", lang, key))
	}
	if len(args) == 0 && !strings.Contains(show, "{") {
		return Words{{Lang: lang, Text: show, Say: say}}
	}
	return fill(lang, key, show, say, args)
}

// fill replaces the places of a phrase. The spoken form of a phrase with places
// isn't used: its spans say themselves.
func fill(lang Lang, key Key, show, _ string, args []Arg) Words {
	var w Words
	for show != "" {
		before, rest, found := strings.Cut(show, "{")
		if before != "" {
			w = append(w, Span{Lang: lang, Text: before})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			panic(fmt.Sprintf("text: %s: %q has an open place", lang, key))
		}
		w = append(w, place(lang, key, name, args)...)
		show = after
	}
	return w
}

func place(lang Lang, key Key, name string, args []Arg) Words {
	for _, a := range args {
		if a.Name == name {
			return a.Words
		}
	}
	panic(fmt.Sprintf("text: %s: %q: nothing for {%s}", lang, key, name))
}

// Upper puts s into capitals by the language's own rules: in Azerbaijani i
// becomes İ and ı becomes I.
func Upper(lang Lang, s string) string { return cases.Upper(language.Make(string(lang))).String(s) }

// Title puts the first letter of every word into a capital by the language's
// own rules, and the rest into small letters.
func Title(lang Lang, s string) string { return cases.Title(language.Make(string(lang))).String(s) }
