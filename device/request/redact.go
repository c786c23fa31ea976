package request

import (
	"fmt"
	"io"
	"log/slog"
)

// The rule of this file: whatever way a value of a person's is printed, its
// type's name comes out. Format covers every verb of fmt, also those that
// would ignore String; MarshalJSON covers a log handler that finds the value
// inside another one. The envelope is written from types of its own (wire.go).

const (
	hiddenDraft    = "request"
	hiddenHolder   = "holder"
	hiddenConsent  = "consent"
	hiddenAnswers  = "answers"
	hiddenEvidence = "evidence"
	hiddenOutcome  = "outcome"
)

func hide(s fmt.State, word string) { _, _ = io.WriteString(s, word) }

// Format writes the word "request" for every verb.
func (Draft) Format(s fmt.State, _ rune) { hide(s, hiddenDraft) }

// String is the word "request".
func (Draft) String() string { return hiddenDraft }

// LogValue is the word "request".
func (Draft) LogValue() slog.Value { return slog.StringValue(hiddenDraft) }

// MarshalJSON is the word "request": only Seal writes a draft.
func (Draft) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenDraft + `"`), nil }

// Format writes the word "holder" for every verb.
func (Holder) Format(s fmt.State, _ rune) { hide(s, hiddenHolder) }

// String is the word "holder".
func (Holder) String() string { return hiddenHolder }

// LogValue is the word "holder".
func (Holder) LogValue() slog.Value { return slog.StringValue(hiddenHolder) }

// MarshalJSON is the word "holder".
func (Holder) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenHolder + `"`), nil }

// Format writes the word "consent" for every verb.
func (Consent) Format(s fmt.State, _ rune) { hide(s, hiddenConsent) }

// String is the word "consent".
func (Consent) String() string { return hiddenConsent }

// LogValue is the word "consent".
func (Consent) LogValue() slog.Value { return slog.StringValue(hiddenConsent) }

// MarshalJSON is the word "consent".
func (Consent) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenConsent + `"`), nil }

// Format writes the word "answers" for every verb.
func (Answers) Format(s fmt.State, _ rune) { hide(s, hiddenAnswers) }

// String is the word "answers".
func (Answers) String() string { return hiddenAnswers }

// LogValue is the word "answers".
func (Answers) LogValue() slog.Value { return slog.StringValue(hiddenAnswers) }

// MarshalJSON is the word "answers".
func (Answers) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenAnswers + `"`), nil }

// Format writes the word "evidence" for every verb.
func (Evidence) Format(s fmt.State, _ rune) { hide(s, hiddenEvidence) }

// String is the word "evidence".
func (Evidence) String() string { return hiddenEvidence }

// LogValue is the word "evidence".
func (Evidence) LogValue() slog.Value { return slog.StringValue(hiddenEvidence) }

// MarshalJSON is the word "evidence".
func (Evidence) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenEvidence + `"`), nil }

// Format writes the word "outcome" for every verb.
func (Outcome) Format(s fmt.State, _ rune) { hide(s, hiddenOutcome) }

// String is the word "outcome".
func (Outcome) String() string { return hiddenOutcome }

// LogValue is the word "outcome". A handler that reaches an outcome inside
// another value would write its JSON: outcomes travel as JSON.
func (Outcome) LogValue() slog.Value { return slog.StringValue(hiddenOutcome) }
