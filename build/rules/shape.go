package rules

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The longest that things of ours are, in lines.
const (
	longestPackageComment = 10
	longestFunction       = 80
)

// packageComments: each package has one comment, in one file, that begins as Go
// wants it and is short.
func packageComments(t *Tree) []Finding {
	var found []Finding
	first := map[string]*Source{}
	said := map[string]bool{}
	for _, s := range t.Sources {
		if s.Test() {
			continue
		}
		if first[s.Dir()] == nil {
			first[s.Dir()] = s
		}
		doc := s.File.Doc
		if doc == nil {
			continue
		}
		want := "Package " + s.File.Name.Name + " "
		if s.Main() {
			want = "Command " + path.Base(s.Dir()) + " "
		}
		lines := s.set.Position(doc.End()).Line - s.set.Position(doc.Pos()).Line + 1
		switch {
		case said[s.Dir()]:
			found = append(found, s.at(doc, "%s has a second package comment", s.Dir()))
		case !strings.HasPrefix(doc.Text(), want):
			found = append(found, s.at(doc, "the package comment begins otherwise than %q", want))
		case lines > longestPackageComment:
			found = append(found, s.at(doc, "the package comment has %d lines, at most %d are read", lines, longestPackageComment))
		}
		said[s.Dir()] = true
	}
	for dir, s := range first {
		if !said[dir] {
			found = append(found, s.at(s.File.Name, "%s has no package comment", dir))
		}
	}
	return sorted(found)
}

// documented: each exported name has a comment, alone or with its group. The
// methods that Go itself names (String, Error, ...) speak for themselves.
func documented(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		if s.Test() || s.Main() {
			continue
		}
		for _, d := range s.File.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && !wellKnown(d) && exportedReceiver(d) {
					found = append(found, s.at(d, "%s is exported without a comment", d.Name.Name))
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if name := bare(d, spec); name != nil {
						found = append(found, s.at(name, "%s is exported without a comment", name.Name))
					}
				}
			}
		}
	}
	return found
}

// wellKnown reports whether d is a method that Go's own interfaces name.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{
		"Error", "Unwrap", "Is", "As", "String", "LogValue", "Len", "Less", "Swap", "Read", "Write", "Close",
		"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", "MarshalBinary", "UnmarshalBinary",
	}, d.Name.Name)
}

// exportedReceiver reports whether d is a function, or a method of a type that
// others can name.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}

// bare returns the first exported name of a spec that has no comment, or nil.
func bare(d *ast.GenDecl, spec ast.Spec) *ast.Ident {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
			return spec.Name
		}
	case *ast.ValueSpec:
		if spec.Doc != nil || spec.Comment != nil || d.Doc != nil {
			return nil
		}
		for _, n := range spec.Names {
			if n.IsExported() {
				return n
			}
		}
	}
	return nil
}

// tops are the folders that hold code.
var tops = []string{"cmd", "device", "ui", "drivers", "offline", "build"}

// vague are words that say nothing about what a folder holds.
var vague = []string{
	"base", "common", "core", "helper", "helpers", "internal", "lib", "misc", "pkg", "shared", "types", "util", "utils",
}

// folders: code stands in the six folders, and a package's name is a word that
// says what is in it: its folder's name, in small letters.
func folders(t *Tree) []Finding {
	var found []Finding
	seen := map[string]bool{}
	for _, s := range t.Sources {
		dir, name := s.Dir(), strings.TrimSuffix(s.File.Name.Name, "_test")
		if !withinAny(dir, tops) {
			found = append(found, Finding{s.Name, "code outside " + strings.Join(tops, " ")})
		}
		if !s.Main() && name != path.Base(dir) {
			found = append(found, s.at(s.File.Name, "package %s in a folder called %s", name, path.Base(dir)))
		}
		if seen[dir] {
			continue
		}
		seen[dir] = true
		for part := range strings.SplitSeq(dir, "/") {
			if slices.Contains(vague, part) {
				found = append(found, Finding{dir, "a folder called " + part + " holds anything"})
			}
			if strings.ToLower(part) != part || strings.ContainsAny(part, "_-") {
				found = append(found, Finding{dir, part + " is no package name of Go"})
			}
		}
	}
	return found
}

// inits: no function called init.
func inits(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		s.functions(func(f *ast.FuncDecl) {
			if f.Recv == nil && f.Name.Name == "init" {
				found = append(found, s.at(f, "func init"))
			}
		})
	}
	return found
}

// lengths: no function, of the code or its tests, longer than can be read at once.
func lengths(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		s.functions(func(f *ast.FuncDecl) {
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > longestFunction {
				found = append(found, s.at(f, "%s has %d lines, at most %d", f.Name.Name, n, longestFunction))
			}
		})
	}
	return found
}

// constructor is how the name of one begins.
var constructor = regexp.MustCompile(`^(New|Open|Dial|Load)([A-Z]|$)`)

// constructors: what makes a value of ours starts nothing that goes on beside
// it. Fakes, which tests start and stop, may; so may a function that waits for
// what it has started.
func constructors(t *Tree) []Finding {
	var found []Finding
	for _, s := range t.Sources {
		if s.Test() || strings.HasSuffix(s.File.Name.Name, "test") || within(s.Dir(), "cmd") {
			continue
		}
		s.functions(func(f *ast.FuncDecl) {
			if f.Recv != nil || !constructor.MatchString(f.Name.Name) {
				return
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if g, ok := n.(*ast.GoStmt); ok {
					found = append(found, s.at(g, "%s starts a goroutine", f.Name.Name))
				}
				return true
			})
		})
	}
	return found
}

func sorted(found []Finding) []Finding {
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Where, b.Where) })
	return found
}
