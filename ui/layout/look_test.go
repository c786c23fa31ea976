package layout_test

import (
	"fmt"
	"image/color"
	"math"
	"strings"
	"testing"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/ui/layout"
	"kosk/ui/theme"
)

// luminance is relative luminance (WCAG 2.2).
func luminance(c color.NRGBA) float64 {
	channel := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(c.R) + 0.7152*channel(c.G) + 0.0722*channel(c.B)
}

func ratio(a, b color.NRGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestRatio(t *testing.T) {
	black, white := color.NRGBA{A: 255}, color.NRGBA{255, 255, 255, 255}
	if got := ratio(black, white); math.Abs(got-21) > 0.01 {
		t.Errorf("black on white is %.2f, want 21", got)
	}
	if got := ratio(white, color.NRGBA{0x76, 0x76, 0x76, 255}); math.Abs(got-4.54) > 0.01 {
		t.Errorf("#767676 on white is %.2f, want 4.54", got)
	}
}

// TestTheRingCoversNoWords: WCAG 2.4.11. Wherever the focus rests, its two rings lie
// on no letter; of a line, the letters reach from the dots above the capitals to the
// descenders.
func TestTheRingCoversNoWords(t *testing.T) {
	seen := map[scene.Role]bool{}
	every(t, func(p *page) error {
		if p.view.Contrast != scene.ContrastDefault { // places are the same in all
			return nil
		}
		for _, target := range p.Targets {
			n := p.view.Scene.Find(target.ID)
			if n == nil || n.Role == scene.Tool || n.Role == scene.Key || !n.Focusable(true) {
				continue
			}
			v := p.view
			v.Ring, v.Focus = true, target.ID
			d := layout.Lay(v, p.panel)
			rings := d.Elements[len(d.Elements)-2:]
			if d.Page != p.Page || rings[0].Stroke == (color.NRGBA{}) {
				continue
			}
			seen[n.Role] = true
			in := rings[0].Rect.Grow(-rings[0].Width)
			for _, e := range words(d) {
				middle, up, down := e.Rect.Y+e.Rect.H/2, e.Px*(theme.CapHeight/2+0.2), e.Px*(theme.CapHeight/2+0.24)
				ink := layout.Rect{X: e.Rect.X, Y: middle - up, W: e.Rect.W, H: up + down}
				if ink.Grow(-0.5).Overlaps(rings[1].Rect) && !inside(ink, in.Grow(1)) {
					return fmt.Errorf("the ring of %s lies on %q", n.ID, e.Text)
				}
			}
		}
		return nil
	})
	for _, r := range []scene.Role{scene.Eyebrow, scene.Title, scene.Lead, scene.Field, scene.Choice, scene.Datum, scene.Next} {
		if !seen[r] {
			t.Errorf("no ring round a %v was seen", r)
		}
	}
}

// TestWordsStandOut: VVSG 2.0, 7.1-C and 7.1-D.
func TestWordsStandOut(t *testing.T) {
	least := [scene.Contrasts]float64{10, 20.9, 20.9}
	every(t, func(p *page) error {
		for _, e := range words(p.Drawing) {
			if r := ratio(e.Fill, e.On); r < least[p.view.Contrast] {
				return fmt.Errorf("%q: %v on %v is %.2f:1", e.Text, e.Fill, e.On, r)
			}
		}
		return nil
	})
}

// TestControlsStandOut: WCAG 1.4.11. What can be touched has a ground or a
// border that is seen; the two at the left of the bottom bar are told by words
// and icon alone, as links are.
func TestControlsStandOut(t *testing.T) {
	every(t, func(p *page) error {
		for _, x := range p.Targets {
			if !x.Touch && x.Role != scene.Field || x.Role == scene.Back || x.Role == scene.Leave || x.ID == scene.TurnBack {
				continue
			}
			if x.Pressed < 0 {
				return fmt.Errorf("%s has no box", x.ID)
			}
			box := p.Elements[x.Pressed]
			on := under(p.Drawing, x.Pressed)
			if ratio(box.Fill, on) < 3 && (box.Width < p.mm(0.3) || ratio(box.Stroke, on) < 3) {
				return fmt.Errorf("%s: %v, border %v, on %v", x.ID, box.Fill, box.Stroke, on)
			}
		}
		return nil
	})
}

// under is the colour round the box i: that of the last box below it which it
// lies on.
func under(d layout.Drawing, i int) color.NRGBA {
	r, c := d.Elements[i].Rect, d.Ground
	for _, b := range d.Elements[:i] {
		if b.Shape == layout.Box && b.Fill.A > 0 && b.Rect.Holds(r.X+1, r.Y+r.H/2) {
			c = b.Fill
		}
	}
	return c
}

// TestRingsStandOut: WCAG 2.4.13. The rings differ from each other, and one of
// them from whatever they lie on; both are at least a millimetre.
func TestRingsStandOut(t *testing.T) {
	for contrast := range scene.Contrast(scene.Contrasts) {
		pal := theme.PaletteOf(contrast)
		if r := ratio(pal.Focus, pal.FocusIn); r < 3 {
			t.Errorf("contrast %d: the rings differ by %.2f:1", contrast, r)
		}
		for name, on := range map[string]color.NRGBA{"paper": pal.Paper, "card": pal.Card, "deep": pal.Deep, "keys": pal.Keys, "accent": pal.Accent, "tint": pal.Tint, "bad": pal.Bad} {
			if r := max(ratio(pal.Focus, on), ratio(pal.FocusIn, on)); r < 3 {
				t.Errorf("contrast %d: on %s the ring is %.2f:1", contrast, name, r)
			}
		}
	}
	if theme.FocusInner < 1 || theme.FocusOuter < 1 {
		t.Error("a ring is under a millimetre")
	}
}

// TestWordsAreTall: 508, 402.4 at the default size; EN 301 549, 5.1.4 seen from
// 600 mm at the largest. Nothing is exempt.
func TestWordsAreTall(t *testing.T) {
	least := [scene.TextSizes]float32{3.5, 4.8, 6.2, 7.33}
	every(t, func(p *page) error {
		for _, e := range words(p.Drawing) {
			if mm := e.Px * theme.CapHeight / p.mm(1); mm < least[p.view.TextSize]-0.005 {
				return fmt.Errorf("%q is %.2f mm high", e.Text, mm)
			}
		}
		return nil
	})
}

// TestIconsGrow: VVSG 2.0, 7.1-H. An icon is never lower than the capitals
// beside it.
func TestIconsGrow(t *testing.T) {
	every(t, func(p *page) error {
		for i, e := range p.Elements {
			if e.Shape != layout.Icon || strings.HasPrefix(e.Name, "figure") {
				continue
			}
			for _, k := range []int{i - 1, i + 1} {
				if k >= len(p.Elements) || p.Elements[k].Shape != layout.Words || !sameRow(e.Rect, p.Elements[k].Rect) {
					continue
				}
				if w := p.Elements[k]; e.Rect.H < w.Px*theme.CapHeight {
					return fmt.Errorf("%s is %.0f px beside %q with %.0f", e.Name, e.Rect.H, w.Text, w.Px*theme.CapHeight)
				}
			}
		}
		return nil
	})
}

func sameRow(a, b layout.Rect) bool {
	mid := a.Y + a.H/2
	return mid > b.Y && mid < b.Bottom()
}

// TestNoWordIsBroken: on the house's panel every word stands on one line.
func TestNoWordIsBroken(t *testing.T) {
	every(t, func(p *page) error {
		known := map[string]bool{"Köşk": true}
		for i := range p.view.Scene.Nodes {
			n := &p.view.Scene.Nodes[i]
			for _, w := range strings.Fields(n.Name.String() + " " + n.Value.String() + " " + n.Hint.String() + " " + n.Does.String()) {
				known[w] = true
			}
		}
		for _, e := range words(p.Drawing) {
			for _, w := range strings.Fields(e.Text) {
				if !known[w] {
					return fmt.Errorf("%q is a piece of a word", w)
				}
			}
		}
		return nil
	})
}

// TestOtherPanels holds the rules of place against the other panels that a kiosk
// may have. Smaller ones (10.1 and 15.6 inch) don't hold the larger sizes of text
// with the keys, so device/config must not take them.
func TestOtherPanels(t *testing.T) {
	for _, on := range []panel{
		{"18.5-inch upright", 1080, 1920, 230},
		{"32-inch upright", 1080, 1920, 398},
		{"21.5-inch lying", 1920, 1080, 476},
	} {
		t.Run(on.name, func(t *testing.T) {
			breaches := 0
			views(func(name string, v scene.View) {
				if v.Contrast != scene.ContrastDefault || v.TextSize%2 == 0 || v.Scene.Lang == text.En { // its words are the shorter ones
					return
				}
				for _, p := range pages(name, v, on) {
					for _, rule := range []func(*page) error{leaves, overlaps, grounds, targets} {
						if err := rule(p); err != nil {
							breaches++
							if breaches < 12 {
								t.Errorf("%s: %v", p.name, err)
							}
						}
					}
				}
			})
			if breaches > 0 {
				t.Errorf("%d breaches", breaches)
			}
		})
	}
}
