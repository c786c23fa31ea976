package voice

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/drivers/sound"
	"kosk/drivers/speech"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// silence is a synthesiser of 80 ms a letter.
type silence struct{}

func (silence) Synthesise(ctx context.Context, u speech.Utterance) (speech.Clip, error) {
	n := 80 * utf8.RuneCountInString(u.Text) * 100 / u.Rate
	return speech.Clip{Rate: 1000, Samples: make([]int16, n)}, ctx.Err()
}

// A sink notes what was played, for how long, and that nothing sounds together.
type sink struct {
	mu      sync.Mutex
	playing bool
	played  []played
	fail    error
	t       *testing.T
}

type played struct {
	clip  speech.Clip
	start time.Time
	heard time.Duration
}

func (s *sink) Play(ctx context.Context, c speech.Clip) error {
	s.mu.Lock()
	if s.playing {
		s.t.Error("two clips at a time")
	}
	s.playing = true
	fail := s.fail
	s.mu.Unlock()
	start := time.Now()
	err := fail
	if err == nil {
		timer := time.NewTimer(c.Duration())
		defer timer.Stop()
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing = false
	s.played = append(s.played, played{c, start, time.Since(start)})
	return err
}

func (*sink) Close() error { return nil }

func (s *sink) last() played {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.played[len(s.played)-1]
}

// A house is a voice under test, in a bubble of synctest.
type house struct {
	*Voice
	t    *testing.T
	sink *sink
	mu   sync.Mutex
	log  bytes.Buffer
	warn bytes.Buffer
	read int
}

func (h *house) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(b)
}

// in runs a test in a bubble, with a voice that is off.
func in(t *testing.T, test func(h *house)) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, sink: &sink{t: t}}
		h.Voice = New(Options{Synth: silence{}, Sink: h.sink, Log: h, Logger: slog.New(slog.NewTextHandler(&h.warn, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := h.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("run: %v", err)
			}
		})
		test(h)
		cancel()
		wg.Wait()
	})
}

// on runs a test with a voice that is on, and quiet after its greeting.
func on(t *testing.T, test func(h *house)) {
	in(t, func(h *house) {
		h.Enable(true)
		h.quiet()
		h.entries()
		test(h)
	})
}

func (h *house) quiet() {
	h.t.Helper()
	if err := h.Quiet(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// after lets time pass.
func (h *house) after(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// entries returns the lines of the log since the last call.
func (h *house) entries() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Entry
	lines := bufio.NewScanner(bytes.NewReader(h.log.Bytes()[h.read:]))
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			h.t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		all = append(all, e)
	}
	h.read = h.log.Len()
	return all
}

// hidden is what texts gives for what names or repeats a typed character.
const hidden = ""

// said returns what was said to its end since the last call, without tones.
func (h *house) said() []string { return texts(h.entries(), isFinished) }

func texts(entries []Entry, state string) []string {
	var out []string
	for _, e := range entries {
		if e.State == state && e.Tone == "" {
			if e.Private {
				e.Text = fmt.Sprintf("<%d private>", e.Length)
			}
			out = append(out, e.Text)
		}
	}
	return out
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func words(s string) text.Words { return text.Say(text.En, text.Plain, s) }

// choosing is a scene with a little of everything.
func choosing() scene.Scene {
	s := scene.Scene{ID: "choosing", Kind: scene.Menu, Lang: text.En}
	s.Add(
		scene.Node{ID: "step", Role: scene.Step, Name: words("Step 2 of 4")},
		scene.Node{ID: "eyebrow", Role: scene.Eyebrow, Name: words("Certificates")},
		scene.Node{ID: "title", Role: scene.Title, Name: words("Which one?")},
		scene.Node{ID: "lead", Role: scene.Lead, Name: words("Choose one of these.")},
		scene.Node{ID: "a", Role: scene.Tile, Name: words("Employment"), Hint: words("Where you work."), Action: 1},
		scene.Node{ID: "b", Role: scene.Tile, Name: words("Pension"), Action: 1, Unavailable: true, Selected: true},
		scene.Node{ID: "fin", Role: scene.Datum, Name: words("Your number"), Value: text.Say(text.En, text.FIN, "5ARPXK2"), Private: true},
		scene.Node{ID: "line", Role: scene.Figure, Name: words("A line"), Decorative: true},
		scene.Node{ID: "next", Role: scene.Next, Name: words("Continue"), Action: 1},
	)
	return s
}

func TestASceneIsReadFromItsTitle(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.Add(scene.Node{ID: "note", Role: scene.Note, Tone: scene.Bad, Name: words("The line is down.")})
		s.MustHear = words("Take your card.")
		h.Scene(s, "a")
		h.quiet()
		want(t, "said", h.said(), "Take your card.", "Which one?", "Attention.", "The line is down.",
			"Certificates", "Choose one of these.", "Employment, choice", "Where you work.", "1 of 2")
	})
}

// The name of the service is said once on the way through its scenes.
func TestAServiceIsNamedOnce(t *testing.T) {
	on(t, func(h *house) {
		h.Scene(choosing(), "next")
		h.quiet()
		want(t, "the first scene", h.said(), "Which one?", "Certificates", "Choose one of these.", "Continue, button")
		next := choosing()
		next.ID = "next"
		h.Scene(next, "next")
		h.quiet()
		want(t, "the next one", h.said(), "Which one?", "Choose one of these.", "Continue, button")
		h.Command(scene.WhereAmI, next, "next")
		h.quiet()
		want(t, "where", h.said(), "You are here:", "Which one?", "Certificates", "Step 2 of 4", "Continue, button")
		next.ID = "cut"
		next.Role(scene.Eyebrow).Name = words("Pensions")
		h.Scene(next, "next")
		h.Focus(next, "next")
		h.quiet()
		want(t, "one that was cut", h.said(), "Continue, button")
		next.ID = "last"
		h.Scene(next, "next")
		h.quiet()
		want(t, "until it was heard", h.said(), "Which one?", "Pensions", "Choose one of these.", "Continue, button")
	})
}

// A title that must be heard is not said twice.
func TestWhatMustBeHeardIsSaidOnce(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.MustHear = s.Role(scene.Title).Name
		h.Scene(s, "next")
		h.quiet()
		want(t, "said", h.said(), "Which one?", "Certificates", "Choose one of these.", "Continue, button")
	})
}

func TestANodeSaysNameRoleStateValueAndHint(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.Add(
			scene.Node{ID: "can", Role: scene.Field, Name: words("Card number"), Hint: words("Six digits.")},
			scene.Node{ID: "typed", Role: scene.Field, Name: words("Code"), Value: text.Say(text.En, text.Masked, "•••")},
			scene.Node{ID: "key", Role: scene.Key, Name: words("R"), Action: 1},
			scene.Node{ID: "qr", Role: scene.Code, Name: words("Your receipt")},
		)
		for id, say := range map[string][]string{
			"b":     {"Pension, choice, selected, not available now", "2 of 2"},
			"next":  {"Continue, button"},
			"can":   {"Card number, input field", "empty", "Six digits."},
			"typed": {hidden, hidden},
			"qr":    {"Your receipt, Q R code"},
			"key":   {hidden},
			"line":  nil,
			"none":  nil,
		} {
			h.Focus(s, id)
			h.quiet()
			want(t, id, h.said(), say...)
		}
	})
}

func TestAnyKeyCutsSpeech(t *testing.T) {
	for name, key := range map[string]func(h *house, s scene.Scene){
		"focus":   func(h *house, s scene.Scene) { h.Focus(s, "next") },
		"a scene": func(h *house, s scene.Scene) { s.ID = "review"; h.Scene(s, "next") },
		"a rune":  func(h *house, s scene.Scene) { h.Echo('7', false) },
		"hush":    func(h *house, s scene.Scene) { h.Command(scene.Hush, s, "a") },
		"select":  func(h *house, s scene.Scene) { h.Command(scene.Select, s, "a") },
		"off":     func(h *house, s scene.Scene) { h.Enable(false) },
		"reset":   func(h *house, s scene.Scene) { h.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(h *house) {
				h.Scene(choosing(), "a")
				h.after(300 * time.Millisecond)
				cut := time.Now()
				key(h, choosing())
				synctest.Wait()
				e := h.entries()
				want(t, "interrupted while it sounded or waited", texts(e, isInterrupted),
					"Certificates", "Choose one of these.", "Employment, choice", "Where you work.", "1 of 2", "Which one?")
				if d := e[len(e)-1].T.Sub(cut); d > 0 {
					t.Errorf("interrupted %v after the key", d)
				}
			})
		})
	}
}

func TestWhatMustBeHeardIsHeard(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.MustHear = words("Take your card.")
		h.Scene(s, "a")
		h.after(300 * time.Millisecond)
		h.Focus(s, "b")
		h.Command(scene.Hush, s, "b")
		h.Echo('1', true)
		h.Command(scene.Pause, s, "b")
		next := choosing()
		next.ID, next.MustHear = "attract", words("Take your card.")
		h.Scene(next, "a")
		h.Headphones(true)
		h.Headphones(false)
		h.Reset()
		h.quiet()
		want(t, "said", h.said(), "Take your card.")
	})
}

// What asks for something stops when that is done, and what follows is said.
func TestWhatMustBeHeardEndsWhenItIsHeeded(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.MustHear = words("Take your card.")
		h.Scene(s, "a")
		h.after(300 * time.Millisecond)
		taken := time.Now()
		h.Heed()
		next := scene.Scene{ID: "parting", Kind: scene.Result, Lang: text.En}
		next.Add(scene.Node{ID: "title", Role: scene.Title, Name: words("Thank you")})
		h.Scene(next, "title")
		synctest.Wait()
		for _, e := range h.entries() {
			if e.Class == "must-hear" && (e.State == isFinished || e.State == isInterrupted && e.T.After(taken)) {
				t.Errorf("still asked %v after the card was taken: %s", e.T.Sub(taken), e.State)
			}
		}
		h.quiet()
		want(t, "said", h.said(), "Thank you")
	})
}

// What is heeded before it is said isn't said at all.
func TestWhatIsHeededInTheQueueIsNotSaid(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.MustHear = words("Take your card.")
		h.Scene(s, "a")
		h.Heed()
		h.Focus(s, "next")
		h.quiet()
		want(t, "said", h.said(), "Continue, button")
	})
}

func TestPrivateWordsAreForHeadphones(t *testing.T) {
	on(t, func(h *house) {
		h.Focus(choosing(), "fin")
		h.quiet()
		want(t, "on the loudspeaker", h.said(), "Plug in headphones to hear this.")
		h.Headphones(true)
		h.quiet()
		want(t, "on headphones", h.said(), "Headphones connected.", "<11 private>", "<34 private>")
		if all := h.log.String(); strings.Contains(all, "eigh, are") || strings.Contains(all, "5ARPXK2") {
			t.Errorf("the log has the number:\n%s", all)
		}
	})
}

func TestNeighboursThatAreWithheldAreToldOnce(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.Find("title").Private, s.Find("eyebrow").Private, s.Find("lead").Private = true, true, true
		h.Scene(s, "fin")
		h.quiet()
		want(t, "said", h.said(), "Plug in headphones to hear this.")
	})
}

func TestANumberOfAPersonIsPrivateUnasked(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.Find("fin").Private = false
		h.Focus(s, "fin")
		h.quiet()
		h.Status(text.Say(text.En, text.DocNo, "AA1234567"))
		h.quiet()
		want(t, "said", h.said(), "Plug in headphones to hear this.", "Plug in headphones to hear this.")
	})
}

func TestPullingTheHeadphonesSilencesAtOnce(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		h.Headphones(true)
		h.Focus(s, "fin")
		h.after(1200 * time.Millisecond) // in the middle of the number
		h.entries()
		h.Headphones(false)
		pulled := time.Now()
		synctest.Wait()
		if p := h.sink.last(); p.start.Add(p.heard).After(pulled) {
			t.Errorf("heard until %v after", p.start.Add(p.heard).Sub(pulled))
		}
		want(t, "interrupted", texts(h.entries(), isInterrupted), "<34 private>")

		h.Status(words("The line is back."))
		s.ID = "review"
		h.Scene(s, "a")
		h.quiet()
		want(t, "until a key is pressed", h.said())

		warning := s
		warning.ID = "idle"
		warning.Nodes = append(warning.Nodes[:len(warning.Nodes):len(warning.Nodes)],
			scene.Node{ID: "w", Role: scene.Note, Tone: scene.Bad, Name: words("Are you there?")})
		h.Scene(warning, "a")
		h.quiet()
		want(t, "but for alerts", h.said(), "Attention.", "Are you there?")

		h.Command(scene.Repeat, s, "a")
		h.quiet()
		if got := h.said(); len(got) < 3 {
			t.Errorf("after a key: %v", got)
		}
	})
}

func TestSecretsAreTones(t *testing.T) {
	on(t, func(h *house) {
		h.Headphones(true)
		h.Focus(choosing(), "a")
		h.quiet()
		for _, r := range "482913" {
			h.Echo(r, true)
			h.after(100 * time.Millisecond)
		}
		h.quiet()
		h.Echo('7', false)
		h.quiet()
		tones, e := 0, h.entries()
		for _, e := range e {
			if e.Tone == "typed" && e.State == isFinished {
				tones++
			}
		}
		if tones != 6 {
			t.Errorf("%d tones for 6 keys", tones)
		}
		want(t, "said", texts(e, isFinished)[len(texts(e, isFinished))-1:], "<0 private>")
	})
}

func TestNoEchoOfAPrivateFieldOnTheLoudspeaker(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.Add(scene.Node{ID: "can", Role: scene.Field, Name: words("Card number"), Private: true})
		h.Focus(s, "can")
		h.quiet()
		h.entries()
		h.Echo('7', false)
		h.quiet()
		want(t, "on the loudspeaker", h.said())
		h.Headphones(true)
		h.quiet()
		h.entries()
		h.Echo('7', false)
		h.quiet()
		want(t, "on headphones", h.said(), "<0 private>")
	})
}

// What is typed can't be told from the log: not by text, not by length, and not
// by the key that had the focus.
func TestWhatIsTypedIsNotInTheLog(t *testing.T) {
	on(t, func(h *house) {
		h.Headphones(true)
		s := scene.Scene{ID: "can", Kind: scene.Question, Lang: text.En}
		s.Add(
			scene.Node{ID: "title", Role: scene.Title, Name: words("Type it")},
			scene.Node{ID: "field", Role: scene.Field, Name: words("Number")},
			scene.Node{ID: "key.7", Role: scene.Key, Name: text.Say(text.En, text.Digits, "7"), Action: 1},
		)
		h.Scene(s, "field")
		h.quiet()
		h.Echo('7', false) // into a field that is still empty
		h.quiet()
		h.Focus(s, "key.7")
		h.quiet()
		s.Nodes[1].Value = text.Say(text.En, text.Digits, "7")
		h.Focus(s, "field")
		h.quiet()
		h.mu.Lock()
		defer h.mu.Unlock()
		if log := h.log.String(); strings.Contains(log, "seven") || strings.Contains(log, "key.7") || strings.Contains(log, `"length":5`) {
			t.Errorf("the log tells what was typed:\n%s", log)
		}
	})
}

// Who can't see is told when the slip is out, wherever the focus rests.
func TestANoteThatChangesIsSaid(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		s.Add(scene.Node{ID: "paper", Role: scene.Note, Name: words("The slip is printing.")})
		h.Scene(s, "a")
		h.quiet()
		h.said()
		s.Nodes = slices.Clone(s.Nodes)
		s.Nodes[len(s.Nodes)-1].Name = words("Take your slip.")
		h.Scene(s, "a")
		h.quiet()
		want(t, "said", h.said(), "Take your slip.")
	})
}

// Sound that is ready, and private words still to be said, go with their person
// even when the scene stays, as while the card is waited for.
func TestForgetWipesWhatIsReady(t *testing.T) {
	on(t, func(h *house) {
		h.Headphones(true)
		h.Scene(choosing(), "fin")
		h.after(100 * time.Millisecond)
		h.Forget()
		h.quiet()
		for _, e := range h.entries() {
			if e.Private && e.State == isFinished {
				t.Errorf("still said: %d private characters", e.Length)
			}
		}
	})
}

func TestOffIsSilent(t *testing.T) {
	in(t, func(h *house) {
		s := choosing()
		s.MustHear = words("Take your card.")
		h.Scene(s, "a")
		h.Focus(s, "b")
		h.Status(words("News."))
		h.Echo('1', false)
		h.Command(scene.Repeat, s, "a")
		h.Headphones(true)
		h.quiet()
		if e := h.entries(); len(e) > 0 || len(h.sink.played) > 0 || h.Spoken() > 0 {
			t.Errorf("%d entries, %d clips, %d spoken", len(e), len(h.sink.played), h.Spoken())
		}
		h.Enable(true)
		if !h.Enabled() {
			t.Error("not enabled")
		}
		h.quiet()
		want(t, "turned on", h.said(), "Take your card.", "Voice guide on.", "Move with the arrows, select with the round key.",
			"Which one?", "Certificates", "Choose one of these.", "Employment, choice", "Where you work.", "1 of 2")
		if h.Spoken() != 9 {
			t.Errorf("%d spoken", h.Spoken())
		}
		h.Enable(false)
		h.quiet()
		want(t, "turned off", h.said(), "Voice guide off.")
	})
}

func TestTheInvitationIsSaidInEveryLanguageUntilSomebodyComes(t *testing.T) {
	in(t, func(h *house) {
		h.Idle()
		h.quiet()
		langs := map[text.Lang]bool{}
		for _, e := range h.entries() {
			langs[e.Lang] = true
		}
		if len(langs) != 3 {
			t.Errorf("said in %v", langs)
		}
		h.Idle(words("Good morning to you."), words("Come here."))
		h.after(200 * time.Millisecond)
		h.Scene(choosing(), "a")
		synctest.Wait()
		want(t, "interrupted", texts(h.entries(), isInterrupted), "Come here.", "Good morning to you.")
	})
}

func TestNewsWaitAndOnlyTheLatestAreSaid(t *testing.T) {
	on(t, func(h *house) {
		h.Scene(choosing(), "a")
		h.Status(words("One."))
		h.Status(words("Two."))
		h.Status(words("Three."))
		h.quiet()
		got := h.said()
		want(t, "the last words", got[len(got)-2:], "1 of 2", "Three.")
		if strings.Contains(strings.Join(got, " "), "One.") {
			t.Errorf("old news: %v", got)
		}
	})
}

func TestTheSameSceneSaysOnlyWhatIsNew(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		h.Scene(s, "a")
		h.quiet()
		h.entries()
		h.Scene(choosing(), "a")
		h.quiet()
		want(t, "nothing new", h.said())
		s.Add(scene.Node{ID: "bad", Role: scene.Note, Tone: scene.Bad, Name: words("Not this one.")})
		h.Scene(s, "a")
		h.quiet()
		want(t, "an alert", h.said(), "Attention.", "Not this one.")
		h.Scene(s, "next")
		h.quiet()
		want(t, "another focus", h.said(), "Continue, button")
		chosen := choosing()
		chosen.Nodes = append(chosen.Nodes, s.Nodes[len(s.Nodes)-1])
		chosen.Find("next").Selected = true
		h.Scene(chosen, "next")
		h.quiet()
		want(t, "another state", h.said(), "Continue, button, selected")
		other := choosing()
		other.Lang = text.Az
		h.Scene(other, "next")
		h.quiet()
		if got := h.said(); len(got) < 4 {
			t.Errorf("another language: %v", got)
		}
	})
}

func TestAnAlertCutsIn(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		h.Scene(s, "a")
		h.after(300 * time.Millisecond)
		s.Nodes = append(s.Nodes[:len(s.Nodes):len(s.Nodes)], scene.Node{ID: "bad", Role: scene.Note, Tone: scene.Bad, Name: words("No paper.")})
		h.Scene(s, "a")
		h.quiet()
		want(t, "said", h.said(), "Attention.", "No paper.")
	})
}

func TestRepeatSaysTheSameAgain(t *testing.T) {
	on(t, func(h *house) {
		h.Focus(choosing(), "a")
		h.quiet()
		first := h.said()
		h.Command(scene.Repeat, choosing(), "a")
		h.quiet()
		want(t, "again", h.said(), first...)
		h.Command(scene.WhereAmI, choosing(), "next")
		h.quiet()
		want(t, "where am I", h.said(), "You are here:", "Which one?", "Certificates", "Step 2 of 4", "Continue, button")
	})
}

func TestPauseGoesOnWhereItWas(t *testing.T) {
	on(t, func(h *house) {
		h.Focus(choosing(), "a")
		h.after(200 * time.Millisecond)
		h.Command(scene.Pause, choosing(), "a")
		h.after(time.Minute)
		want(t, "paused", h.said())
		h.Command(scene.Pause, choosing(), "a")
		h.quiet()
		want(t, "goes on", h.said(), "Employment, choice", "Where you work.", "1 of 2")
	})
}

func TestVolumeAndRateAreSaidAndGoOn(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		h.Focus(s, "a")
		h.after(200 * time.Millisecond)
		h.Command(scene.Louder, s, "a")
		h.Command(scene.Louder, s, "a")
		h.quiet()
		want(t, "louder twice", h.said(), "Volume: 10", "Employment, choice", "Where you work.", "1 of 2")
		for range 3 {
			h.Command(scene.Louder, s, "a")
			h.quiet()
		}
		want(t, "to the end", h.said(), "Volume: 11", "That is the highest.", "That is the highest.")
		for range 9 {
			h.Command(scene.Slower, s, "a")
		}
		h.quiet()
		want(t, "slower to the end", h.said(), "That is the lowest.")
		slow := h.sink.last().clip.Duration()
		h.Reset()
		h.Enable(true)
		h.quiet()
		h.entries()
		for range 5 {
			h.Command(scene.Quieter, s, "a")
		}
		h.Command(scene.Faster, s, "a")
		h.quiet()
		want(t, "after a reset", h.said(), "Speed: 125 per cent")
		if d := slow; d < time.Second {
			t.Errorf("slow: %v", d)
		}
	})
}

func TestWaitingIsToldAtOneSecondAndEveryTen(t *testing.T) {
	on(t, func(h *house) {
		s := scene.Scene{ID: "reading", Kind: scene.Waiting, Lang: text.En}
		s.Add(scene.Node{ID: "title", Role: scene.Title, Name: words("Card")})
		start := time.Now()
		h.Scene(s, "")
		h.after(25 * time.Second)
		var at []time.Duration
		for _, e := range h.entries() {
			if e.Text == "Please wait." && e.State == isQueued {
				at = append(at, e.T.Sub(start))
			}
		}
		if diff := cmp.Diff([]time.Duration{time.Second, 11 * time.Second, 21 * time.Second}, at); diff != "" {
			t.Error(diff)
		}
		h.Scene(choosing(), "a")
		h.after(time.Minute)
		if strings.Contains(fmt.Sprint(h.said()), "Please wait") {
			t.Error("said after the wait was over")
		}
	})
}

func TestAResetForgetsTheVisit(t *testing.T) {
	on(t, func(h *house) {
		h.Headphones(true)
		h.Focus(choosing(), "fin")
		h.quiet()
		h.Reset()
		if h.Enabled() {
			t.Error("still on")
		}
		h.quiet()
		h.Enable(true)
		h.quiet()
		h.entries()
		h.Command(scene.Repeat, scene.Scene{Lang: text.En}, "")
		h.quiet()
		want(t, "repeat", h.said())
		h.Focus(choosing(), "fin")
		h.quiet()
		want(t, "the route", h.said(), "Plug in headphones to hear this.")
	})
}

func TestEveryUtteranceEndsOnce(t *testing.T) {
	on(t, func(h *house) {
		s := choosing()
		for i := range 40 {
			h.Focus(s, s.Nodes[i%len(s.Nodes)].ID)
			if i%3 == 0 {
				h.Command(scene.Louder, s, "a")
			}
			if i%7 == 0 {
				h.Scene(s, "a")
			}
			h.after(time.Duration(i*13%500) * time.Millisecond)
		}
		h.quiet()
		state := map[int]string{}
		for _, e := range h.entries() {
			ok := map[string]string{isQueued: "", isStarted: isQueued, isFinished: isStarted}
			if from, known := ok[e.State]; known && state[e.ID] != from || e.State == isInterrupted && state[e.ID] == "" {
				t.Errorf("utterance %d: %q after %q", e.ID, e.State, state[e.ID])
			}
			state[e.ID] = e.State
		}
		for id, s := range state {
			if s != isFinished && s != isInterrupted {
				t.Errorf("utterance %d stays %s", id, s)
			}
		}
	})
}

func TestABrokenSinkIsToldOnceAndDoesNotStopTheVoice(t *testing.T) {
	on(t, func(h *house) {
		h.sink.fail = sound.ErrNoSink
		h.Scene(choosing(), "a")
		h.quiet()
		want(t, "failed", texts(h.entries(), isFailed)[:1], "Which one?")
		if n := strings.Count(h.warn.String(), "utterance failed"); n != 1 {
			t.Errorf("told %d times:\n%s", n, h.warn.String())
		}
		if strings.Contains(h.warn.String(), "Which one") {
			t.Error("the log has what was said")
		}
		h.sink.fail = nil
		h.Focus(choosing(), "next")
		h.quiet()
		want(t, "mended", h.said(), "Continue, button")
	})
}

func TestQuietEnds(t *testing.T) {
	in(t, func(h *house) {
		h.Enable(true)
		ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := h.Quiet(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	v := New(Options{Synth: silence{}, Sink: &sink{t: t}, Log: &bytes.Buffer{}, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if err := v.Quiet(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("quiet: %v", err)
	}
}

func TestASceneWithoutALanguageIsAzerbaijani(t *testing.T) {
	on(t, func(h *house) {
		s := scene.Scene{ID: "bare"}
		s.Add(scene.Node{ID: "next", Role: scene.Next, Name: text.Say(text.Az, text.Plain, "Davam et")})
		h.Scene(s, "next")
		h.quiet()
		want(t, "opened", h.said(), "Davam et, düymə")
		h.Focus(s, "next")
		h.quiet()
		want(t, "focused", h.said(), "Davam et, düymə")
	})
}

func TestNamesInAnotherLanguageHaveTheirVoice(t *testing.T) {
	on(t, func(h *house) {
		s := scene.Scene{ID: "hello", Kind: scene.Menu, Lang: text.Ru}
		name := text.Words{{Lang: text.Ru, Text: "Здравствуйте, "}, {Lang: text.Az, Kind: text.Name, Text: "AYGÜN"}, {Lang: text.Ru, Text: "!"}}
		s.Add(scene.Node{ID: "title", Role: scene.Title, Name: name})
		h.Scene(s, "title")
		h.quiet()
		var got []string
		for _, e := range h.entries() {
			if e.State == isFinished && e.Tone == "" {
				got = append(got, string(e.Lang)+" "+e.Text)
			}
		}
		want(t, "said", got, "ru Здравствуйте,", "az Aygün")
	})
}
