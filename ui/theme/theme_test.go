package theme

import (
	"testing"

	"kosk/device/scene"
)

// TestFourSizes: VVSG 2.0, 7.1-G gives four ranges of capital heights.
func TestFourSizes(t *testing.T) {
	for size, want := range []struct{ is, from, to MM }{{3.9, 3.5, 4.2}, {5.2, 4.8, 5.6}, {6.8, 6.4, 7.1}, {8.8, 8.5, 9}} {
		got := FaceOf(Body, scene.TextSize(size)).Cap
		if got < want.is-0.01 || got > want.is+0.01 || got < want.from || got > want.to {
			t.Errorf("size %d: capitals of %.2f mm, want %.1f", size, got, want.is)
		}
	}
}

// TestNoStyleIsSmall: 508, 402.4 at the default; EN 301 549, 5.1.4 at the
// largest, seen from 600 mm. Each step up makes no use of text smaller.
func TestNoStyleIsSmall(t *testing.T) {
	for style := Title; style <= Key; style++ {
		if c := FaceOf(style, scene.TextNormal).Cap; c < 4.8 {
			t.Errorf("style %d: %.2f mm at the default size", style, c)
		}
		if c := FaceOf(style, scene.TextLargest).Cap; c < 7.33 {
			t.Errorf("style %d: %.2f mm at the largest size", style, c)
		}
		for size := scene.TextNormal; size <= scene.TextLargest; size++ {
			if FaceOf(style, size).Cap < FaceOf(style, size-1).Cap {
				t.Errorf("style %d shrinks at size %d", style, size)
			}
		}
	}
}

// TestMeasures: VVSG 2.0, 7.2-I.
func TestMeasures(t *testing.T) {
	if TargetMin != 12.7 || TargetGap != 2.54 || PrimaryHigh < 20 {
		t.Errorf("targets of %v, %v apart, the primary %v high", TargetMin, TargetGap, PrimaryHigh)
	}
}
