package cardtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"kosk/drivers/card"
)

// A transcript is text: "> " and a command in hex, "< " and its answer; "! " and
// "removed" for a card that left; "#" and empty lines are passed over.

// A Player is a card that wants the commands of a transcript, in its order, and
// gives its answers.
type Player struct {
	t     *testing.T
	lines []string
}

// Play opens a transcript. When the test ends, all of it must have been used.
func Play(t *testing.T, path string) *Player {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &Player{t: t}
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" && line[0] != '#' {
			p.lines = append(p.lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if len(p.lines) > 0 {
			t.Errorf("%d lines of %s were not used; next: %s", len(p.lines), path, p.lines[0])
		}
	})
	return p
}

// ATR implements card.Card.
func (p *Player) ATR() []byte { return []byte{0x3B, 0x00} }

// Close implements card.Card.
func (p *Player) Close() error { return nil }

// Transmit implements card.Card.
func (p *Player) Transmit(_ context.Context, command []byte) ([]byte, error) {
	p.t.Helper()
	want, ok := p.next("> ")
	if got := hex.EncodeToString(command); !ok || got != want {
		p.t.Errorf("command = %s, want %s", got, want)
		return nil, fmt.Errorf("%w: not in the transcript", card.ErrProtocol)
	}
	if _, gone := p.next("! "); gone {
		return nil, card.ErrRemoved
	}
	answer, ok := p.next("< ")
	if !ok {
		p.t.Error("no answer in the transcript")
		return nil, card.ErrProtocol
	}
	b, err := hex.DecodeString(answer)
	if err != nil {
		p.t.Fatal(err)
	}
	return b, nil
}

func (p *Player) next(kind string) (string, bool) {
	if len(p.lines) == 0 || !strings.HasPrefix(p.lines[0], kind) {
		return "", false
	}
	line := p.lines[0]
	p.lines = p.lines[1:]
	return strings.TrimSpace(line[len(kind):]), true
}

// Record wraps a card and writes the transcript of what is said to it. It is for
// test persons only: a transcript holds all that was read.
func Record(c card.Card, w io.Writer) card.Card { return &recorder{c, w} }

type recorder struct {
	card.Card
	w io.Writer
}

func (r *recorder) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := r.Card.Transmit(ctx, command)
	if err != nil {
		fmt.Fprintf(r.w, "> %x\n! removed\n", command)
		return nil, err
	}
	fmt.Fprintf(r.w, "> %x\n< %x\n", command, answer)
	return answer, nil
}
