package layout_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"kosk/device/scene"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/ui/kit"
	"kosk/ui/layout"
)

// The rules are those of accessibility.md, C and D. They are held against every
// page of every scene that a person can meet, in every language, text size and
// contrast; nothing is painted.

func TestMain(m *testing.M) {
	app := test.NewApp()
	app.Settings().SetTheme(theme.DefaultTheme())
	os.Exit(m.Run())
}

// A panel to lay out on, by its lit width in mm.
type panel struct {
	name string
	w, h float32
	mm   float32
}

// house is the panel that the house is drawn for: 21.5 inch, upright.
var house = panel{"21.5-inch", 1080, 1920, 268}

func (p panel) layout() layout.Panel {
	return layout.Panel{W: p.w, H: p.h, PxPerMM: p.w / p.mm, Measure: kit.Measure}
}

// A page is one page of a view, laid out.
type page struct {
	name  string
	view  scene.View
	panel layout.Panel
	layout.Drawing
}

func (p *page) mm(v float32) float32 { return v * p.panel.PxPerMM }

// journeys are the scenes of each language as they are met with each size of
// text, made once.
var journeys = func() map[text.Lang][scene.TextSizes][]scene.Scene {
	all := map[text.Lang][scene.TextSizes][]scene.Scene{}
	for _, l := range text.Langs {
		var sizes [scene.TextSizes][]scene.Scene
		for size := range sizes {
			sizes[size] = sessiontest.JourneyAt(l, scene.TextSize(size))
		}
		all[l] = sizes
	}
	return all
}()

var sizeNames = [scene.TextSizes]string{"small", "normal", "large", "largest"}

// views calls f for every view of the journey.
func views(f func(name string, v scene.View)) {
	for _, lang := range text.Langs {
		for size := range scene.TextSize(scene.TextSizes) {
			for contrast := range scene.Contrast(scene.Contrasts) {
				for _, s := range journeys[lang][size] {
					name := fmt.Sprintf("%s/%s/%s/contrast %d", s.ID, lang, sizeNames[size], contrast)
					f(name, scene.View{Scene: s, TextSize: size, Contrast: contrast})
				}
			}
		}
	}
}

// pages lays a view out, page by page.
func pages(name string, v scene.View, on panel) []*page {
	d := layout.Lay(v, on.layout())
	if d.Pages < 2 {
		return []*page{{name, v, on.layout(), d}}
	}
	var all []*page
	for i := range d.Pages {
		v.Focus = d.Firsts[i]
		all = append(all, &page{fmt.Sprintf("%s/page %d", name, i), v, on.layout(), layout.Lay(v, on.layout())})
	}
	return all
}

// allPages are all pages on the house's panel, laid out once.
var allPages = sync.OnceValue(func() []*page {
	var all []*page
	views(func(name string, v scene.View) { all = append(all, pages(name, v, house)...) })
	return all
})

// every holds a rule against every page on the house's panel. It tells the first
// twenty breaches: the rest would say the same.
func every(t *testing.T, rule func(p *page) error) {
	t.Helper()
	all := allPages()
	if len(all) < 1500 {
		t.Errorf("%d pages seen: the journey is too short", len(all))
	}
	breaches := 0
	for _, p := range all {
		if err := rule(p); err != nil && breaches < 20 {
			breaches++
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

func words(d layout.Drawing) []layout.Element {
	var all []layout.Element
	for _, e := range d.Elements {
		if e.Shape == layout.Words {
			all = append(all, e)
		}
	}
	return all
}

// inside reports whether r lies within o, half a pixel aside.
func inside(r, o layout.Rect) bool {
	const slack = 0.5
	return r.X >= o.X-slack && r.Y >= o.Y-slack && r.Right() <= o.Right()+slack && r.Bottom() <= o.Bottom()+slack
}

func TestNothingLeavesThePanel(t *testing.T) {
	every(t, leaves)
}

func leaves(p *page) error {
	whole := layout.Rect{W: p.panel.W, H: p.panel.H}
	for _, e := range p.Elements {
		if (e.Shape == layout.Words || e.Shape == layout.Icon || e.Shape == layout.Code) && !inside(e.Rect, whole) {
			return fmt.Errorf("%q%s at %v leaves the panel", e.Text, e.Name, e.Rect)
		}
	}
	for _, x := range p.Targets {
		if !inside(x.Rect, whole) {
			return fmt.Errorf("target %s at %v leaves the panel", x.ID, x.Rect)
		}
	}
	return nil
}

func TestNoWordsLieOverOthers(t *testing.T) {
	every(t, overlaps)
}

func overlaps(p *page) error {
	all := words(p.Drawing)
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.Rect.Grow(-0.5).Overlaps(b.Rect) {
				return fmt.Errorf("%q at %v and %q at %v overlap", a.Text, a.Rect, b.Text, b.Rect)
			}
		}
	}
	return nil
}

// TestWordsStandOnTheirGround says that each line lies wholly in the box that is
// under it, that this has the colour the line was chosen for, and that nothing
// painted later covers it.
func TestWordsStandOnTheirGround(t *testing.T) {
	every(t, grounds)
}

func grounds(p *page) error {
	for i, e := range p.Elements {
		if e.Shape != layout.Words {
			continue
		}
		under, fill := layout.Rect{W: p.panel.W, H: p.panel.H}, p.Ground
		x, y := e.Rect.X+e.Rect.W/2, e.Rect.Y+e.Rect.H/2
		for k, b := range p.Elements {
			if b.Shape != layout.Box || b.Fill.A == 0 {
				continue
			}
			switch {
			case k > i && b.Rect.Overlaps(e.Rect.Grow(-0.5)):
				return fmt.Errorf("%q at %v is covered by the box at %v", e.Text, e.Rect, b.Rect)
			case k < i && b.Rect.Holds(x, y):
				under, fill = b.Rect, b.Fill
			}
		}
		if !inside(e.Rect, under) {
			return fmt.Errorf("%q at %v leaves its box at %v", e.Text, e.Rect, under)
		}
		if fill != e.On {
			return fmt.Errorf("%q is meant for %v and stands on %v", e.Text, e.On, fill)
		}
	}
	return nil
}

// shown are the words of a node that must be read on the panel.
func shown(n *scene.Node) []text.Words {
	switch n.Role {
	case scene.Figure, scene.Turn: // a figure's name is its alternative; turns come only with pages
		return nil
	case scene.Tile, scene.Choice, scene.Button:
		return []text.Words{n.Name, n.Hint}
	case scene.Datum, scene.Field:
		return []text.Words{n.Name, n.Value, n.Hint, n.Does}
	}
	return []text.Words{n.Name}
}

// bare are words without what a line's end may take the place of.
func bare(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "·", " ")), "") }

func TestNothingIsCut(t *testing.T) {
	breaches := 0
	views(func(name string, v scene.View) {
		all := pages(name, v, house)
		var read []string
		reachable := map[string]bool{}
		for _, p := range all {
			var b strings.Builder
			for _, e := range words(p.Drawing) {
				b.WriteString(bare(e.Text))
			}
			read = append(read, b.String())
			for _, x := range p.Targets {
				reachable[x.ID] = true
			}
		}
		for i := range v.Scene.Nodes {
			n := &v.Scene.Nodes[i]
			if !n.Decorative && n.Role != scene.Turn && !reachable[n.ID] && breaches < 20 {
				breaches++
				t.Errorf("%s: %s is on no page", name, n.ID)
			}
			for _, w := range shown(n) {
				if !anyHolds(read, bare(w.String())) && breaches < 20 {
					breaches++
					t.Errorf("%s: %s: %q is on no page", name, n.ID, w.String())
				}
			}
		}
	})
}

func anyHolds(all []string, s string) bool {
	for _, a := range all {
		if strings.Contains(a, s) {
			return true
		}
	}
	return false
}

func TestTargetsAreLargeAndApart(t *testing.T) {
	every(t, targets)
}

// targets: VVSG 2.0, 7.2-I.
func targets(p *page) error {
	size, gap := p.mm(12.7), p.mm(2.54)
	var touch []layout.Target
	for _, x := range p.Targets {
		if x.Touch {
			touch = append(touch, x)
		}
	}
	for i, a := range touch {
		if a.Rect.W < size || a.Rect.H < size {
			return fmt.Errorf("%s is %.1f by %.1f mm", a.ID, a.Rect.W/p.mm(1), a.Rect.H/p.mm(1))
		}
		for _, b := range touch[i+1:] {
			if a.Rect.Grow(gap - 0.1).Overlaps(b.Rect) {
				return fmt.Errorf("%s at %v and %s at %v are less than 2.54 mm apart", a.ID, a.Rect, b.ID, b.Rect)
			}
		}
	}
	return nil
}

func TestTheWayForwardKeepsItsPlace(t *testing.T) {
	right, bottom := map[scene.TextSize]float32{}, map[scene.TextSize]float32{}
	every(t, func(p *page) error {
		for _, x := range p.Targets {
			if x.Role != scene.Next && x.ID != scene.TurnNext {
				continue
			}
			size := p.view.TextSize
			if right[size] == 0 {
				right[size], bottom[size] = x.Rect.Right(), x.Rect.Bottom()
			}
			if d := x.Rect.Right() - right[size]; d > 0.5 || d < -0.5 {
				return fmt.Errorf("%s ends at x %.1f, elsewhere at %.1f", x.ID, x.Rect.Right(), right[size])
			}
			if d := x.Rect.Bottom() - bottom[size]; d > 0.5 || d < -0.5 {
				return fmt.Errorf("%s ends at y %.1f, elsewhere at %.1f", x.ID, x.Rect.Bottom(), bottom[size])
			}
			if x.Rect.H < p.mm(20) {
				return fmt.Errorf("%s is %.1f mm high", x.ID, x.Rect.H/p.mm(1))
			}
			for _, y := range p.Targets {
				if y.Touch && (y.Rect.Y > x.Rect.Bottom() || y.Rect.Y+1 > x.Rect.Y && y.Rect.X > x.Rect.X) {
					return fmt.Errorf("%s stands after the way forward", y.ID)
				}
			}
		}
		return nil
	})
}

// TestFocusReadsDownThePage says that the order of the nodes, which is that of
// focus and speech, is the order of reading. The step is aside: it stands in the
// top bar, and is said on demand. So is the turn back: it takes Back's place.
func TestFocusReadsDownThePage(t *testing.T) {
	every(t, func(p *page) error {
		at := map[string]layout.Rect{}
		for _, x := range p.Targets {
			at[x.ID] = x.Rect
		}
		var last layout.Rect
		before := ""
		for _, n := range p.view.Scene.Nodes {
			r, ok := at[n.ID]
			if !ok || n.Role == scene.Step || n.ID == scene.TurnBack {
				continue
			}
			mid := r.Y + r.H/2
			row := mid >= last.Y && mid < last.Bottom()
			if before != "" && (row && r.X < last.X || !row && r.Y < last.Y) {
				return fmt.Errorf("%s at %v comes after %s at %v", n.ID, r, before, last)
			}
			before, last = n.ID, r
		}
		return nil
	})
}

// TestFocusIsAlwaysSeen focuses every node, with the voice on and off: its ring
// is on the page that is shown (EN 301 549, 11.1.3.1.2).
func TestFocusIsAlwaysSeen(t *testing.T) {
	breaches := 0
	views(func(name string, v scene.View) {
		v.Ring = true
		for i := range v.Scene.Nodes {
			n := &v.Scene.Nodes[i]
			if !n.Focusable(true) {
				continue
			}
			if v.Contrast != scene.ContrastDefault && i > 8 { // the places are the same
				break
			}
			v.Focus = n.ID
			d := layout.Lay(v, house.layout())
			if !ringed(d, n.ID) && breaches < 20 {
				breaches++
				t.Errorf("%s: no ring round %s on page %d of %d", name, n.ID, d.Page, d.Pages)
			}
		}
	})
}

// ringed reports whether two rings, the last elements, surround the target.
func ringed(d layout.Drawing, id string) bool {
	n := len(d.Elements)
	if n < 2 {
		return false
	}
	in, out := d.Elements[n-2], d.Elements[n-1]
	if in.Fill.A != 0 || out.Fill.A != 0 || in.Stroke == out.Stroke {
		return false
	}
	for _, x := range d.Targets {
		if x.ID == id {
			return inside(x.Rect, in.Rect) && inside(in.Rect, out.Rect)
		}
	}
	return false
}

// TestWhatIsTypedIsSeen: while keys are touched, even where so much is said
// before the field that it is on another page.
func TestWhatIsTypedIsSeen(t *testing.T) {
	views(func(name string, v scene.View) {
		field := v.Scene.Role(scene.Field)
		if field == nil {
			return
		}
		said := v.Scene.Role(scene.Lead)
		var crowded []scene.Node
		for _, n := range v.Scene.Nodes {
			if n.ID == field.ID && said != nil {
				for i := range 6 {
					crowded = append(crowded, scene.Node{ID: fmt.Sprint("said", i), Role: scene.Note, Name: said.Name})
				}
			}
			crowded = append(crowded, n)
		}
		v.Scene.Nodes = crowded
		for _, focus := range []string{"", "key.5", "key.erase"} {
			v.Focus = focus
			if !holds(layout.Lay(v, house.layout()), field.ID) {
				t.Errorf("%s: with the focus on %q the field isn't seen", name, focus)
			}
		}
	})
}

func holds(d layout.Drawing, id string) bool {
	for _, x := range d.Targets {
		if x.ID == id {
			return true
		}
	}
	return false
}

func TestPagesFollowTheFocus(t *testing.T) {
	many := 0
	views(func(name string, v scene.View) {
		d := layout.Lay(v, house.layout())
		if v.Scene.Kind == scene.Attract {
			return
		}
		if d.Pages < 1 || len(d.Firsts) != d.Pages && !(d.Pages == 1 && len(d.Firsts) == 0) {
			t.Errorf("%s: %d pages, %d firsts", name, d.Pages, len(d.Firsts))
		}
		if d.Pages > 1 {
			many++
		}
		for i, first := range d.Firsts {
			v.Focus = first
			got := layout.Lay(v, house.layout())
			if got.Page != i {
				t.Errorf("%s: focus on %s shows page %d, want %d", name, first, got.Page, i)
			}
			onlyThere(t, name, got, i)
		}
	})
	if many == 0 {
		t.Error("no scene of the journey has two pages")
	}
}

// onlyThere says that a page shows the turns that lead somewhere.
func onlyThere(t *testing.T, name string, d layout.Drawing, i int) {
	t.Helper()
	on := map[string]bool{}
	for _, x := range d.Targets {
		on[x.ID] = true
	}
	if on[scene.TurnNext] != (i < d.Pages-1) {
		t.Errorf("%s: page %d of %d: turn forward shown: %v", name, i, d.Pages, on[scene.TurnNext])
	}
	if on[scene.TurnBack] != (i > 0) {
		t.Errorf("%s: page %d of %d: turn back shown: %v", name, i, d.Pages, on[scene.TurnBack])
	}
}

// Every key is in reach of who sits: below two fifths of the panel.
func TestKeysAreInReach(t *testing.T) {
	letters := 0
	every(t, func(p *page) error {
		for _, x := range p.Targets {
			if x.Role == scene.Key && x.Rect.Y < 0.4*p.panel.H {
				return fmt.Errorf("%s is at %.0f %% of the height", x.ID, 100*x.Rect.Y/p.panel.H)
			}
			if x.ID == "key.Z" {
				letters++
			}
		}
		return nil
	})
	if letters == 0 {
		t.Error("no scene has letters")
	}
}

// "Your receipt is in this code" stands on the page of the code.
func TestTheCodeIsOnThePageThatTellsOfIt(t *testing.T) {
	seen := 0
	every(t, func(p *page) error {
		n, code := p.view.Scene.Find("paper"), p.view.Scene.Find("code")
		if n == nil || code == nil || n.Tone != scene.Bad {
			return nil
		}
		on := func(id string) bool {
			return slices.ContainsFunc(p.Targets, func(t layout.Target) bool { return t.ID == id })
		}
		if on("paper") && !on("code") {
			return errors.New("the code is on another page")
		}
		seen++
		return nil
	})
	if seen == 0 {
		t.Error("no scene has such a code")
	}
}

// Who can't see is told where the code to scan is: at the left, halfway down.
func TestTheCodeIsWhereTheVoiceSays(t *testing.T) {
	seen := 0
	every(t, func(p *page) error {
		if !strings.HasPrefix(p.name, "approve") {
			return nil
		}
		for _, e := range p.Elements {
			if len(e.Data) == 0 {
				continue
			}
			seen++
			middle := (e.Rect.Y + e.Rect.H/2) / p.panel.H
			if e.Rect.X+e.Rect.W > p.panel.W/2 || middle < 1./3 || middle > 2./3 {
				return fmt.Errorf("the code is at %v", e.Rect)
			}
		}
		return nil
	})
	if seen == 0 {
		t.Error("no scene has such a code")
	}
}

// TestNoLineEndsWithOneLetter: a Russian preposition stands with its word.
func TestNoLineEndsWithOneLetter(t *testing.T) {
	every(t, func(p *page) error {
		if p.view.Scene.Lang != text.Ru {
			return nil
		}
		for _, e := range words(p.Drawing) {
			for _, end := range []string{" с", " в", " к", " о", " у", " и"} {
				if strings.HasSuffix(e.Text, end) && e.Text != "Работает с" { // a label as it is
					return fmt.Errorf("%q ends with one letter", e.Text)
				}
			}
		}
		return nil
	})
}

// TestAServiceAndItsAgencyStandInLinesOfTheirOwn where one line can't hold both.
func TestAServiceAndItsAgencyStandInLinesOfTheirOwn(t *testing.T) {
	seen := 0
	every(t, func(p *page) error {
		n := p.view.Scene.Role(scene.Eyebrow)
		if n == nil || p.view.TextSize != scene.TextNormal || p.view.Contrast != scene.ContrastDefault || p.Page > 0 {
			return nil
		}
		service, agency, _ := strings.Cut(n.Name.String(), " · ")
		for _, e := range words(p.Drawing) {
			switch e.Text {
			case service, agency:
				seen++
			case n.Name.String():
			default:
				if strings.Contains(e.Text, " · ") {
					return fmt.Errorf("%q has a part of both", e.Text)
				}
			}
		}
		return nil
	})
	if seen < 10 {
		t.Errorf("seen %d times only", seen)
	}
}

// TestARowIsNotLeftAlone: what closer rows bring on one page isn't torn apart.
func TestARowIsNotLeftAlone(t *testing.T) {
	views(func(name string, v scene.View) {
		if v.Scene.ID == "result" && v.TextSize == scene.TextNormal && v.Contrast == scene.ContrastDefault && v.Scene.Role(scene.Code) == nil {
			if all := pages(name, v, house); len(all) > 1 {
				t.Errorf("%s: %d pages", name, len(all))
			}
		}
	})
}
