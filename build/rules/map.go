package rules

import (
	"path"
	"slices"
	"strings"
)

// mapHeading stands above the map of folders in README.md.
const mapHeading = "## The map"

// mapped: each folder of the map exists, and each folder of the first two levels
// is on the map.
func mapped(t *Tree) []Finding {
	drawn, ok := readMap(string(t.read("README.md")))
	if !ok {
		return []Finding{{"README.md", "no fenced block under " + mapHeading}}
	}
	exists := map[string]bool{}
	for _, name := range t.Names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			exists[dir] = true
		}
	}
	var found []Finding
	for _, dir := range drawn {
		if !exists[dir] {
			found = append(found, Finding{"README.md", "the map shows " + dir + "/, which is not there"})
		}
	}
	for dir := range exists {
		hidden := strings.HasPrefix(dir, ".") || strings.Contains(dir, "testdata")
		if strings.Count(dir, "/") < 2 && !hidden && !slices.Contains(drawn, dir) {
			found = append(found, Finding{dir, "is not on the map of README.md"})
		}
	}
	return sorted(found)
}

// readMap returns the folders of the map: of each line the first word, when it
// ends with a slash, within the folder of the nearest line above that is set in
// less.
func readMap(readme string) (dirs []string, ok bool) {
	_, rest, ok := strings.Cut("\n"+readme, "\n"+mapHeading+"\n")
	if !ok {
		return nil, false
	}
	_, rest, ok = strings.Cut(rest, "\n```")
	if !ok {
		return nil, false
	}
	_, rest, _ = strings.Cut(rest, "\n") // the language of the fence
	block, _, ok := strings.Cut(rest, "\n```")
	if !ok {
		return nil, false
	}
	type level struct {
		indent int
		dir    string
	}
	var above []level
	for line := range strings.Lines(block) {
		words := strings.Fields(line)
		if len(words) == 0 || !strings.HasSuffix(words[0], "/") {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		dir := strings.TrimSuffix(words[0], "/")
		if len(above) > 0 {
			dir = path.Join(above[len(above)-1].dir, dir)
		}
		above = append(above, level{indent, dir})
		dirs = append(dirs, dir)
	}
	return dirs, len(dirs) > 0
}
