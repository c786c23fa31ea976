package voice

import (
	"encoding/json"
	"io"
	"log/slog"
	"time"
	"unicode/utf8"

	"kosk/device/text"
)

// The states of an utterance in the speech log.
const (
	isQueued      = "queued"
	isStarted     = "started"
	isInterrupted = "interrupted"
	isFinished    = "finished"
	isFailed      = "failed" // no voice, or no sound device
)

// The routes.
const (
	onSpeaker    = "speaker"
	onHeadphones = "headphones"
)

// An Entry is one line of the speech log: one state of one utterance. Text
// stands only in public ones; private ones have the length of theirs. What names
// or repeats a typed character has no text, no length and no node, since each of
// them would tell the character. A tone has the name of the tone and no text.
type Entry struct {
	T       time.Time `json:"t"`
	ID      int       `json:"id"` // of the utterance, from 1
	Class   string    `json:"class"`
	Scene   string    `json:"scene,omitempty"`
	Node    string    `json:"node,omitempty"`
	Text    string    `json:"text,omitempty"`
	Length  int       `json:"length,omitempty"` // in characters
	Tone    string    `json:"tone,omitempty"`
	Lang    text.Lang `json:"lang,omitempty"`
	Private bool      `json:"private"`
	// Withheld: the words are private and there are no headphones; Text is what
	// is said instead.
	Withheld bool   `json:"withheld,omitempty"`
	Route    string `json:"route"`
	State    string `json:"state"`
}

// A journal writes the speech log.
type journal struct {
	w      io.Writer
	log    *slog.Logger
	broken bool
}

func (j *journal) write(u *utterance, state, route string) {
	e := Entry{
		T: time.Now().UTC(), ID: u.id, Class: u.class.String(), Scene: u.scene, Node: u.node, Tone: u.tone.name,
		Lang: u.part.Lang, Private: u.private, Withheld: u.withheld, Route: route, State: state,
	}
	switch {
	case u.typed && !u.withheld:
		e.Node = ""
	case u.private:
		e.Length = utf8.RuneCountInString(u.part.Text)
	default:
		e.Text = u.part.Text
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = j.w.Write(append(b, '\n'))
	}
	if err != nil && !j.broken {
		j.log.Error("speech log not written", "error", err)
	}
	j.broken = err != nil
}
