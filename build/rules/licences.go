package rules

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// A Module is a line of go.mod that requires another module.
type Module struct {
	Path, Version string
	Indirect      bool
}

// dir is the module's folder in the module cache, where a capital letter is
// written as ! and the small one.
func (m Module) dir() string {
	var b strings.Builder
	for _, r := range m.Path + "@" + m.Version {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Required lists what a go.mod requires.
func Required(mod []byte) []Module {
	var all []Module
	lines := bufio.NewScanner(bytes.NewReader(mod))
	inside := false
	for lines.Scan() {
		code, comment, _ := strings.Cut(lines.Text(), "//")
		words := strings.Fields(code)
		switch {
		case len(words) == 2 && words[0] == "require" && words[1] == "(":
			inside = true
			continue
		case len(words) == 1 && words[0] == ")":
			inside = false
		case len(words) == 3 && words[0] == "require":
			words = words[1:]
		case !inside:
			continue
		}
		if len(words) == 2 {
			all = append(all, Module{words[0], words[1], strings.TrimSpace(comment) == "indirect"})
		}
	}
	return all
}

// A licence is one that Köşk, which is under Apache-2.0, can be shipped with, or
// not, and words that stand in its text.
type licence struct {
	name  string // SPDX
	words *regexp.Regexp
	may   bool
}

// licences are in the order in which they are tried: MPL-2.0 speaks of the GPL,
// without being it.
var licences = []licence{
	{"MPL-2.0", regexp.MustCompile(`^mozilla public license,? version 2\.0`), true}, // of files that we use unchanged
	{"AGPL", regexp.MustCompile(`gnu affero general public license`), false},
	{"LGPL", regexp.MustCompile(`gnu (lesser|library) general public license`), false}, // Go links statically
	{"GPL", regexp.MustCompile(`gnu general public license`), false},
	{"SSPL", regexp.MustCompile(`server side public license`), false},
	{"BUSL", regexp.MustCompile(`business source license`), false},
	{"CC-BY-NC", regexp.MustCompile(`noncommercial`), false},
	{"Apache-2.0", regexp.MustCompile(`apache license,? version 2\.0`), true},
	{"MIT", regexp.MustCompile(`permission is hereby granted, free of charge, to any person obtaining a copy`), true},
	{"BSD", regexp.MustCompile(`redistribution and use in source and binary forms, with or without modification, are permitted`), true},
	{"ISC", regexp.MustCompile(`permission to use, copy, modify, and(/or)? distribute this software for any purpose with or without fee is hereby granted`), true},
	{"OFL-1.1", regexp.MustCompile(`sil open font license,? version 1\.1`), true},
	{"Unlicense", regexp.MustCompile(`this is free and unencumbered software released into the public domain`), true},
	{"CC0-1.0", regexp.MustCompile(`cc0 1\.0 universal`), true},
}

// licenceFile is how the file is called that holds a module's terms.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-.].*)?$`)

// Licences judges the terms of each module, which it reads in the module cache.
// A module that is required only for the sake of others, and is not in the cache,
// was built into nothing here: it is returned as absent, unjudged.
func Licences(required []Module, cache fs.FS) (found []Finding, absent []Module) {
	for _, m := range required {
		entries, err := fs.ReadDir(cache, m.dir())
		if err != nil && m.Indirect {
			absent = append(absent, m)
			continue
		}
		if err != nil {
			found = append(found, Finding{m.Path, fmt.Sprintf("not in the module cache: %v", err)})
			continue
		}
		files := slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() || !licenceFile.MatchString(e.Name()) })
		if len(files) == 0 {
			found = append(found, Finding{m.Path, "has no licence file"})
		}
		for _, f := range files {
			text, err := fs.ReadFile(cache, path.Join(m.dir(), f.Name()))
			if name, may := judge(text); err != nil || !may {
				found = append(found, Finding{m.Path, fmt.Sprintf("%s is %s", f.Name(), name)})
			}
		}
	}
	return found, absent
}

// judge names the licence that a text is, and says whether Köşk may be shipped
// with what is under it.
func judge(text []byte) (name string, may bool) {
	var words []string
	for line := range strings.Lines(string(text)) {
		words = append(words, strings.Fields(strings.TrimLeft(line, "/#* \t"))...) // some stand in a comment
	}
	s := strings.ToLower(strings.Join(words, " "))
	for _, l := range licences {
		if l.words.MatchString(s) {
			return l.name, l.may
		}
	}
	return "not known", false
}
