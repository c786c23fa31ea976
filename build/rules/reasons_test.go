package rules

import (
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The bus's and the agencies' reasons for a refusal each have words in the table
// of device/session, and the table holds none that nobody gives. A kiosk can't
// import the bus, so the two are compared here, by their source.
func TestEveryReasonOfARefusalHasWords(t *testing.T) {
	tree, err := Read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	given, told := map[string]string{}, reasonsTold(tree)
	for _, s := range tree.Sources {
		if !s.Test() && (withinAny(s.Name, []string{"cmd/bus", "device/identity"}) || s.Dir() == "offline") {
			reasonsGiven(s, given)
		}
	}
	if len(given) < 30 || len(told) < 30 {
		t.Fatalf("%d reasons are given, %d have words: the search is broken", len(given), len(told))
	}
	for reason, where := range given {
		if !slices.Contains(told, reason) {
			t.Errorf("%s gives %q, which has no words", where, reason)
		}
	}
	for _, reason := range told {
		if given[reason] == "" {
			t.Errorf("%q has words, and nobody gives it", reason)
		}
	}
}

// reasonsGiven are the constants called reason..., and where they stand.
func reasonsGiven(s *Source, given map[string]string) {
	for _, d := range s.File.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			for i, name := range v.Names {
				if !strings.HasPrefix(strings.ToLower(name.Name), "reason") || i >= len(v.Values) {
					continue
				}
				if reason, ok := literal(v.Values[i]); ok {
					given[reason] = s.Name
				}
			}
		}
	}
}

// reasonsTold are the keys of the table of refusals.
func reasonsTold(tree *Tree) []string {
	var all []string
	ours := map[string]string{} // offline.ReasonX by its name
	for _, s := range tree.Sources {
		if s.Dir() != "offline" || s.Test() {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
				if reason, ok := literal(v.Values[0]); ok {
					ours["offline."+v.Names[0].Name] = reason
				}
			}
			return true
		})
	}
	for _, s := range tree.Sources {
		if s.Name != "device/session/fault.go" {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Names[0].Name != "refusals" {
				return true
			}
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				key := e.(*ast.KeyValueExpr).Key
				if reason, ok := literal(key); ok {
					all = append(all, reason)
				} else {
					all = append(all, ours[selector(key)])
				}
			}
			return false
		})
	}
	return all
}

// literal is the text of a string literal.
func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}
