package kit

import (
	"fmt"
	"image/color"
	"regexp"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
)

// Icons are strokes on a grid of 24, drawn for this house. C is the colour, A
// the second one (brass, only in the mark).
var icons = map[string]string{
	"chevron-right": `<path d="M9 4 L17 12 L9 20" fill="none" stroke="C" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"chevron-left":  `<path d="M15 4 L7 12 L15 20" fill="none" stroke="C" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"cross":         `<path d="M5 5 L19 19 M19 5 L5 19" fill="none" stroke="C" stroke-width="2.2" stroke-linecap="round"/>`,
	"check":         `<path d="M4 13 L10 19 L20 6" fill="none" stroke="C" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/>`,
	"alert":         `<path d="M12 3 L22.5 21 L1.5 21 Z" fill="none" stroke="C" stroke-width="2" stroke-linejoin="round"/><path d="M12 9.5 L12 14.5" fill="none" stroke="C" stroke-width="2.2" stroke-linecap="round"/><circle cx="12" cy="17.6" r="1.3" fill="C"/>`,
	"voice":         `<path d="M4 14 L4 12 A8 8 0 0 1 20 12 L20 14" fill="none" stroke="C" stroke-width="1.9"/><rect x="3" y="13.5" width="4.2" height="7" rx="1.6" ry="1.6" fill="none" stroke="C" stroke-width="1.9"/><rect x="16.8" y="13.5" width="4.2" height="7" rx="1.6" ry="1.6" fill="none" stroke="C" stroke-width="1.9"/>`,
	"text":          `<path d="M1.5 19 L8 4 L14.5 19 M4 13.5 L12 13.5" fill="none" stroke="C" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/><path d="M14.8 19 L18.6 10 L22.4 19 M16.2 16 L21 16" fill="none" stroke="C" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round"/>`,
	"contrast":      `<circle cx="12" cy="12" r="9" fill="none" stroke="C" stroke-width="2"/><path d="M12 3 A9 9 0 0 1 12 21 Z" fill="C"/>`,
	"help":          `<circle cx="12" cy="12" r="9.3" fill="none" stroke="C" stroke-width="1.9"/><path d="M9 9.6 A3.1 3.1 0 1 1 12 13 L12 14.4" fill="none" stroke="C" stroke-width="2" stroke-linecap="round"/><circle cx="12" cy="17.6" r="1.25" fill="C"/>`,
	"language":      `<circle cx="12" cy="12" r="9.3" fill="none" stroke="C" stroke-width="1.9"/><path d="M2.7 12 L21.3 12" fill="none" stroke="C" stroke-width="1.7"/><path d="M12 2.7 C7 7 7 17 12 21.3 C17 17 17 7 12 2.7 Z" fill="none" stroke="C" stroke-width="1.7"/>`,
	"card":          `<rect x="2" y="4.5" width="20" height="15" rx="2.4" ry="2.4" fill="none" stroke="C" stroke-width="1.8"/><rect x="5" y="8.4" width="5" height="4.2" rx="0.9" ry="0.9" fill="none" stroke="C" stroke-width="1.6"/><path d="M13 9 L19 9 M13 12 L19 12 M5 16 L19 16" fill="none" stroke="C" stroke-width="1.6" stroke-linecap="round"/>`,
	"no-card":       `<rect x="3" y="4" width="18" height="16" rx="2.4" ry="2.4" fill="none" stroke="C" stroke-width="1.8"/><path d="M3 9 L21 9" fill="none" stroke="C" stroke-width="1.8"/><path d="M6.5 15.5 L12 15.5" fill="none" stroke="C" stroke-width="2" stroke-linecap="round"/>`,
	"pencil":        `<path d="M4 20 L5 15.5 L16 4.5 L19.5 8 L8.5 19 Z" fill="none" stroke="C" stroke-width="1.8" stroke-linejoin="round"/>`,
	"lock":          `<rect x="4" y="10.5" width="16" height="11" rx="2.2" ry="2.2" fill="none" stroke="C" stroke-width="1.9"/><path d="M7.8 10.5 L7.8 7.2 A4.2 4.2 0 0 1 16.2 7.2 L16.2 10.5" fill="none" stroke="C" stroke-width="1.9"/>`,
	"erase":         `<path d="M8 5 L21 5 L21 19 L8 19 L2 12 Z" fill="none" stroke="C" stroke-width="1.8" stroke-linejoin="round"/><path d="M11 9 L17 15 M17 9 L11 15" fill="none" stroke="C" stroke-width="1.8" stroke-linecap="round"/>`,
	"printer":       `<path d="M6 9 L6 3 L18 3 L18 9" fill="none" stroke="C" stroke-width="1.8" stroke-linejoin="round"/><rect x="2.5" y="9" width="19" height="8.5" rx="1.8" ry="1.8" fill="none" stroke="C" stroke-width="1.8"/><rect x="6" y="14" width="12" height="7.5" fill="none" stroke="C" stroke-width="1.8"/>`,
	"clock":         `<circle cx="12" cy="12" r="9.3" fill="none" stroke="C" stroke-width="1.9"/><path d="M12 6.5 L12 12 L16 14.5" fill="none" stroke="C" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round"/>`,
	"phone":         `<path d="M6.5 2.5 L10 3.5 L11 8.5 L8.5 10.5 C9.5 13 11 14.5 13.5 15.5 L15.5 13 L20.5 14 L21.5 17.5 C20 21.5 17 22 14 21 C8 19 5 16 3 10 C2 7 2.5 4 6.5 2.5 Z" fill="none" stroke="C" stroke-width="1.8" stroke-linejoin="round"/>`,
	"device":        `<rect x="6" y="2" width="12" height="20" rx="2.4" ry="2.4" fill="none" stroke="C" stroke-width="1.8"/><path d="M10.5 18.6 L13.5 18.6" fill="none" stroke="C" stroke-width="1.8" stroke-linecap="round"/>`,
	"certificate":   `<path d="M5 2.5 L15 2.5 L19 6.5 L19 21.5 L5 21.5 Z" fill="none" stroke="C" stroke-width="1.8" stroke-linejoin="round"/><path d="M8.5 9 L15.5 9 M8.5 13 L15.5 13 M8.5 17 L12 17" fill="none" stroke="C" stroke-width="1.7" stroke-linecap="round"/>`,
	"arrow-down":    `<path d="M12 2 L12 21.4 M4.6 14 L12 21.6 L19.4 14" fill="none" stroke="C" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"arrow-up":      `<path d="M12 22 L12 2.6 M4.6 10 L12 2.4 L19.4 10" fill="none" stroke="C" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"digits":        `<circle cx="5" cy="3.2" r="1.9" fill="C"/><circle cx="12" cy="3.2" r="1.9" fill="C"/><circle cx="19" cy="3.2" r="1.9" fill="C"/><circle cx="5" cy="9.1" r="1.9" fill="C"/><circle cx="12" cy="9.1" r="1.9" fill="C"/><circle cx="19" cy="9.1" r="1.9" fill="C"/><circle cx="5" cy="15" r="1.9" fill="C"/><circle cx="12" cy="15" r="1.9" fill="C"/><circle cx="19" cy="15" r="1.9" fill="C"/><circle cx="12" cy="20.9" r="1.9" fill="C"/>`,
	"letters":       `<path d="M1.5 19 L7 4 L12.5 19 M3.4 14 L10.6 14" fill="none" stroke="C" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/><path d="M16 4 L16 19 L19 19 A3.9 3.9 0 0 0 19 11.2 L16 11.2 M19 11.2 A3.6 3.6 0 0 0 19 4 L16 4" fill="none" stroke="C" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"mark":          star("C"),
	"wait":          star("C"),
}

// star is the mark: two squares, one turned, with the brass eye.
func star(c string) string {
	return `<rect x="5" y="5" width="14" height="14" fill="none" stroke="` + c + `" stroke-width="1.5"/>` +
		`<path d="M12 2 L22 12 L12 22 L2 12 Z" fill="none" stroke="` + c + `" stroke-width="1.5"/>` +
		`<circle cx="12" cy="12" r="2.7" fill="A"/>`
}

func css(c color.NRGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }

// widths finds the widths of strokes. Fyne's SVG painter doesn't scale them with
// the picture, so picture does.
var widths = regexp.MustCompile(`stroke-width="([0-9.]+)"`)

// picture is an icon for a place of w by h pixels. Its name holds all that it
// was made of, since Fyne caches by name.
func picture(name string, w, h float32, c, second color.NRGBA) fyne.Resource {
	body, scale := icons[name], min(w, h)/24
	if body == "" {
		panic("kit: no icon " + name)
	}
	body = strings.NewReplacer(`"C"`, `"`+css(c)+`"`, `"A"`, `"`+css(second)+`"`).Replace(body)
	body = widths.ReplaceAllStringFunc(body, func(s string) string {
		v, _ := strconv.ParseFloat(widths.FindStringSubmatch(s)[1], 32)
		return fmt.Sprintf(`stroke-width="%.2f"`, v*float64(scale))
	})
	svg := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">` + body + `</svg>`
	return fyne.NewStaticResource(fmt.Sprintf("%s-%s-%s-%.0f.svg", name, css(c), css(second), scale*24), []byte(svg))
}
