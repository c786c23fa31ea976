package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// A target is one fuzz function.
type target struct {
	Dir  string // of its package, with slashes, from the top of the tree
	Name string // FuzzLoad
}

func (t target) String() string { return t.Dir + "." + t.Name }

// targets lists the fuzz functions of a tree, folder by folder. It leaves out
// what the go command leaves out: testdata, and names that begin with . or _.
func targets(tree fs.FS) ([]target, error) {
	var found []target
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		switch {
		case name == ".":
			return nil
		case strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || name == "out":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !strings.HasSuffix(base, "_test.go"):
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("read target: %w", err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && isTarget(f) {
				found = append(found, target{path.Dir(name), f.Name.Name})
			}
		}
		return nil
	})
	return found, err
}

// isTarget reports whether f is a func FuzzX(*testing.F).
func isTarget(f *ast.FuncDecl) bool {
	if f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") || len(f.Type.Params.List) != 1 {
		return false
	}
	star, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "F"
}
