// Command picture sets a screen of the kiosk beside a printed slip, for the
// README: `go run ./build/picture SCREEN.png SLIP.png OUT.png`.
package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"

	scale "golang.org/x/image/draw"
)

// The picture's measures in pixels.
const (
	height = 880
	margin = 40
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: picture SCREEN.png SLIP.png OUT.png")
	}
	screen, err := load(args[0])
	if err != nil {
		return err
	}
	slip, err := load(args[1])
	if err != nil {
		return err
	}
	w1, w2 := width(screen), width(slip)
	sheet := image.NewRGBA(image.Rect(0, 0, w1+w2+3*margin, height+2*margin))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.RGBA{0xD9, 0xD5, 0xC9, 0xFF}), image.Point{}, draw.Src)
	set(sheet, screen, margin, w1)
	set(sheet, slip, w1+2*margin, w2)
	f, err := os.Create(args[2])
	if err != nil {
		return err
	}
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(f, sheet); err != nil {
		return err
	}
	return f.Close()
}

func load(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return img, nil
}

// width is how wide the picture is at the sheet's height.
func width(img image.Image) int { return img.Bounds().Dx() * height / img.Bounds().Dy() }

func set(sheet *image.RGBA, img image.Image, x, w int) {
	scale.CatmullRom.Scale(sheet, image.Rect(x, margin, x+w, margin+height), img, img.Bounds(), draw.Src, nil)
}
