package session_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/drivers/signer"
	"kosk/offline"
)

// TestMain gives the random walks the same seed every time, unless one is asked for.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, usual := range map[string]string{"rapid.seed": "20261122", "rapid.checks": "200"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(usual); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// Services that the shipped catalogue has not: two questions, one of them a
// number; a level that no chip alone reaches; a question with a choice.
const further = `
version = "test"
[[agency]]
id = "a"
name = { az = "Q", ru = "В", en = "A" }

[[service]]
id = "two_fields"
agency = "a"
level = "authentic"
lookup = "x"
submit = true
ttl = 30
wait = 8
name = { az = "İki", ru = "Два", en = "Two" }
register = { az = "r", ru = "р", en = "r" }
[[service.fields]]
id = "colour"
type = "choice"
title = { az = "Rəng?", ru = "Цвет?", en = "Colour?" }
label = { az = "Rəng", ru = "Цвет", en = "Colour" }
hint = { az = "Rəng.", ru = "Цвет.", en = "Colour." }
options = [ { id = "red", name = { az = "Qırmızı", ru = "Красный", en = "Red" } } ]
[[service.fields]]
id = "imei"
type = "imei"
title = { az = "Kod?", ru = "Код?", en = "Code?" }
label = { az = "Kod", ru = "Код", en = "Code" }
hint = { az = "Kod.", ru = "Код.", en = "Code." }

[[service]]
id = "signed"
agency = "a"
level = "holder_verified"
submit = true
ttl = 30
sign = true
wait = 8
name = { az = "Dörd", ru = "Четыре", en = "Four" }
[[service.fields]]
id = "colour"
type = "choice"
title = { az = "Rəng?", ru = "Цвет?", en = "Colour?" }
label = { az = "Rəng", ru = "Цвет", en = "Colour" }
hint = { az = "Rəng.", ru = "Цвет.", en = "Colour." }
options = [ { id = "red", name = { az = "Qırmızı", ru = "Красный", en = "Red" } } ]

[[service]]
id = "no_register"
agency = "a"
level = "read"
submit = true
ttl = 30
wait = 8
name = { az = "Bir", ru = "Один", en = "One" }
[[service.fields]]
id = "imei"
type = "imei"
title = { az = "Kod?", ru = "Код?", en = "Code?" }
label = { az = "Kod", ru = "Код", en = "Code" }
hint = { az = "Kod.", ru = "Код.", en = "Code." }

[[service]]
id = "verified"
agency = "a"
level = "holder_verified"
lookup = "x"
wait = 8
name = { az = "Üç", ru = "Три", en = "Three" }
register = { az = "r", ru = "р", en = "r" }
[[service.fields]]
id = "colour"
type = "choice"
title = { az = "Rəng?", ru = "Цвет?", en = "Colour?" }
label = { az = "Rəng", ru = "Цвет", en = "Colour" }
hint = { az = "Rəng.", ru = "Цвет.", en = "Colour." }
options = [ { id = "red", name = { az = "Qırmızı", ru = "Красный", en = "Red" } } ]
`

// wide is a kiosk that offers more than the shipped catalogue does.
func wide() session.Kiosk {
	k := sessiontest.Kiosk()
	k.Catalogue = offered()
	return k
}

var offered = sync.OnceValue(func() *catalogue.Catalogue {
	c, err := catalogue.Parse(further)
	if err != nil {
		panic(err)
	}
	shipped := sessiontest.Kiosk().Catalogue
	c.Agencies = append(slices.Clone(shipped.Agencies), c.Agencies...)
	c.Services = append(slices.Clone(shipped.Services), c.Services...)
	c.Means = shipped.Means
	return c
})

// What is planted, to be looked for where it mustn't be.
var planted = []string{"5ARPXK2", "Aygün", "AYGÜN", "Məmmədova", "AA1234567", "482913507264", "Xəzər", "490154203237518", "PLANTED", "AB7654321", "12051990"}

// A choose is a source of decisions: it returns a number below n.
type choose func(n int) int

func one[T any](c choose, all ...T) T { return all[c(len(all))] }

// kinds are all events, each with what may be in it.
var kinds = []func(c choose, v *session.Visit) session.Event{
	func(c choose, _ *session.Visit) session.Event {
		return session.LanguageChosen{Lang: one(c, text.Langs...)}
	},
	func(choose, *session.Visit) session.Event { return session.LanguageCycled{} },
	func(choose, *session.Visit) session.Event { return session.TextCycled{} },
	func(choose, *session.Visit) session.Event { return session.ContrastCycled{} },
	func(choose, *session.Visit) session.Event { return session.VoiceToggled{} },
	func(c choose, _ *session.Visit) session.Event { return session.PrivacyChanged{Private: c(2) == 0} },
	func(choose, *session.Visit) session.Event { return session.HelpToggled{} },
	func(choose, *session.Visit) session.Event { return session.WithCard{} },
	func(choose, *session.Visit) session.Event { return session.WithoutCard{} },
	func(choose, *session.Visit) session.Event { return session.NoCAN{} },
	func(choose, *session.Visit) session.Event { return session.PadTurned{} },
	func(c choose, v *session.Visit) session.Event {
		return session.ServicePicked{ID: v.Catalogue.Services[c(len(v.Catalogue.Services))].ID}
	},
	func(c choose, _ *session.Visit) session.Event {
		return session.Typed{Rune: one(c, []rune("0123456789aZ ə")...)}
	},
	func(choose, *session.Visit) session.Event { return session.Erased{} },
	func(choose, *session.Visit) session.Event { return session.Entered{} },
	answered,
	func(c choose, _ *session.Visit) session.Event {
		return session.ChangeAsked{Field: one(c, "purpose", "imei", "colour", "none", "number", "birth", "expiry")}
	},
	func(choose, *session.Visit) session.Event { return session.Confirmed{} },
	func(choose, *session.Visit) session.Event { return session.Agreed{} },
	func(choose, *session.Visit) session.Event { return session.PrintAsked{} },
	func(choose, *session.Visit) session.Event { return session.Retried{} },
	func(choose, *session.Visit) session.Event { return session.Finished{} },
	func(choose, *session.Visit) session.Event { return session.WentBack{} },
	func(choose, *session.Visit) session.Event { return session.Cancelled{} },
	func(choose, *session.Visit) session.Event { return session.StillHere{} },
	func(choose, *session.Visit) session.Event { return session.CardIn{} },
	func(choose, *session.Visit) session.Event { return session.CardOut{} },
	func(choose, *session.Visit) session.Event { return session.ReaderCame{} },
	func(choose, *session.Visit) session.Event { return session.ReaderWent{} },
	func(c choose, _ *session.Visit) session.Event {
		return session.LineChanged{Err: one(c, nil, offline.ErrLineDown, offline.ErrBusIdentity)}
	},
	func(choose, *session.Visit) session.Event { return session.OtherMeans{} },
	func(c choose, v *session.Visit) session.Event {
		return session.MeansPicked{ID: v.Catalogue.Means[c(len(v.Catalogue.Means))].ID}
	},
	func(c choose, v *session.Visit) session.Event {
		return session.KeysOpened{Claim: claimed(c, v), PIN: signer.PIN{Tries: one(c, 3, 3, 2, 1, 0), Min: 4, Max: one(c, 12, 0), Pad: c(4) == 1}}
	},
	func(c choose, v *session.Visit) session.Event {
		return session.Prompted{Claim: claimed(c, v), Prompt: identity.Prompt{Code: "4821", QR: one(c, "", "PLANTED")}}
	},
	func(c choose, v *session.Visit) session.Event {
		return session.Proved{Claim: claimed(c, v), Proof: identity.Proof{Means: "card", Statement: []byte("PLANTED")}, Subject: sessiontest.Subject()}
	},
	func(c choose, v *session.Visit) session.Event {
		return session.ProofFailed{Claim: claimed(c, v), Err: one(c, anyFault(c), error(&signer.PINError{Tries: c(4)}), signer.ErrPINLength)}
	},
	func(choose, *session.Visit) session.Event { return session.NameRead{GivenNames: "Aygün"} },
	func(c choose, _ *session.Visit) session.Event {
		h := sessiontest.Holder()
		h.Assurance = one(c, identity.Genuine, identity.Genuine, identity.Read, identity.HolderVerified)
		return session.HolderRead{Holder: h}
	},
	func(c choose, _ *session.Visit) session.Event {
		return session.ReadFailed{Err: one(c, anyFault(c), card.ErrWrongCAN, card.ErrWrongMRZ, card.ErrWantsMRZ)}
	},
	lookedUp,
	func(c choose, v *session.Visit) session.Event {
		return session.LookupFailed{For: asked(c, v), Err: one(c, anyFault(c), error(&offline.Fault{Reason: "no_contract", Err: offline.ErrRefused}))}
	},
	func(choose, *session.Visit) session.Event {
		return session.PutDone{ID: "01KAMQ0000000000000000TEST", Number: "482913507264", At: time.Unix(1e9, 0), Token: "PLANTED"}
	},
	func(c choose, _ *session.Visit) session.Event {
		return session.PutFailed{Err: one(c, offline.ErrFull, offline.ErrUnknown, offline.ErrConflict), Number: "482913507264"}
	},
	func(choose, *session.Visit) session.Event { return session.BusAccepted{Token: "PLANTED"} },
	outcomeCame,
	func(c choose, _ *session.Visit) session.Event {
		return session.RefusedCame{Reason: one(c, append([]string{"", "other", offline.ReasonExpired}, session.Reasons()...)...)}
	},
	func(choose, *session.Visit) session.Event { return session.WaitEnded{} },
	func(c choose, _ *session.Visit) session.Event {
		o := one(c, printer.Confirmed, printer.Unknown, printer.Failed)
		return session.SlipPrinted{Outcome: o, Err: map[printer.Outcome]error{printer.Failed: printer.ErrNoPaper}[o]}
	},
	func(c choose, _ *session.Visit) session.Event {
		return session.PagePrinted{Outcome: one(c, printer.Confirmed, printer.Unknown, printer.Failed)}
	},
	func(choose, *session.Visit) session.Event { return session.SlipPresented{} },
	func(choose, *session.Visit) session.Event { return session.SlipNotTaken{} },
	func(choose, *session.Visit) session.Event { return session.SlipTaken{} },
	func(choose, *session.Visit) session.Event { return session.SlipRetracted{} },
	func(choose, *session.Visit) session.Event { return session.Idled{} },
	func(choose, *session.Visit) session.Event { return session.IdledOut{} },
	func(choose, *session.Visit) session.Event { return session.TimeUp{} },
}

func anyFault(c choose) error {
	all := session.Faults()
	if i := c(len(all) + 1); i < len(all) {
		return fmt.Errorf("somewhere: %w", all[i].Err)
	}
	return fmt.Errorf("PLANTED: nobody foresaw this")
}

// answered answers the question on the screen mostly, and another one sometimes.
func answered(c choose, v *session.Visit) session.Event {
	if v.State == session.Filling && c(4) > 0 {
		f := v.Service.Fields[v.Field]
		if len(f.Options) > 0 {
			return session.Answered{Field: f.ID, Value: f.Options[c(len(f.Options))].ID}
		}
		return session.Answered{Field: f.ID, Value: "490154203237518"}
	}
	return session.Answered{Field: one(c, "purpose", "none"), Value: one(c, "bank", "PLANTED")}
}

// claimed is the visit's own claim mostly.
func claimed(c choose, v *session.Visit) int {
	if c(4) == 1 {
		return v.Proving.Claim + 1
	}
	return v.Proving.Claim
}

func asked(c choose, v *session.Visit) catalogue.ServiceID {
	if v.Service != nil && c(4) > 0 {
		return v.Service.ID
	}
	return "another"
}

func lookedUp(c choose, v *session.Visit) session.Event {
	e := sessiontest.Found()
	e.For = asked(c, v)
	switch c(3) {
	case 0:
		e.Found = nil
	case 1:
		e.Found = append(e.Found, session.Found{ID: "status", Value: "blocked"}, session.Found{ID: "unheard_of", Value: "PLANTED"})
	}
	return e
}

func outcomeCame(choose, *session.Visit) session.Event {
	return session.OutcomeCame{Outcome: request.Outcome{
		Number: "482913507264", Data: []request.Datum{{ID: "employer", Value: "“Xəzər Gəmiçilik” ASC"}, {ID: "unheard_of", Value: "PLANTED"}},
	}, Token: "PLANTED"}
}

// sample is an event of each type, made with the first choices.
func sample() []session.Event {
	v := session.New(sessiontest.Kiosk())
	var all []session.Event
	for _, k := range kinds {
		all = append(all, k(func(int) int { return 0 }, v))
	}
	return all
}

// fits are the indexes in kinds of the events that the table has in a state.
var fits = sync.OnceValue(func() map[session.State][]int {
	all := map[session.State][]int{}
	for i, e := range sample() {
		for _, r := range session.Rules() {
			if session.Kind(r.On) == session.Kind(e) {
				all[r.From] = append(all[r.From], i)
			}
		}
	}
	return all
})

// begin is a visit somewhere on one of the usual ways.
func begin(c choose) *session.Visit {
	k := wide()
	k.Full, k.NoReader, k.Test, k.Pages, k.NoTrust = c(8) == 0, c(8) == 0, c(2) == 0, c(2) == 0, c(12) == 1
	way := one(c, sessiontest.Certificate(text.Az), sessiontest.Check(text.Ru), sessiontest.Down(text.En),
		sessiontest.Phone(text.Az, "imza", "", "501234567", "123456"), sessiontest.Phone(text.En, "sima", "x"))
	switch c(6) {
	case 1:
		way = sessiontest.Application(text.Ru)
	case 2:
		way = sessiontest.Zone(text.Az)
	}
	v := session.New(k)
	for _, e := range way[:c(len(way))] {
		v.Step(e)
	}
	return v
}

// next are the next events of a walk: mostly one that fits the state, or a
// whole number typed, sometimes anything.
func next(c choose, v *session.Visit) []session.Event {
	fit := fits()[v.State]
	switch {
	case c(5) == 0 || len(fit) == 0:
		return []session.Event{kinds[c(len(kinds))](c, v)}
	case v.State == session.Parting && c(4) == 1, v.State == session.Ending && c(4) == 1:
		return []session.Event{session.SlipPresented{}}
	case v.State == session.AskingCAN && c(3) > 0:
		return typed("123456")
	case v.State == session.Reading && !v.Zone.Used && c(16) == 1:
		return hasty(c(2) == 1)
	case v.State == session.AskingNumber && c(8) == 1:
		return []session.Event{session.CardOut{}, session.WentBack{}}
	case v.State == session.AskingNumber && v.Typed != "" && c(2) == 1:
		return []session.Event{session.Erased{}, session.Typed{Rune: '1'}, session.Entered{}}
	case v.State == session.AskingNumber && c(3) > 0:
		return typed("ab7654321")
	case v.State == session.CheckingZone && c(3) == 1:
		return stubborn()
	case v.State == session.Reading && v.Zone.Used && c(3) == 1: // it is pulled out too early
		return []session.Event{session.ReadFailed{Err: card.ErrRemoved}}
	case v.State == session.AskingExpiry && v.Typed != "" && c(2) == 1:
		return []session.Event{session.CardOut{}, session.Erased{}, session.Typed{Rune: '1'}, session.Entered{}}
	case (v.State == session.AskingBirth || v.State == session.AskingExpiry) && c(3) > 0:
		return typed(one(c, "12051990", "13062031", "31021990"))
	case v.State == session.AskingPIN && c(3) > 0, v.State == session.Crediting && c(3) > 0:
		return typed("905178642")
	case v.State == session.VerifyingPIN && c(4) == 1: // the line goes while the card is at work
		return []session.Event{
			session.LineChanged{Err: offline.ErrLineDown}, session.Proved{Claim: v.Proving.Claim, Proof: sessiontest.Proof(), Subject: sessiontest.Subject()},
		}
	case v.State == session.Consenting && c(4) == 1:
		return []session.Event{session.LanguageCycled{}, session.Agreed{}}
	case v.State == session.Filling && c(6) == 0:
		return typed("490154203237518")
	}
	return []session.Event{kinds[fit[c(len(fit))]](c, v)}
}

// hasty is somebody who gives up reading again and again.
func hasty(retypes bool) []session.Event {
	var all []session.Event
	for range session.MaxTries {
		all = append(all, session.WentBack{})
		if retypes {
			all = append(all, session.Erased{}, session.Typed{Rune: '6'})
		} else {
			all = append(all, session.Entered{})
		}
	}
	return all
}

// stubborn is somebody who tries one day of birth after the other.
func stubborn() []session.Event {
	var all []session.Event
	for try := range session.MaxTries {
		all = append(all, session.ChangeAsked{Field: "birth"}, session.Erased{}, session.Typed{Rune: rune('1' + try)}, session.Confirmed{},
			session.ReadFailed{Err: card.ErrWrongMRZ})
	}
	return all
}

func typed(s string) []session.Event {
	var all []session.Event
	for _, r := range s {
		all = append(all, session.Typed{Rune: r})
	}
	return append(all, session.Entered{})
}

// Whatever comes in whatever order, nothing breaks: there is a scene in every
// language and size, and making it changes nothing.
func TestRandomWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		v := begin(c)
		for range c(30) {
			for _, e := range next(c, v) {
				v.Step(e)
				checkForgotten(t, v, e)
			}
			checkScenes(t, v)
		}
	})
}

// A fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Fatalf(string, ...any)
}

func checkScenes(t fataler, v *session.Visit) {
	before, settings := v.Person, v.Settings
	for _, lang := range text.Langs {
		for size := range scene.TextSize(scene.TextSizes) {
			v.Lang, v.TextSize = lang, size
			if s := v.Scene(); s.Role(scene.Title) == nil || s.Role(scene.Title).Name.Empty() {
				t.Fatalf("%s: no title in %s", v.State, lang)
			}
		}
	}
	v.Settings = settings
	if !reflect.DeepEqual(before, v.Person) {
		t.Fatalf("%s: making the scene changed the visit", v.State)
	}
}

// checkForgotten holds that nobody is served while anything is known of whom
// was served before.
func checkForgotten(t fataler, v *session.Visit, e session.Event) {
	want := session.Person{}
	switch v.State {
	case session.Attracting:
		want.Help = v.Help
	case session.TakingCard, session.Parting:
		want.Bye, want.Reminds, want.Help, want.Presented, want.Retracted = v.Bye, v.Reminds, v.Help, v.Presented, v.Retracted
	default:
		return
	}
	if diff := cmp.Diff(want, v.Person); diff != "" {
		t.Fatalf("%s after %T still knows:\n%s", v.State, e, diff)
	}
	for _, s := range stringsIn(reflect.ValueOf(v)) {
		for _, p := range planted {
			if strings.Contains(s, p) {
				t.Fatalf("%s after %T: a field holds %q", v.State, e, p)
			}
		}
	}
}

// stringsIn collects every text in a value, however deep it lies.
func stringsIn(v reflect.Value) []string {
	var all []string
	seen := map[uintptr]bool{}
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			all = append(all, v.String())
		case reflect.Pointer:
			if v.IsNil() || seen[v.Pointer()] {
				return
			}
			seen[v.Pointer()] = true
			walk(v.Elem())
		case reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[catalogue.Catalogue]() {
				return // read-only, and nobody's
			}
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
				all = append(all, string(v.Bytes()))
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				walk(k)
				walk(v.MapIndex(k))
			}
		}
	}
	walk(v)
	return all
}

// The search itself must find what is there.
func TestPlantedIsFoundInAVisitThatGoesOn(t *testing.T) {
	v := reach(session.Sending)
	v.Step(session.PutDone{Number: "482913507264"})
	all := strings.Join(stringsIn(reflect.ValueOf(v)), "\n")
	for _, p := range []string{"5ARPXK2", "Məmmədova", "AA1234567", "482913507264", "Xəzər"} {
		if !strings.Contains(all, p) {
			t.Errorf("%s is not found", p)
		}
	}
}
