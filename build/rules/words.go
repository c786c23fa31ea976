package rules

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A ban keeps a function of the standard library from places where it does harm.
type ban struct {
	call   *regexp.Regexp // package.Function
	not    []place        // where it does none
	reason string
}

// A place is a kind of file.
type place int

const (
	tests    place = iota // and the packages called xtest
	programs              // package main
	cmd                   // all below cmd
)

var bans = []ban{
	{regexp.MustCompile(`^time\.Sleep$`), []place{tests}, "wait for what is waited for, or for a timer and the context"},
	{regexp.MustCompile(`^log\.(Fatal|Panic)(f|ln)?$`), []place{programs}, "return the error"},
	{regexp.MustCompile(`^os\.Exit$`), []place{programs, tests}, "return the error"},
	{regexp.MustCompile(`^context\.Background$`), []place{cmd, programs, tests}, "take the caller's context"},
	{regexp.MustCompile(`^context\.TO[D]O$`), nil, "take the caller's context"},
	{regexp.MustCompile(`^slog\.(Default|SetDefault|Debug|Info|Warn|Error)(Context)?$`), []place{tests}, "log to the logger that is passed in"},
}

// is reports whether a file is of a kind.
func (s *Source) is(p place) bool {
	switch p {
	case tests:
		return s.Test() || strings.HasSuffix(s.File.Name.Name, "test")
	case programs:
		return s.Main()
	default:
		return within(s.Dir(), "cmd")
	}
}

// calls: the functions that are banned are not used, called or not.
func calls(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		ast.Inspect(s.File, func(n ast.Node) bool {
			name := selector(n)
			for _, b := range bans {
				if name != "" && b.call.MatchString(name) && !slices.ContainsFunc(b.not, s.is) {
					found = append(found, s.at(n, "%s: %s", name, b.reason))
				}
			}
			return true
		})
	}
	return found
}

// selector returns a node x.Name as text, else nothing.
func selector(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}

// skips: a test that is passed over says why.
func skips(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		ast.Inspect(s.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && (sel.Sel.Name == "SkipNow" || (sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf") && len(call.Args) == 0) && s.Test() {
				found = append(found, s.at(call, "passed over without a reason"))
			}
			return true
		})
	}
	return found
}

// promises are the words by which unfinished work excuses itself. They are
// written so that they don't find themselves.
var promises = regexp.MustCompile(`\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b|(?i)\bfor no[w]\b[^,]`)

// unfinished: no text of ours holds a promise.
func unfinished(t *Tree) []Finding {
	var found []Finding
	t.lines(func(name string, number int, line string) {
		call := strings.ReplaceAll(line, "context.TO"+"DO", "") // has a rule of its own
		if w := promises.FindString(call); w != "" && !foreign(name) {
			found = append(found, Finding{fmt.Sprintf("%s:%d", name, number), fmt.Sprintf("%q: finish it or leave it out", w)})
		}
	})
	return found
}

// foreign reports whether a file's text is not of our making.
func foreign(name string) bool {
	return slices.Contains([]string{"LICENSE", "go.sum"}, path.Base(name)) || strings.Contains(name, "testdata/")
}

// traces are what only one machine has: folders of its users, and settings that
// say from which host packages come.
var traces = []*regexp.Regexp{
	regexp.MustCompile(`(^|[\s"'=:(\x60])/(work|root|home|Users)/`),
	regexp.MustCompile(`\b(GOPROXY|GOSUMDB|registry|index-url)\s*[:=]\s*["']?https?:|^deb(-src)?\s.*https?:`),
}

// machines: no file names a folder of its writer's machine, or a registry.
func machines(t *Tree) []Finding {
	var found []Finding
	t.lines(func(name string, number int, line string) {
		for _, trace := range traces {
			if w := trace.FindString(line); w != "" {
				found = append(found, Finding{fmt.Sprintf("%s:%d", name, number), fmt.Sprintf("%q", strings.TrimSpace(w))})
			}
		}
	})
	return found
}
