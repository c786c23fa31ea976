package session

import (
	"slices"
	"strconv"

	"kosk/device/catalogue"
	"kosk/device/receipt"
	"kosk/device/scene"
	"kosk/device/text"
)

// scenes says what the person meets in each state.
var scenes = map[State]func(*Visit) scene.Scene{
	Attracting: attracting, Home: home, Open: open, AskingCard: askingCard, AskingCAN: askingCAN,
	AskingNumber: askingNumber, AskingBirth: askingBirth, AskingExpiry: askingExpiry, CheckingZone: checkingZone,
	Reading: reading, Choosing: choosing, ChoosingMeans: choosingMeans, Crediting: crediting, OpeningKeys: openingKeys,
	AskingPIN: askingPIN, VerifyingPIN: verifyingPIN, Approving: approving, Filling: filling, Prefilling: prefilling, Reviewing: reviewing,
	Consenting: consenting, Sending: sending, Looking: looking, Answering: answering, Ending: ending,
	Failing: failing, TakingCard: takingCard, Parting: parting,
}

// Scene is what the person meets now. It is made anew from the visit each time,
// and never changes it.
func (v *Visit) Scene() scene.Scene {
	make := scenes[v.State]
	switch {
	case v.Warning:
		make = stillThere
	case v.Help:
		make = helping
	}
	s := make(v)
	s.Lang, s.Test = v.Lang, v.Test
	if v.Test {
		s.Nodes = append([]scene.Node{{ID: "test", Role: scene.Banner, Name: v.in("test")}}, s.Nodes...)
	}
	return s
}

// in is a phrase in the person's language.
func (v *Visit) in(key text.Key, args ...text.Arg) text.Words { return text.In(v.Lang, key, args...) }

// scene starts a scene with the bar of tools and the title.
func (v *Visit) scene(id State, k scene.Kind, title text.Words) scene.Scene {
	s := scene.Scene{ID: string(id), Kind: k}
	s.Add(v.tools()...)
	if v.Service != nil && k != scene.Attract {
		agency := v.Catalogue.Agency(v.Service.Agency).Name.In(v.Lang)
		s.Add(scene.Node{ID: "service", Role: scene.Eyebrow, Name: text.Join(" · ", v.Service.Name.In(v.Lang), agency)})
	}
	s.Add(scene.Node{ID: "title", Role: scene.Title, Name: title})
	return s
}

func (v *Visit) tools() []scene.Node {
	return []scene.Node{
		{ID: "tool.language", Role: scene.Tool, Icon: "language", Name: v.in("tool.language"), Value: v.in("lang.name"), Action: LanguageCycled{}},
		{ID: "tool.text", Role: scene.Tool, Icon: "text", Name: v.in("tool.text"), Value: v.in(text.Key("size." + strconv.Itoa(int(v.TextSize)))), Action: TextCycled{}},
		{ID: "tool.contrast", Role: scene.Tool, Icon: "contrast", Name: v.in("tool.contrast"), Value: v.in(text.Key("contrast." + strconv.Itoa(int(v.Contrast)))), Action: ContrastCycled{}},
		{ID: "tool.voice", Role: scene.Tool, Icon: "voice", Name: v.in("tool.voice"), Value: v.onOff(v.Voice), Selected: v.Voice, Action: VoiceToggled{}},
		{ID: "tool.help", Role: scene.Tool, Icon: "help", Name: v.in("tool.help"), Action: HelpToggled{}},
	}
}

func (v *Visit) onOff(on bool) text.Words {
	if on {
		return v.in("on")
	}
	return v.in("off")
}

func (v *Visit) lead(key text.Key, args ...text.Arg) scene.Node {
	return scene.Node{ID: "lead", Role: scene.Lead, Name: v.in(key, args...)}
}

// foot ends a scene: back, leave, the turns of pages, and the way forward.
func (v *Visit) foot(back bool, next scene.Node) []scene.Node {
	var nodes []scene.Node
	if back {
		nodes = append(nodes, scene.Node{ID: "back", Role: scene.Back, Name: v.in("back"), Action: WentBack{}})
	}
	if v.Warning || v.State != Home && v.State != Open && v.State != Ending && v.State != Answering {
		nodes = append(nodes, scene.Node{ID: "leave", Role: scene.Leave, Name: v.in("leave"), Action: Cancelled{}})
	}
	nodes = append(nodes,
		scene.Node{ID: scene.TurnBack, Role: scene.Turn, Name: v.in("page.back")},
		scene.Node{ID: scene.TurnNext, Role: scene.Turn, Name: v.in("page.next")})
	if next.ID != "" {
		next.Role = scene.Next
		nodes = append(nodes, next)
	}
	return nodes
}

// line is the state of the line, for scenes with nothing to go forward to.
func (v *Visit) line() scene.Node {
	if v.Line != nil {
		return scene.Node{ID: "line", Role: scene.Status, Tone: scene.Bad, Name: v.in("line.down")}
	}
	return scene.Node{ID: "line", Role: scene.Status, Tone: scene.Good, Name: v.in("line.up")}
}

func attracting(v *Visit) scene.Scene {
	s := scene.Scene{ID: string(Attracting), Kind: scene.Attract}
	s.Add(
		scene.Node{ID: "title", Role: scene.Title, Name: v.in("attract.title")},
		scene.Node{ID: "lead", Role: scene.Lead, Name: v.in("attract.lead")},
		scene.Node{ID: "choose", Role: scene.Heading, Name: v.in("attract.choose")},
	)
	for _, l := range text.Langs {
		s.Add(scene.Node{
			ID: "lang." + string(l), Role: scene.Choice, Name: text.In(l, "lang.name"), Primary: l == text.Az,
			Action: LanguageChosen{l},
		})
	}
	s.Add(scene.Node{ID: "invite", Role: scene.Text, Name: v.in("attract.invite")})
	for _, t := range v.tools()[1:4] {
		s.Add(t)
	}
	return s
}

func home(v *Visit) scene.Scene {
	s := v.scene(Home, scene.Menu, v.in("home.title"))
	with := scene.Node{ID: "with-card", Role: scene.Tile, Icon: "card", Name: v.in("home.with"), Hint: v.in("home.with_hint"), Primary: true, Action: WithCard{}}
	if v.NoTrust {
		with.Unavailable, with.Primary, with.Hint = true, false, v.in("service.no_trust")
	}
	s.Add(
		with,
		scene.Node{ID: "without-card", Role: scene.Tile, Icon: "no-card", Name: v.in("home.without"), Hint: v.in("home.without_hint"), Action: WithoutCard{}},
		scene.Node{ID: "most", Role: scene.Heading, Name: v.in("home.most")},
	)
	for _, svc := range v.Catalogue.Services {
		s.Add(v.serviceNode(&svc, true))
	}
	s.Add(v.foot(true, scene.Node{})...)
	s.Add(v.line())
	return s
}

// unnamed takes the service's name off a scene whose larger words need the room.
func unnamed(s *scene.Scene) {
	s.Nodes = slices.DeleteFunc(s.Nodes, func(n scene.Node) bool { return n.Role == scene.Eyebrow })
}

// serviceNode is a row that picks a service. One that needs the line and hasn't
// got it stays in the list, and says so.
func (v *Visit) serviceNode(svc *catalogue.Service, how bool) scene.Node {
	n := scene.Node{
		ID: "service." + string(svc.ID), Role: scene.Choice, Name: svc.Name.In(v.Lang), Action: ServicePicked{svc.ID},
	}
	switch {
	case !svc.Submit && v.Line != nil:
		n.Unavailable, n.Hint = true, v.in("service.line")
	case svc.Level != catalogue.Anyone && v.NoTrust:
		n.Unavailable, n.Hint = true, v.in("service.no_trust")
	case svc.Submit && v.Full:
		n.Unavailable, n.Hint = true, v.in("service.full")
	case how && svc.Level == catalogue.Anyone:
		n.Hint = v.in("service.without")
	case how:
		n.Hint = v.in("service.with")
	default:
		n.Hint = v.Catalogue.Agency(svc.Agency).Name.In(v.Lang)
	}
	return n
}

func open(v *Visit) scene.Scene {
	s := v.scene(Open, scene.Menu, v.in("open.title"))
	for _, svc := range v.Catalogue.Open(false) {
		s.Add(v.serviceNode(svc, false))
	}
	s.Add(v.foot(true, scene.Node{})...)
	s.Add(v.line())
	return s
}

func askingCard(v *Visit) scene.Scene {
	title := text.Key("card.title")
	if v.CardIn {
		title = "card.anew"
	}
	s := v.scene(AskingCard, scene.Insert, v.in(title))
	s.Add(v.lead("card.lead"), scene.Node{ID: "figure", Role: scene.Figure, Icon: "figure-insert", Name: v.in("card.figure")})
	if v.NoReader {
		s.Add(scene.Node{ID: "no-reader", Role: scene.Note, Tone: scene.Bad, Name: v.in("fault.no_reader.lead")})
	} else {
		s.Add(scene.Node{ID: "no-card", Role: scene.Note, Name: v.in("card.none")})
	}
	if v.provable(catalogue.Read) {
		s.Add(v.otherNode("card.other"))
	}
	s.Add(v.foot(true, scene.Node{})...)
	return s
}

func askingCAN(v *Visit) scene.Scene {
	s := v.scene(AskingCAN, scene.Question, v.in("can.title"))
	s.Add(v.lead("can.lead"))
	tone, hint := scene.Neutral, text.Key("can.hint")
	if v.Voice { // who listens says when
		hint = "can.heard"
	}
	switch {
	case v.Wrong != "":
		tone = scene.Bad
		s.Add(scene.Node{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: v.in(v.Wrong)})
	case v.Fault.Key != "" && v.Typed == "":
		tone = scene.Bad
		s.Add(scene.Node{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: v.in(v.Fault.Key + ".lead")})
	}
	s.Add(
		scene.Node{ID: "field", Role: scene.Field, Tone: tone, Name: v.in("can.label"), Value: text.Say(v.Lang, text.Digits, spaced(v.Typed, 3)), Hint: v.in(hint), Private: v.Typed != ""},
	)
	if v.TextSize < scene.TextLarge { // larger words need the room; the lead says the same
		s.Add(scene.Node{ID: "figure", Role: scene.Figure, Icon: "figure-can", Name: v.in("can.figure")})
	}
	s.Add(scene.Node{ID: "no-can", Role: scene.Button, Icon: "card", Name: v.in("can.none"), Action: NoCAN{}})
	s.Add(v.keypad()...)
	s.Add(v.foot(true, v.entered("can.next", len(v.Typed) == canDigits))...)
	return s
}

// entered is the way forward from a field: reachable always, said to be
// unavailable until the field is complete.
func (v *Visit) entered(name text.Key, complete bool) scene.Node {
	n := scene.Node{ID: "next", Name: v.in(name), Action: Entered{}, Primary: true}
	if !complete {
		n.Unavailable = true
	}
	return n
}

// keypad is the digits as a telephone has them (ADA 707.6.2).
func (v *Visit) keypad() []scene.Node {
	var keys []scene.Node
	for _, d := range "123456789" {
		keys = append(keys, v.key(d))
	}
	keys = append(keys,
		scene.Node{ID: "key.clear", Role: scene.Key, Icon: "cross", Name: v.in("key.leave"), Action: Cancelled{}},
		v.key('0'),
		scene.Node{ID: "key.erase", Role: scene.Key, Icon: "erase", Name: v.in("key.erase"), Action: Erased{}},
	)
	return keys
}

func (v *Visit) key(r rune) scene.Node {
	return scene.Node{ID: "key." + string(r), Role: scene.Key, Name: text.Say(v.Lang, text.Digits, string(r)), Action: Typed{r}}
}

// spaced sets a thin gap after every n digits.
func spaced(s string, n int) string {
	out := ""
	for i, r := range s {
		if i > 0 && i%n == 0 {
			out += " "
		}
		out += string(r)
	}
	return out
}

func (v *Visit) waiting(id State, title, under text.Key, more ...scene.Node) scene.Scene {
	s := v.scene(id, scene.Waiting, v.in(title))
	s.Add(scene.Node{ID: "progress", Role: scene.Progress, Icon: "wait", Name: v.in(under)})
	s.Add(more...)
	s.Add(v.foot(id == Reading, scene.Node{})...)
	return s
}

func reading(v *Visit) scene.Scene {
	var early []scene.Node
	if v.Early != "" {
		early = []scene.Node{{ID: "early", Role: scene.Note, Name: v.in("reading.hello", v.name(v.Early)), Private: true}}
	}
	return v.waiting(Reading, "reading.title", "reading.lead", early...)
}

func prefilling(v *Visit) scene.Scene {
	return v.waiting(Prefilling, "prefill.title", "prefill.lead")
}
func looking(v *Visit) scene.Scene { return v.waiting(Looking, "looking.title", "looking.lead") }

func sending(v *Visit) scene.Scene {
	if v.Stage == Unsent { // stored is said when it is
		return v.waiting(Sending, "sending.title", "sending.storing")
	}
	return v.waiting(Sending, "sending.title", "sending.lead", v.numberNode())
}

func (v *Visit) name(given string) text.Arg {
	return text.Arg{Name: "name", Words: text.Say(text.Az, text.Name, given)}
}

func choosing(v *Visit) scene.Scene {
	s := v.scene(Choosing, scene.Menu, v.in("choosing.title", v.name(v.Holder.GivenNames)))
	s.Role(scene.Title).Private = true
	s.Add(v.lead("choosing.lead"))
	for _, svc := range v.Catalogue.Open(true) {
		s.Add(v.serviceNode(svc, false))
	}
	s.Add(v.foot(false, scene.Node{})...)
	s.Add(v.line())
	return s
}

func filling(v *Visit) scene.Scene {
	f := v.field()
	s := v.scene(Filling, scene.Question, f.Title.In(v.Lang))
	if f.Hint.Az != "" && f.Type == catalogue.Choice {
		s.Add(scene.Node{ID: "lead", Role: scene.Lead, Name: f.Hint.In(v.Lang)})
	}
	s.Add(v.step(1)...)
	if v.Service.Submit && v.Line != nil {
		s.Add(scene.Node{ID: "offline", Role: scene.Note, Icon: "clock", Name: v.in("question.offline")})
	}
	if f.Type == catalogue.Choice {
		for _, o := range f.Options {
			s.Add(scene.Node{
				ID: "option." + o.ID, Role: scene.Choice, Name: o.Name.In(v.Lang), Selected: v.Answers[f.ID] == o.ID,
				Action: Answered{f.ID, o.ID},
			})
		}
		s.Add(v.foot(true, scene.Node{})...)
		return s
	}
	tone := scene.Neutral
	if v.Wrong != "" {
		tone = scene.Bad
		s.Add(scene.Node{ID: "wrong", Role: scene.Note, Tone: scene.Bad, Name: v.in(v.Wrong)})
	}
	s.Add(scene.Node{
		ID: "field", Role: scene.Field, Tone: tone, Name: f.Label.In(v.Lang), Hint: f.Hint.In(v.Lang),
		Value: text.Say(v.Lang, text.Digits, spaced(v.Typed, 4)),
	})
	s.Add(v.keypad()...)
	s.Add(v.foot(true, v.entered("question.next", f.Valid(v.Typed)))...)
	return s
}

// step says where in the form the person is: the questions, the review, the
// consent, the signature.
func (v *Visit) step(n int) []scene.Node {
	if !v.Service.Submit {
		return nil
	}
	of := len(v.Service.Fields) + 2
	if v.Service.Sign {
		of++
	}
	if n == 1 {
		n = v.Field + 1
	}
	return v.stepOf(n, of)
}

func (v *Visit) stepOf(n, of int) []scene.Node {
	said := v.in("step",
		text.Arg{Name: "n", Words: text.Say(v.Lang, text.Plain, strconv.Itoa(n))},
		text.Arg{Name: "of", Words: text.Say(v.Lang, text.Plain, strconv.Itoa(of))})
	words := text.Words{{Lang: v.Lang, Text: strconv.Itoa(n) + " / " + strconv.Itoa(of), Say: said.String()}}
	return []scene.Node{{ID: "step", Role: scene.Step, Name: words}}
}

func reviewing(v *Visit) scene.Scene {
	s := v.scene(Reviewing, scene.Review, v.in("review.title"))
	s.Add(v.lead("review.lead"))
	s.Add(v.step(len(v.Service.Fields) + 1)...)
	known := v.known()
	s.Add(
		scene.Node{ID: "datum.name", Role: scene.Datum, Name: v.in("review.name"), Value: v.fullName(), Hint: known, Private: true},
		scene.Node{ID: "datum.fin", Role: scene.Datum, Name: v.in("review.fin"), Value: text.Say(v.Lang, text.Masked, v.Holder.MaskedFIN()), Hint: known, Private: true},
	)
	s.Add(v.registerData()...)
	for _, f := range v.Service.Fields {
		s.Add(scene.Node{
			ID: "change." + f.ID, Role: scene.Datum, Name: f.Label.In(v.Lang), Value: v.answer(&f),
			Hint: v.in("source.you"), Does: v.in("review.change"), Action: ChangeAsked{f.ID},
		})
	}
	s.Add(v.foot(true, scene.Node{ID: "next", Name: v.in("review.next"), Action: Confirmed{}, Primary: true})...)
	return s
}

// known is where the person's name comes from: the chip, or the means that they
// came by.
func (v *Visit) known() text.Words {
	if m := v.Catalogue.MeansOf(catalogue.MeansID(v.Login.Means)); m != nil && !v.Carded {
		return v.in("source.register", text.Arg{Name: "register", Words: m.Name.In(v.Lang)})
	}
	return v.in("source.chip")
}

// answer is the person's own answer to a field, in words.
func (v *Visit) answer(f *catalogue.Field) text.Words {
	if o := f.Option(v.Answers[f.ID]); o != nil {
		return o.Name.In(v.Lang)
	}
	return text.Say(v.Lang, text.Digits, spaced(v.Answers[f.ID], 4))
}

func (v *Visit) fullName() text.Words {
	return text.Say(text.Az, text.Name, v.Holder.GivenNames+" "+v.Holder.Surname)
}

// registerData is what the register knew, each datum with its source; without
// an answer it says who will fill it in.
func (v *Visit) registerData() []scene.Node {
	var nodes []scene.Node
	if v.Register != nil || len(v.Found) == 0 {
		for _, d := range v.Service.Data {
			if v.Answers[d.ID] != "" {
				continue
			}
			nodes = append(nodes, scene.Node{ID: "datum." + d.ID, Role: scene.Datum, Name: d.Label.In(v.Lang), Value: v.in("review.later")})
		}
		return nodes
	}
	source := text.Join(", ", v.Service.Register.In(v.Lang), text.Moment(v.Lang, v.FoundAt))
	for _, f := range v.ordered(v.Found) {
		d := v.Service.Datum(f.ID)
		nodes = append(nodes, scene.Node{
			ID: "datum." + f.ID, Role: scene.Datum, Name: d.Label.In(v.Lang), Value: v.value(d, f),
			Hint: v.in("source.register", text.Arg{Name: "register", Words: source}), Private: v.Holder != nil,
		})
	}
	return nodes
}

// ordered are the data that the service knows, in its order: a register gives
// them in any.
func (v *Visit) ordered(data []Found) []Found {
	var all []Found
	for _, d := range v.Service.Data {
		for _, f := range data {
			if f.ID == d.ID {
				all = append(all, f)
			}
		}
	}
	return all
}

// value is a register's datum in words.
func (v *Visit) value(d *catalogue.Datum, f Found) text.Words {
	return receipt.Value(v.Lang, d, f.Value, f.Lang)
}

// ConsentItems are the six things that the law on personal data asks to be
// named: person, operator, purpose, data and operations, period and revocation,
// deletion.
var ConsentItems = []string{"person", "operator", "purpose", "operations", "period", "deletion"}

// consent is the text that the person agrees to, item by item.
func (v *Visit) consent(item string) text.Words {
	switch item {
	case "person":
		return v.fullName()
	case "operator":
		return v.Catalogue.Agency(v.Service.Agency).Name.In(v.Lang)
	case "purpose":
		return v.Service.Name.In(v.Lang)
	case "operations":
		if own := v.Service.Operations.In(v.Lang); !own.Empty() {
			return own
		}
	}
	return v.in(text.Key("consent." + item + "_value"))
}

// agreement is the consent as it stands on the screen.
func (v *Visit) agreement() Agreement {
	a := Agreement{Lang: v.Lang, Items: map[string]string{}}
	for _, item := range ConsentItems {
		a.Items[item] = v.consent(item).String()
	}
	return a
}

func consenting(v *Visit) scene.Scene {
	s := v.scene(Consenting, scene.Consent, v.in("consent.title"))
	lead, next := text.Key("consent.lead"), text.Key("consent.next")
	if v.Service.Sign {
		lead, next = "consent.lead_sign", "consent.next_sign"
	}
	s.Add(v.lead(lead))
	s.Add(v.step(len(v.Service.Fields) + 2)...)
	for _, item := range ConsentItems {
		s.Add(scene.Node{
			ID: "consent." + item, Role: scene.Datum, Name: v.in(text.Key("consent." + item)), Value: v.consent(item),
			Private: item == "person",
		})
	}
	if v.Line != nil {
		s.Add(scene.Node{ID: "offline", Role: scene.Note, Icon: "clock", Name: v.in("question.offline")})
	}
	s.Add(v.foot(true, scene.Node{ID: "next", Name: v.in(next), Action: Agreed{}, Primary: true})...)
	return s
}

func answering(v *Visit) scene.Scene {
	title := v.in("answer.title")
	tone := scene.Neutral
	if len(v.Found) > 0 {
		if d := v.Service.Datum(v.Found[0].ID); d != nil {
			title = v.value(d, v.Found[0])
			if val := d.Value(v.Found[0].Value); val != nil && val.Good {
				tone = scene.Good
			}
		}
	}
	s := v.scene(Answering, scene.Result, title)
	s.Role(scene.Title).Tone = tone
	for _, f := range v.Service.Fields {
		s.Add(scene.Node{ID: "asked." + f.ID, Role: scene.Datum, Name: f.Label.In(v.Lang), Value: v.answer(&f), Hint: v.in("source.you")})
	}
	s.Add(v.registerData()...)
	s.Add(v.paperNodes()...)
	if !v.Printed && !v.Printing {
		s.Add(scene.Node{ID: "print", Role: scene.Button, Icon: "printer", Name: v.in("answer.print"), Action: PrintAsked{}})
	}
	s.Add(v.foot(true, v.finishNode())...)
	return s
}

func (v *Visit) numberNode() scene.Node {
	n := scene.Node{ID: "number", Role: scene.Datum, Name: v.in("result.number"), Value: text.Say(v.Lang, text.Number, v.Number), Private: true}
	if v.State == Ending && v.PrintWord == "" && !v.Retracted { // where there is a slip
		n.Hint = v.in("result.keep")
	}
	return n
}

func ending(v *Visit) scene.Scene {
	key := v.output(map[Stage]text.Key{Stored: "result.stored", Accepted: "result.accepted", Done: "result.done"}[v.Stage])
	s := v.scene(Ending, scene.Result, v.in(key+".title"))
	if v.Stage == Done {
		s.Role(scene.Title).Tone = scene.Good
	}
	s.Add(v.lead(key+".lead"), v.numberNode())
	s.Add(v.paperNodes()...)
	if v.TextSize >= scene.TextLarge && s.Find("code") != nil { // so that the code is on the page that tells of it
		unnamed(&s)
	}
	for i, row := range v.printedRows() { // all that the paper says is seen and heard (EN 301 549, 5.1.3.16)
		s.Add(scene.Node{
			ID: "slip." + strconv.Itoa(i+1), Role: scene.Datum, Name: row.Label, Value: row.Value, Private: true,
		})
	}
	s.Add(v.foot(false, v.finishNode())...)
	return s
}

// finishNode ends the visit, once the slip is out or given up.
func (v *Visit) finishNode() scene.Node {
	return scene.Node{ID: "finish", Name: v.in("result.finish"), Action: Finished{}, Primary: true, Unavailable: v.Printing}
}

func failing(v *Visit) scene.Scene {
	s := v.scene(Failing, scene.Problem, v.told(".title"))
	s.Add(scene.Node{ID: "lead", Role: scene.Note, Tone: scene.Bad, Name: v.told(".lead")})
	s.Add(scene.Node{ID: "what", Role: scene.Text, Name: v.told(".next")})
	if v.Number != "" {
		s.Add(v.numberNode())
	}
	s.Add(scene.Node{ID: "call", Role: scene.Note, Icon: "phone", Name: v.in("help.call")})
	if v.Fault.Again != "" {
		again := text.Key("problem.again")
		if v.Fault.Again == ChoosingMeans && v.Proving.Barred[v.Proving.Use] {
			again = "problem.other"
		}
		s.Add(v.foot(false, scene.Node{ID: "retry", Name: v.in(again), Action: Retried{}, Primary: true})...)
		return s
	}
	s.Add(v.foot(false, v.finishNode())...)
	return s
}

// told is a phrase of the fault, with the name of the PIN that it is about.
func (v *Visit) told(part text.Key) text.Words {
	return v.in(v.Fault.Key+part, text.Arg{Name: "pin", Words: v.used("pin.label")})
}

func takingCard(v *Visit) scene.Scene {
	s := scene.Scene{ID: string(TakingCard), Kind: scene.Insert, MustHear: v.in("take.title")}
	if v.Reminds%2 == 1 { // what must be heard is said again when its words are new
		s.MustHear = text.Join(": ", s.MustHear, v.in("take.lead"))
	}
	s.Add(v.tools()...)
	s.Add(
		scene.Node{ID: "title", Role: scene.Title, Name: v.in("take.title")}, v.lead("take.lead"),
		scene.Node{ID: "figure", Role: scene.Figure, Icon: "figure-take", Name: v.in("take.figure")},
	)
	s.Add(v.slipNodes()...)
	if v.Bye != "" {
		s.Add(scene.Node{ID: "bye", Role: scene.Note, Tone: scene.Good, Icon: "lock", Name: v.in(v.Bye + ".lead")})
	}
	return s
}

func parting(v *Visit) scene.Scene {
	s := scene.Scene{ID: string(Parting), Kind: scene.Result}
	s.Add(v.tools()...)
	tone := scene.Neutral // of a fault's words, too
	if slices.Contains([]text.Key{"parting.thanks", "parting.storing", "parting.sent"}, v.Bye) {
		tone = scene.Good
	}
	s.Add(
		scene.Node{ID: "title", Role: scene.Title, Name: v.in(v.Bye + ".title"), Tone: tone},
		v.lead(v.Bye+".lead"))
	s.Add(v.slipNodes()...)
	s.Add(
		scene.Node{ID: "forgot", Role: scene.Note, Icon: "lock", Tone: scene.Good, Name: v.in("parting.forgot")},
	)
	s.Add(scene.Node{ID: "again", Role: scene.Next, Name: v.in("parting.again"), Action: Finished{}, Primary: true})
	return s
}

func stillThere(v *Visit) scene.Scene {
	s := v.scene("still-there", scene.Problem, v.in("still.title"))
	s.Add(v.lead("still.lead"))
	s.Add(v.foot(false, scene.Node{ID: "still", Name: v.in("still.yes"), Action: StillHere{}, Primary: true})...)
	return s
}

func helping(v *Visit) scene.Scene {
	s := v.scene("help", scene.Menu, v.in("help.title"))
	s.Add(
		scene.Node{ID: "call", Role: scene.Note, Icon: "phone", Name: v.in("help.call")},
		scene.Node{ID: "keys", Role: scene.Heading, Name: v.in("help.keys_title")},
		scene.Node{ID: "keys.move", Role: scene.Text, Name: v.in("help.keys_move")},
		scene.Node{ID: "keys.where", Role: scene.Text, Name: v.in("help.keys_where")},
		scene.Node{ID: "privacy.title", Role: scene.Heading, Name: v.in("help.privacy_title")},
		scene.Node{ID: "privacy", Role: scene.Text, Name: v.in("help.privacy")},
	)
	s.Add(v.foot(true, scene.Node{})...)
	return s
}
