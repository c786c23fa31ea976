package layout_test

import (
	"testing"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/ui/layout"
)

// BenchmarkLay is what a touch costs before anything is painted.
func BenchmarkLay(b *testing.B) {
	for _, s := range journeys[text.Ru][scene.TextNormal] {
		if s.ID != "review" && s.ID != "home" && s.ID != "can" {
			continue
		}
		b.Run(s.ID, func(b *testing.B) {
			for b.Loop() {
				layout.Lay(scene.View{Scene: s, TextSize: scene.TextLargest}, house.layout())
			}
		})
	}
}
