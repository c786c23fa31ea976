// Package wav reads and writes the one kind of WAV file that the kiosk knows:
// signed 16-bit samples, one channel, uncompressed (RIFF/WAVE, format 1).
//
// A synthesiser that writes to a pipe cannot know the length when it writes the
// header: espeak-ng claims 2 GiB. Decode therefore believes the data and not
// the length, and never takes more than it is allowed to.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"kosk/drivers/speech"
)

// HeaderSize is the length in bytes of the header that Header makes.
const HeaderSize = 44

// Errors of Decode.
var (
	ErrFormat = errors.New("not a 16-bit mono WAV")
	ErrLong   = errors.New("too many samples")
)

// Sample rates outside these bounds are refused: no voice or sound card uses them.
const (
	minRate = 4000
	maxRate = 192000
)

const (
	formatPCM   = 1  // WAVE_FORMAT_PCM
	formatBytes = 16 // of the fmt chunk of PCM
	maxChunk    = 64 << 10
)

// Header returns the header of a file with that many samples at rate a second.
func Header(rate, samples int) [HeaderSize]byte {
	var h [HeaderSize]byte
	size := uint32(2 * samples)
	copy(h[0:], "RIFF")
	binary.LittleEndian.PutUint32(h[4:], HeaderSize-8+size)
	copy(h[8:], "WAVEfmt ")
	binary.LittleEndian.PutUint32(h[16:], formatBytes)
	binary.LittleEndian.PutUint16(h[20:], formatPCM)
	binary.LittleEndian.PutUint16(h[22:], 1) // channels
	binary.LittleEndian.PutUint32(h[24:], uint32(rate))
	binary.LittleEndian.PutUint32(h[28:], uint32(2*rate)) // bytes a second
	binary.LittleEndian.PutUint16(h[32:], 2)              // bytes a frame
	binary.LittleEndian.PutUint16(h[34:], 16)             // bits a sample
	copy(h[36:], "data")
	binary.LittleEndian.PutUint32(h[40:], size)
	return h
}

// Append appends samples to b as they stand in a file: little endian.
func Append(b []byte, samples []int16) []byte {
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

// Decode reads a WAV of at most max samples. A data chunk shorter than its
// header claims ends where the bytes end; a longer stream is ErrLong.
func Decode(r io.Reader, max int) (speech.Clip, error) {
	var riff [12]byte
	if _, err := io.ReadFull(r, riff[:]); err != nil {
		return speech.Clip{}, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if string(riff[:4]) != "RIFF" || string(riff[8:]) != "WAVE" {
		return speech.Clip{}, fmt.Errorf("%w: no RIFF WAVE header", ErrFormat)
	}
	rate := 0
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return speech.Clip{}, fmt.Errorf("%w: no data chunk: %w", ErrFormat, err)
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		switch string(head[:4]) {
		case "data":
			if rate == 0 {
				return speech.Clip{}, fmt.Errorf("%w: data before format", ErrFormat)
			}
			samples, err := decodeData(r, size, max)
			return speech.Clip{Rate: rate, Samples: samples}, err
		case "fmt ":
			var err error
			if rate, err = decodeFormat(r, size); err != nil {
				return speech.Clip{}, err
			}
		default:
			if err := skip(r, size); err != nil {
				return speech.Clip{}, err
			}
		}
	}
}

func decodeFormat(r io.Reader, size int64) (rate int, err error) {
	if size < formatBytes || size > maxChunk {
		return 0, fmt.Errorf("%w: format chunk of %d bytes", ErrFormat, size)
	}
	b := make([]byte, size+size%2) // chunks are padded to even lengths
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, fmt.Errorf("%w: format chunk: %w", ErrFormat, err)
	}
	kind := binary.LittleEndian.Uint16(b[0:])
	channels := binary.LittleEndian.Uint16(b[2:])
	bits := binary.LittleEndian.Uint16(b[14:])
	hz := binary.LittleEndian.Uint32(b[4:])
	if kind != formatPCM || channels != 1 || bits != 16 {
		return 0, fmt.Errorf("%w: format %d, %d channels, %d bits", ErrFormat, kind, channels, bits)
	}
	if hz < minRate || hz > maxRate {
		return 0, fmt.Errorf("%w: %d samples a second", ErrFormat, hz)
	}
	return int(hz), nil
}

func skip(r io.Reader, size int64) error {
	if size > maxChunk {
		return fmt.Errorf("%w: chunk of %d bytes", ErrFormat, size)
	}
	if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
		return fmt.Errorf("%w: chunk: %w", ErrFormat, err)
	}
	return nil
}

// decodeData reads until the chunk or the stream ends; half a sample at the end
// is left out.
func decodeData(r io.Reader, size int64, max int) ([]int16, error) {
	b, err := io.ReadAll(io.LimitReader(r, min(size, 2*int64(max)+1)))
	if err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	if len(b) > 2*max {
		return nil, ErrLong
	}
	samples := make([]int16, len(b)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return samples, nil
}
