package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Pixels of panels are between these: 0.1 mm is a telephone's, 0.7 mm that of a
// television of 60 inches.
const (
	leastPitch = 0.1 // mm
	mostPitch  = 0.7
	// tolerance of a panel's own word: its maker may round to centimetres.
	tolerance = 0.04
)

// panel compares the width, from which all sizes on the screen come, with what
// the panel says of itself, or else with what panels are like.
func (c *checker) panel(context.Context) row {
	p := c.cfg.Panel
	const measure = "measure the lit area with a rule and set panel.width_mm"
	pitch := p.WidthMM / float64(p.Width)
	if pitch < leastPitch || pitch > mostPitch {
		return failed(fmt.Sprintf("%g mm for %d pixels is %.2f mm a pixel: no panel is so", p.WidthMM, p.Width, pitch), measure)
	}
	seen := fmt.Sprintf("%g mm wide, %d x %d pixels of %.2f mm", p.WidthMM, p.Width, p.Height, pitch)
	sizes := panels(c.sys)
	if len(sizes) == 0 {
		return good(seen+"; no panel that says its own size").with("pitch_mm", pitch)
	}
	for _, s := range sizes {
		if near(p.WidthMM, s.width) || near(p.WidthMM, s.height) { // it may stand upright
			return good(fmt.Sprintf("%s; the panel says %d x %d mm", seen, s.width, s.height)).with("pitch_mm", pitch)
		}
	}
	return warned(fmt.Sprintf("%s; but the panel says %d x %d mm", seen, sizes[0].width, sizes[0].height), measure).with("pitch_mm", pitch)
}

func near(mm float64, said int) bool { return math.Abs(mm-float64(said)) <= tolerance*float64(said) }

// A size is that of a picture in millimetres.
type size struct{ width, height int }

// panels are the sizes that connected panels say of themselves.
func panels(sys string) (sizes []size) {
	found, err := filepath.Glob(filepath.Join(sys, "class/drm/card*-*/edid"))
	if err != nil {
		return nil // only for a bad pattern
	}
	for _, path := range found {
		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if err != nil || strings.TrimSpace(string(status)) != "connected" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if s, ok := sizeOf(b); ok {
			sizes = append(sizes, s)
		}
	}
	return sizes
}

// The layout of the base block. Source: VESA E-EDID release A, revision 2.
const (
	edidHeader = "\x00\xff\xff\xff\xff\xff\xff\x00" // 3.3
	edidLength = 128
	edidTiming = 54 // the preferred timing's descriptor, 3.10.2
)

// sizeOf reads the size of the picture in the preferred timing.
func sizeOf(edid []byte) (s size, ok bool) {
	if len(edid) < edidLength || string(edid[:len(edidHeader)]) != edidHeader {
		return s, false
	}
	sum := byte(0)
	for _, b := range edid[:edidLength] {
		sum += b
	}
	t := edid[edidTiming:]
	if sum != 0 || binary.LittleEndian.Uint16(t) == 0 { // no pixel clock: another descriptor
		return s, false
	}
	s = size{width: int(t[12]) | int(t[14]>>4)<<8, height: int(t[13]) | int(t[14]&0x0F)<<8}
	return s, s.width > 0 && s.height > 0
}
