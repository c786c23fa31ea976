package document

import (
	"image"
	"testing"
)

// coverage is the share of ink inside and outside the words.
func coverage(img *image.Paletted, mask *image.Alpha) (words, ground float64) {
	var ink, all [2]int
	for y := range img.Rect.Max.Y {
		for x := range img.Rect.Max.X {
			i := 0
			if mask.AlphaAt(x/coarse*coarse+coarse/2, y/coarse*coarse+coarse/2).A > 127 {
				i = 1
			}
			all[i]++
			ink[i] += int(img.Pix[y*img.Stride+x])
		}
	}
	return float64(ink[1]) / float64(all[1]), float64(ink[0]) / float64(all[0])
}

// copied is what a copier makes of a page: it sees it at 300 dpi and blackens
// what is at least half dark.
func copied(img *image.Paletted) *image.Paletted {
	out := image.NewPaletted(img.Rect, img.Palette)
	for y := 0; y+2 <= img.Rect.Max.Y; y += 2 {
		for x := 0; x+2 <= img.Rect.Max.X; x += 2 {
			at := y*img.Stride + x
			if img.Pix[at]+img.Pix[at+1]+img.Pix[at+img.Stride]+img.Pix[at+img.Stride+1] < 2 {
				continue
			}
			for _, i := range []int{at, at + 1, at + img.Stride, at + img.Stride + 1} {
				out.Pix[i] = 1
			}
		}
	}
	return out
}

func TestWordsShowOnACopyAlone(t *testing.T) {
	img := Pattern(120, 60)
	mask := patternMask(img.Rect)
	words, ground := coverage(img, mask)
	if words < 0.055 || words > 0.07 || ground < 0.055 || ground > 0.07 || max(words, ground)/min(words, ground) > 1.03 {
		t.Errorf("on paper the words are %.4f dark, the ground %.4f", words, ground)
	}
	wordsCopied, groundCopied := coverage(copied(img), mask)
	if wordsCopied < 0.05 || groundCopied > 0.001 {
		t.Errorf("on a copy the words are %.4f dark, the ground %.4f", wordsCopied, groundCopied)
	}
	t.Logf("paper %.4f and %.4f, copy %.4f and %.4f", words, ground, wordsCopied, groundCopied)
}
