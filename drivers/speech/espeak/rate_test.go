package espeak

import (
	"math"
	"slices"
	"strings"
	"testing"

	"kosk/drivers/speech"
)

// references are what the kiosk says, and what the paces were measured with:
// two sentences a language, without a comma, so that only words take time.
var references = map[speech.Lang]string{
	"az": "Şəxsiyyət vəsiqənizi oxucuya qoyun və ekranda görünən altı rəqəmi daxil edin sonra davam et düyməsini basın və gözləyin bir neçə saniyə ərzində cavab " +
		"Şəxsiyyət vəsiqənizi oxucuya yerləşdirin və ekranda göstərilən təlimatlara diqqətlə əməl edin məlumatlarınızın düzgünlüyünü yoxladıqdan sonra müraciətinizi təsdiqləyin və çap olunmuş qəbzi götürün",
	"ru": "Приложите удостоверение личности к считывателю и введите шесть цифр которые видны на экране затем нажмите кнопку дальше и подождите ответа несколько секунд " +
		"Приложите удостоверение личности к считывателю и следуйте указаниям на экране после проверки своих данных подтвердите обращение и заберите напечатанную квитанцию",
	"en": "Place your identity card on the reader and type the six digits that you see on the screen then press continue and wait " +
		"Place your identity card on the reader and follow the instructions on the screen after checking your personal information confirm the application and collect the printed receipt",
}

// The seven steps are within 10 % of their words a minute and keep the pitch
// (VVSG 2.0, 7.1-K.4 to K.7).
func TestPacesAreAsMeasured(t *testing.T) {
	s := open(t)
	for lang, text := range references {
		usual := 0.0
		for _, percent := range []int{100, 50, 75, 125, 150, 175, 200} {
			c, err := s.Synthesise(t.Context(), speech.Utterance{Lang: lang, Text: text, Rate: percent})
			if err != nil {
				t.Fatal(err)
			}
			want := 125 * float64(percent) / 100
			got := wordsPerMinute(c, text)
			f0 := pitch(c)
			t.Logf("%s %3d %%: %5.1f words a minute, pitch %.0f Hz", lang, percent, got, f0)
			if math.Abs(got-want) > want/10 {
				t.Errorf("%s at %d %%: %.1f words a minute, want %.1f", lang, percent, got, want)
			}
			if percent == 100 {
				usual = f0
			}
			if math.Abs(f0-usual) > usual/20 {
				t.Errorf("%s at %d %%: pitch %.0f Hz, usually %.0f Hz", lang, percent, f0, usual)
			}
		}
	}
}

func wordsPerMinute(c speech.Clip, text string) float64 {
	end := len(c.Samples)
	for end > 0 && c.Samples[end-1] > -50 && c.Samples[end-1] < 50 {
		end--
	}
	return float64(len(strings.Fields(text))) * 60 * float64(c.Rate) / float64(end)
}

// pitch is the median, over the voiced windows, of the lag at which the sound is
// most like itself.
func pitch(c speech.Clip) float64 {
	const window = 1024
	var lags []float64
	lo, hi := c.Rate/300, c.Rate/50
	for at := 0; at+window+hi < len(c.Samples); at += 12 * window {
		best, lag, energy := 0.0, 0, 0.0
		for l := 0; l <= hi; l++ {
			if l > 0 && l < lo {
				continue
			}
			sum := 0.0
			for i := at; i < at+window; i++ {
				sum += float64(c.Samples[i]) * float64(c.Samples[i+l])
			}
			if l == 0 {
				energy = sum
			} else if sum > best {
				best, lag = sum, l
			}
		}
		if best > energy/2 && energy > 1e9 {
			lags = append(lags, float64(lag))
		}
	}
	if len(lags) == 0 {
		return 0
	}
	return float64(c.Rate) / median(lags)
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
