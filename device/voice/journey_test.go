package voice_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/device/voice"
	"kosk/drivers/sound"
	"kosk/drivers/sound/file"
	"kosk/drivers/speech"
	"kosk/drivers/speech/espeak"
	"kosk/drivers/speech/wav"
)

// The whole with its real parts: espeak-ng, and a file for a loudspeaker.

func realVoice(t testing.TB, sink sound.Sink, log io.Writer) *voice.Voice {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	synth, err := espeak.Open("espeak-ng", quiet)
	if err != nil {
		t.Fatalf("%v (build/deps installs espeak-ng)", err)
	}
	v := voice.New(voice.Options{Synth: synth, Sink: sink, Log: log, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { v.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return v
}

func say(l text.Lang, s ...string) text.Words {
	return text.Say(l, text.Plain, s[map[text.Lang]int{text.Az: 0, text.Ru: 1, text.En: 2}[l]])
}

// visit is the journey to a certificate, as far as the voice sees it.
func visit(l text.Lang) []scene.Scene {
	can := scene.Scene{ID: "can", Kind: scene.Question, Lang: l}
	can.Add(
		scene.Node{ID: "title", Role: scene.Title, Name: say(l, "Kartın nömrəsini yazın", "Введите номер карты", "Type the number of the card")},
		scene.Node{ID: "field", Role: scene.Field, Private: true, Name: say(l, "Altı rəqəm", "Шесть цифр", "Six digits")},
	)
	home := scene.Scene{ID: "home", Kind: scene.Menu, Lang: l}
	hello := text.Join(", ", say(l, "Xoş gəldiniz", "Добро пожаловать", "Welcome"), text.Say(text.Az, text.Name, "AYGÜN MƏMMƏDOVA"))
	home.Add(
		scene.Node{ID: "title", Role: scene.Title, Name: hello},
		scene.Node{ID: "work", Role: scene.Tile, Action: 1, Name: say(l, "İş yerindən arayış", "Справка с места работы", "Employment certificate")},
		scene.Node{ID: "imei", Role: scene.Tile, Action: 1, Name: say(l, "IMEI yoxlanışı", "Проверка IMEI", "IMEI check")},
	)
	review := scene.Scene{ID: "review", Kind: scene.Review, Lang: l}
	review.Add(
		scene.Node{ID: "title", Role: scene.Title, Name: say(l, "Məlumatları yoxlayın", "Проверьте данные", "Check what is known")},
		scene.Node{ID: "fin", Role: scene.Datum, Private: true, Name: say(l, "FİN", "ФИН", "FIN"), Value: text.Say(l, text.FIN, "5ARPXK2")},
		scene.Node{
			ID: "born", Role: scene.Datum, Private: true, Name: say(l, "Doğum tarixi", "Дата рождения", "Date of birth"),
			Value: text.Say(l, text.Date, "1990-05-12"),
		},
		scene.Node{
			ID: "firm", Role: scene.Datum, Name: say(l, "İş yeri", "Место работы", "Employer"),
			Value: text.Say(text.Az, text.Name, "“Xəzər Gəmiçilik” ASC"),
		},
	)
	result := scene.Scene{
		ID: "result", Kind: scene.Result, Lang: l,
		MustHear: say(l, "Kartınızı və qəbzi götürün.", "Заберите карту и квитанцию.", "Take your card and the slip."),
	}
	result.Add(scene.Node{ID: "title", Role: scene.Title, Name: say(l, "Arayış hazırdır", "Справка готова", "Your certificate is ready")})
	return []scene.Scene{can, home, review, result}
}

func TestAJourneyIsHeard(t *testing.T) {
	for _, lang := range text.Langs {
		t.Run(string(lang), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "heard.wav")
			sink, err := file.Open(path, file.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { sink.Close() })
			var log bytes.Buffer
			v := realVoice(t, sink, &log)
			quiet := func() {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := v.Quiet(ctx); err != nil {
					t.Fatal(err)
				}
			}
			v.Headphones(true)
			v.Enable(true)
			for _, s := range visit(lang) {
				v.Scene(s, "title")
				quiet()
				for i := range s.Nodes {
					v.Focus(s, s.Nodes[i].ID)
					quiet()
				}
				if s.ID == "can" {
					for _, r := range "123456" {
						v.Echo(r, true)
						quiet()
					}
				}
			}
			v.Reset()
			quiet()

			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			clip, err := wav.Decode(f, 22050*600)
			if err != nil {
				t.Fatal(err)
			}
			heard(t, clip)
			logged(t, &log, lang, v.Spoken())
		})
	}
}

// heard listens with numbers: long enough, mostly sounding, loud, not clipped.
func heard(t *testing.T, c speech.Clip) {
	t.Helper()
	const window = 22050 / 50
	sounding, windows, peak := 0, 0, 0
	for w := range slices.Chunk(c.Samples, window) {
		loudest := 0
		for _, s := range w {
			loudest = max(loudest, int(s), -int(s))
		}
		if loudest > 300 {
			sounding++
		}
		windows++
		peak = max(peak, loudest)
	}
	share := float64(sounding) / float64(windows)
	t.Logf("%v heard, sounding %.0f %% of the time, the loudest sample is %d", c.Duration().Round(time.Millisecond), 100*share, peak)
	if d := c.Duration(); d < 30*time.Second || d > 3*time.Minute {
		t.Errorf("the journey is %v long", d)
	}
	if share < 0.5 {
		t.Errorf("sounding only %.0f %% of the time", 100*share)
	}
	if peak < 3000 || peak > 32000 {
		t.Errorf("the loudest sample is %d", peak)
	}
}

// logged checks the speech log of a journey: all ended, nothing personal, names in
// their own voice.
func logged(t *testing.T, log *bytes.Buffer, lang text.Lang, spoken int) {
	t.Helper()
	states, tones, firm := map[string]int{}, 0, text.Lang("")
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var e voice.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		for _, secret := range []string{"5ARPXK2", "1990", "beş, a, er", "пять, а, эр", "five, eigh", "doxsanıncı", "девяностого", "nineteen ninety"} {
			if strings.Contains(e.Text, secret) {
				t.Errorf("the log has %q: %s", secret, lines.Bytes())
			}
		}
		states[e.State]++
		if e.Tone == "typed" && e.State == "finished" {
			tones++
		}
		if strings.Contains(e.Text, "Xəzər") {
			firm = e.Lang
		}
		if e.Route != "headphones" && e.Class != "must-hear" && e.State == "started" {
			t.Errorf("on the %s: %s", e.Route, lines.Bytes())
		}
	}
	if states["queued"] != states["finished"]+states["interrupted"] || states["failed"] > 0 {
		t.Errorf("states: %v", states)
	}
	if tones != 6 {
		t.Errorf("%d tones for 6 digits", tones)
	}
	if firm != text.Az {
		t.Errorf("a name of ours in %s was said in %q", lang, firm)
	}
	if spoken < 20 {
		t.Errorf("%d spoken", spoken)
	}
}

// A clock is a sink that notes when something begins to sound, and when it falls
// silent because it was cut. A clip sounds until then.
type clock struct{ began, silent chan time.Time }

func (c clock) Play(ctx context.Context, clip speech.Clip) error {
	c.began <- time.Now()
	if clip.Duration() < 200*time.Millisecond { // a tone
		timer := time.NewTimer(clip.Duration())
		defer timer.Stop()
		<-timer.C
		return nil
	}
	<-ctx.Done()
	c.silent <- time.Now()
	return ctx.Err()
}

func (clock) Close() error { return nil }

// BenchmarkKey measures, from a key during speech: until the old speech is
// silent, until the tone, and until the new words, which were never said before.
// The sink takes no time; a sound daemon adds its own (see drivers/sound/pulse).
func BenchmarkKey(b *testing.B) {
	for _, lang := range text.Langs {
		b.Run(string(lang), func(b *testing.B) {
			c := clock{make(chan time.Time, 8), make(chan time.Time, 8)}
			v := realVoice(b, c, io.Discard)
			v.Enable(true)
			<-c.began // the greeting
			var silent, tone, word []float64
			for i := 0; b.Loop(); i++ {
				s := scene.Scene{ID: "home", Kind: scene.Menu, Lang: lang}
				name := fmt.Sprintf("%s %d", say(lang, "İş yerindən arayış almaq", "Справка с места работы", "Employment certificate to get").String(), i)
				s.Add(scene.Node{ID: "a", Role: scene.Tile, Name: text.Say(lang, text.Plain, name)})
				key := time.Now()
				since := func(at time.Time) float64 { return float64(at.Sub(key).Microseconds()) / 1000 }
				v.Focus(s, "a")
				silent = append(silent, since(<-c.silent))
				tone = append(tone, since(<-c.began))
				word = append(word, since(<-c.began))
			}
			for what, all := range map[string][]float64{"silent": silent, "tone": tone, "word": word} {
				slices.Sort(all)
				b.ReportMetric(all[len(all)*95/100], "p95-ms-"+what)
			}
		})
	}
}
