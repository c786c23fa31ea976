//go:build !race

package escpos

// raceDetector says that time means nothing.
const raceDetector = false
