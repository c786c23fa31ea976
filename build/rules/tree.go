// Package rules holds the laws of the tree: who may import whom, how packages
// and functions look, which words no file may hold. It reads the files
// themselves with go/parser and asks no build tool about the code.
//
// It says nothing about what the code does. Start at All, the table of rules;
// rules_test.go holds the tree to them, and shows of each rule that it can fail.
package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Rule is one law of the tree.
type Rule struct {
	Name  string // as a sentence
	Check func(*Tree) []Finding
}

// All is every rule that needs nothing but the tree.
var All = []Rule{
	{"imports follow the four arrows", arrows},
	{"one outside library has one home", homes},
	{"every package says what it is", packageComments},
	{"every exported name is documented", documented},
	{"code stands in the folders that are named for it", folders},
	{"nothing runs before main", inits},
	{"functions are short", lengths},
	{"constructors start no goroutine", constructors},
	{"nothing sleeps, exits or makes a context where it must not", calls},
	{"no test is put aside without a reason", skips},
	{"what is unfinished is not committed", unfinished},
	{"files know nothing of the machine they were written on", machines},
	{"the map is the territory", mapped},
}

// A Finding is one place where a rule is broken.
type Finding struct {
	Where string // a file, a file and line, or a folder
	What  string
}

func (f Finding) String() string { return f.Where + ": " + f.What }

// A Source is one Go file.
type Source struct {
	Name string // with slashes, from the top of the tree
	File *ast.File
	set  *token.FileSet
}

// Dir is the folder of the file's package.
func (s *Source) Dir() string { return path.Dir(s.Name) }

// Test reports whether only tests are built from the file.
func (s *Source) Test() bool { return strings.HasSuffix(s.Name, "_test.go") }

// Main reports whether the file belongs to a program.
func (s *Source) Main() bool { return s.File.Name.Name == "main" }

// at is a finding at a node of the file.
func (s *Source) at(n ast.Node, format string, args ...any) Finding {
	return Finding{fmt.Sprintf("%s:%d", s.Name, s.set.Position(n.Pos()).Line), fmt.Sprintf(format, args...)}
}

// imports calls f with each import of the file.
func (s *Source) imports(f func(spec *ast.ImportSpec, imported string)) {
	for _, spec := range s.File.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			f(spec, imported)
		}
	}
}

// functions calls f with each function and method that the file declares.
func (s *Source) functions(f func(*ast.FuncDecl)) {
	for _, d := range s.File.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			f(fn)
		}
	}
}

// A Tree is the files that are, or will be, committed.
type Tree struct {
	files   fs.FS
	Names   []string // of all files, sorted
	Sources []*Source
}

// Read reads the tree at files, less what git is told to ignore.
func Read(files fs.FS) (*Tree, error) {
	t := &Tree{files: files}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "out" || d.Name() == ".git" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() && !ignored(name) {
			t.Names = append(t.Names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	for _, name := range t.Names {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, t.read(name), parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read tree: %w", err)
		}
		t.Sources = append(t.Sources, &Source{name, file, set})
	}
	return t, nil
}

// ignored says what .gitignore says, of names below the top.
func ignored(name string) bool {
	return slices.Contains([]string{".test", ".prof"}, path.Ext(name))
}

// read returns a file's bytes; none when it can't be read.
func (t *Tree) read(name string) []byte {
	b, _ := fs.ReadFile(t.files, name)
	return b
}

// lines calls f with each line of each text file, counting from 1.
func (t *Tree) lines(f func(name string, number int, line string)) {
	for _, name := range t.Names {
		b := t.read(name)
		if bytes.IndexByte(b, 0) >= 0 {
			continue // no text
		}
		number := 0
		for line := range bytes.Lines(b) {
			number++
			f(name, number, string(line))
		}
	}
}

// within reports whether a slash path is folder or lies in it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// withinAny reports whether a slash path lies in one of the folders.
func withinAny(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(name, f) })
}
