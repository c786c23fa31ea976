package session

import (
	"errors"
	"maps"
	"slices"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/offline"
)

// A rule says what an event does in a state, and which states it can lead to.
type rule struct {
	from State
	on   Event // a zero value of the event's type
	to   []State
	do   func(v *Visit, e Event) (State, []Effect) // nil: go to the first of to
}

func (r *rule) take(v *Visit, e Event) []Effect {
	if r.do == nil {
		v.State = r.to[0]
		return nil
	}
	next, effects := r.do(v, e)
	if !slices.Contains(r.to, next) {
		panic("session: " + string(r.from) + " leads to " + string(next) + " against its rule")
	}
	v.State = next
	return effects
}

func to(s ...State) []State { return s }

// rules is the whole visit, in its order. What can happen in every state (the
// card leaves, the person leaves, a setting changes) stands in leave.go.
var rules = []rule{
	{Attracting, LanguageChosen{}, to(Home), chooseLanguage},
	{Attracting, CardIn{}, to(AskingCAN, Failing), cardCame},

	{Home, WithCard{}, to(AskingCard, AskingCAN, Choosing, Failing), withCard},
	{Home, WithoutCard{}, to(Open), nil},
	{Home, ServicePicked{}, to(AskingCard, AskingCAN, OpeningKeys, ChoosingMeans, Filling, Failing), pick},
	{Home, CardIn{}, to(AskingCAN, Failing), cardCame},
	{Home, WentBack{}, to(Attracting, TakingCard), homeBack},

	{Open, ServicePicked{}, to(Filling, Failing, AskingCard, AskingCAN, OpeningKeys, ChoosingMeans), pick},
	{Open, WentBack{}, to(Home), nil},

	{AskingCard, CardIn{}, to(AskingCAN, Reading), cardHere},
	{AskingCard, ReaderWent{}, to(Failing), readerWent},
	{AskingCard, OtherMeans{}, to(ChoosingMeans), otherMeans},
	{AskingCard, WentBack{}, to(Home, CheckingZone), cardBack},

	{AskingCAN, Typed{}, to(AskingCAN, Reading, AskingCard), typeCAN},
	{AskingCAN, Erased{}, to(AskingCAN), erase},
	{AskingCAN, Entered{}, to(Reading, AskingCAN, AskingCard), enterCAN},
	{AskingCAN, NoCAN{}, to(AskingNumber), askZone},
	{AskingCAN, ReaderWent{}, to(Failing), readerWent},
	{AskingCAN, WentBack{}, to(Home), unpick},

	{AskingNumber, Typed{}, to(AskingNumber, AskingBirth, CheckingZone), typeNumber},
	{AskingNumber, PadTurned{}, to(AskingNumber), turnPad},
	{AskingNumber, Erased{}, to(AskingNumber), erase},
	{AskingNumber, Entered{}, to(AskingNumber, AskingBirth, CheckingZone), enterNumber},
	{AskingNumber, WentBack{}, to(AskingCAN, AskingCard, Home, CheckingZone), entryBack},

	{AskingBirth, Typed{}, to(AskingBirth, AskingExpiry, CheckingZone), typeDate},
	{AskingBirth, Erased{}, to(AskingBirth), erase},
	{AskingBirth, Entered{}, to(AskingBirth, AskingExpiry, CheckingZone), enterDate},
	{AskingBirth, WentBack{}, to(AskingNumber, CheckingZone), entryBack},

	{AskingExpiry, Typed{}, to(AskingExpiry, Reading, AskingCard, CheckingZone), typeDate},
	{AskingExpiry, Erased{}, to(AskingExpiry), erase},
	{AskingExpiry, Entered{}, to(AskingExpiry, Reading, AskingCard, CheckingZone), enterDate},
	{AskingExpiry, WentBack{}, to(AskingBirth, CheckingZone), entryBack},

	{CheckingZone, ChangeAsked{}, to(AskingNumber, AskingBirth, AskingExpiry, CheckingZone), mend},
	{CheckingZone, Confirmed{}, to(Reading, AskingCard, CheckingZone), confirmZone},
	{CheckingZone, WentBack{}, to(AskingCAN, AskingCard, Home), leaveZone},

	{Reading, NameRead{}, to(Reading), nameRead},
	{Reading, HolderRead{}, to(Choosing, OpeningKeys, ChoosingMeans, Filling, Failing), holderRead},
	{Reading, ReadFailed{}, to(AskingCAN, AskingNumber, CheckingZone, Failing), readFailed},
	{Reading, WentBack{}, to(AskingCAN, CheckingZone), readingBack},

	{Choosing, ServicePicked{}, to(OpeningKeys, ChoosingMeans, Filling, Failing), pick},

	{ChoosingMeans, MeansPicked{}, to(OpeningKeys, AskingCard, AskingCAN, Crediting, Approving, ChoosingMeans), pickMeans},
	{ChoosingMeans, WentBack{}, to(Home, Choosing, Consenting), meansBack},

	{Crediting, Typed{}, to(Crediting), typeCredential},
	{Crediting, Erased{}, to(Crediting), eraseSecret},
	{Crediting, Entered{}, to(Crediting, Approving), enterCredential},
	{Crediting, WentBack{}, to(ChoosingMeans), backToMeans},

	{OpeningKeys, KeysOpened{}, to(AskingPIN, VerifyingPIN, Failing, OpeningKeys), keysOpened},
	{OpeningKeys, ProofFailed{}, to(Failing, OpeningKeys), proofFailed},

	{AskingPIN, Typed{}, to(AskingPIN), typePIN},
	{AskingPIN, Erased{}, to(AskingPIN), eraseSecret},
	{AskingPIN, Entered{}, to(AskingPIN, VerifyingPIN), enterPIN},
	{AskingPIN, OtherMeans{}, to(ChoosingMeans), nil},
	{AskingPIN, ReaderWent{}, to(Failing), readerWent},
	{AskingPIN, WentBack{}, to(Choosing, Consenting), meansBack},

	{VerifyingPIN, Proved{}, to(Filling, Sending, Failing, VerifyingPIN), proved},
	{VerifyingPIN, ProofFailed{}, to(AskingPIN, Failing, VerifyingPIN), proofFailed},

	{Approving, Prompted{}, to(Approving), prompted},
	{Approving, Proved{}, to(Choosing, Filling, Sending, Failing, Approving), proved},
	{Approving, ProofFailed{}, to(Failing, Approving), proofFailed},
	{Approving, WentBack{}, to(ChoosingMeans), withdraw},

	{Filling, Answered{}, to(Filling, Looking, Prefilling, Reviewing, Failing), answer},
	{Filling, Typed{}, to(Filling), typeField},
	{Filling, Erased{}, to(Filling), erase},
	{Filling, Entered{}, to(Filling, Looking, Prefilling, Reviewing, Failing), enterField},
	{Filling, LookedUp{}, to(Filling), found},
	{Filling, LookupFailed{}, to(Filling), notFound},
	{Filling, WentBack{}, to(Filling, Choosing, Open, Reviewing), fieldBack},

	{Prefilling, LookedUp{}, to(Reviewing, Prefilling), found},
	{Prefilling, LookupFailed{}, to(Reviewing, Prefilling, Failing), notFound},

	{Reviewing, ChangeAsked{}, to(Filling), change},
	{Reviewing, Confirmed{}, to(Consenting), confirm},
	{Reviewing, WentBack{}, to(Filling), reviewBack},

	{Consenting, Agreed{}, to(Sending, OpeningKeys, ChoosingMeans, Reviewing), agree},
	{Consenting, WentBack{}, to(Reviewing), nil},

	{Sending, PutDone{}, to(Sending), putDone},
	{Sending, PutFailed{}, to(Failing), putFailed},
	{Sending, BusAccepted{}, to(Sending), accepted},
	{Sending, OutcomeCame{}, to(Ending), outcome},
	{Sending, RefusedCame{}, to(Failing), refused},
	{Sending, WaitEnded{}, to(Ending, Sending), waited},

	{Looking, LookedUp{}, to(Answering, Looking), found},
	{Looking, LookupFailed{}, to(Failing, Looking), lookFailed},

	{Answering, PrintAsked{}, to(Answering), printAsked},
	{Answering, SlipPrinted{}, to(Answering), printed},
	{Answering, Finished{}, to(TakingCard, Parting, Answering), finish},
	{Answering, WentBack{}, to(Filling, Answering), answerBack},

	{Ending, PagePrinted{}, to(Ending), paged},
	{Ending, SlipPrinted{}, to(Ending), printed},
	{Ending, Finished{}, to(TakingCard, Parting, Ending), finish},

	{Failing, Retried{}, to(AskingCard, AskingCAN, Reading, CheckingZone, ChoosingMeans, Filling, Home), retry},
	{Failing, CardIn{}, to(AskingCAN, Reading, CheckingZone, Failing), cardAgain},
	{Failing, Finished{}, to(TakingCard, Parting), finish},

	{TakingCard, TimeUp{}, to(TakingCard), func(v *Visit, _ Event) (State, []Effect) {
		v.Reminds++
		return TakingCard, []Effect{Wait{takeCardAgain, TimeUp{}}}
	}},

	{Parting, TimeUp{}, to(Attracting, Parting), partingOver},
	{Parting, Finished{}, to(Attracting), nil},
	{Parting, CardIn{}, to(AskingCAN, Failing), func(v *Visit, e Event) (State, []Effect) {
		effects := v.anew()
		next, _ := cardCame(v, e)
		return next, effects
	}},
}

func chooseLanguage(v *Visit, e Event) (State, []Effect) {
	v.Lang = e.(LanguageChosen).Lang
	return Home, nil
}

func withCard(v *Visit, e Event) (State, []Effect) {
	if v.Holder != nil {
		return Choosing, nil
	}
	return askCard(v, e)
}

// askCard asks for the card, or for its number when it is in. A card whose
// number was tried too often has to be put in again.
func askCard(v *Visit, _ Event) (State, []Effect) {
	if v.NoTrust {
		return v.fail(faultOf(identity.ErrStale))
	}
	if v.CardIn && v.Tries < maxTries {
		return AskingCAN, nil
	}
	return AskingCard, nil
}

// cardCame asks for the number of the card that was put in, where it can be
// believed.
func cardCame(v *Visit, _ Event) (State, []Effect) {
	if v.NoTrust {
		return v.fail(faultOf(identity.ErrStale))
	}
	return AskingCAN, nil
}

// homeBack ends the visit; nobody's card is left in the slot.
func homeBack(v *Visit, _ Event) (State, []Effect) {
	if !v.CardIn {
		return Attracting, nil
	}
	next, _ := v.end("parting.cancelled")
	return next, []Effect{Forget{}}
}

// pick chooses a service: it asks for the card first where that is needed and
// not yet known, and asks the register while the person answers.
func pick(v *Visit, e Event) (State, []Effect) {
	v.Service, v.Answers = v.Catalogue.Service(e.(ServicePicked).ID), nil // those of another request
	return v.begin()
}

func (v *Visit) begin() (State, []Effect) {
	s := v.Service
	known := s.Level == catalogue.Anyone || v.Holder != nil && catalogue.Level(v.Holder.Assurance.String()).Reaches(s.Level)
	switch {
	case s.Level != catalogue.Anyone && v.Holder == nil:
		return askCard(v, nil)
	case !known && !v.provable(s.Level):
		return v.fail(faultOf(errLevel))
	case !s.Submit && v.Line != nil:
		return v.fail(faultOf(v.Line))
	case s.Submit && v.Full:
		return v.fail(faultOf(errFull))
	case !known:
		return v.prove(identity.Login)
	}
	// Nothing of an earlier request goes into this one.
	v.Person = Person{
		Service: s, Holder: v.Holder, Carded: v.Carded, Login: v.Login, Tries: v.Tries, Answers: map[string]string{},
		Proving: Proving{Barred: v.Proving.Barred, Claim: v.Proving.Claim},
	}
	switch {
	case !s.Submit:
		return Filling, nil
	case s.Lookup == "":
		v.Told = true
		return Filling, nil
	case v.Line != nil:
		v.Told, v.Register = true, v.Line
		return Filling, nil
	}
	return Filling, []Effect{Lookup{s.ID, s.Lookup, map[string]string{"fin": v.Holder.FIN}}}
}

func unpick(v *Visit, _ Event) (State, []Effect) {
	v.Service, v.Fault = nil, Fault{}
	return Home, nil
}

// typeCAN takes a digit of the number, and with the last one begins to read: the
// lead says so before (WCAG 2.2, 3.2.2), and the way back keeps what was typed.
// Who listens is asked for a word first, since they can't see what they typed.
func typeCAN(v *Visit, e Event) (State, []Effect) {
	r := e.(Typed).Rune
	if r < '0' || r > '9' || len(v.Typed) >= canDigits {
		return AskingCAN, nil
	}
	v.Typed += string(r)
	v.Wrong = ""
	if len(v.Typed) == canDigits && !v.Voice {
		return enterCAN(v, Entered{})
	}
	return AskingCAN, nil
}

func erase(v *Visit, _ Event) (State, []Effect) {
	if r := []rune(v.Typed); len(r) > 0 {
		v.Typed = string(r[:len(r)-1])
	}
	v.Wrong = ""
	return v.State, nil
}

func enterCAN(v *Visit, _ Event) (State, []Effect) {
	if len(v.Typed) != canDigits {
		v.Wrong = "can.short"
		return AskingCAN, nil
	}
	if v.Tries >= maxTries { // some were given up
		return AskingCard, nil
	}
	v.Tries++
	v.CAN, v.Fault = v.Typed, Fault{}
	return Reading, []Effect{ReadHolder{CAN: v.Typed}}
}

// readingBack gives up reading, so that what was typed can be corrected.
func readingBack(v *Visit, _ Event) (State, []Effect) {
	v.Early = ""
	if v.Zone.Used {
		return CheckingZone, []Effect{Unread{}}
	}
	return AskingCAN, []Effect{Unread{}}
}

func nameRead(v *Visit, e Event) (State, []Effect) {
	v.Early = e.(NameRead).GivenNames
	return Reading, nil
}

func holderRead(v *Visit, e Event) (State, []Effect) {
	h := e.(HolderRead).Holder
	v.Holder, v.Early, v.CAN, v.Zone, v.Tries, v.Carded = &h, "", "", Zone{}, 0, true
	if v.Service == nil {
		return Choosing, nil
	}
	return v.begin()
}

func readFailed(v *Visit, e Event) (State, []Effect) {
	err := e.(ReadFailed).Err
	v.Early, v.CAN = "", ""
	switch {
	case v.Zone.Used:
		return v.zoneFailed(err)
	case errors.Is(err, card.ErrWantsMRZ):
		v.Zone.Only = true
		return askZone(v, e)
	case errors.Is(err, card.ErrWrongCAN) && v.Tries < maxTries:
		v.Fault = faultOf(err)
		return AskingCAN, nil
	}
	return v.fail(faultOf(err))
}

func readerWent(v *Visit, _ Event) (State, []Effect) { return v.fail(faultOf(card.ErrNoReader)) }

func (v *Visit) fail(f Fault) (State, []Effect) {
	v.Fault = f
	return Failing, nil
}

func (v *Visit) field() *catalogue.Field { return &v.Service.Fields[v.Field] }

func answer(v *Visit, e Event) (State, []Effect) {
	a := e.(Answered)
	if f := v.field(); f.ID != a.Field || !f.Valid(a.Value) {
		return Filling, nil
	}
	v.Answers[a.Field] = a.Value
	return v.answered()
}

// answered goes on to the next question, or, after the last, to the review or
// the answer.
func (v *Visit) answered() (State, []Effect) {
	switch {
	case !v.Change && v.Field+1 < len(v.Service.Fields):
		v.Field++
		v.Typed, v.Wrong = "", ""
		return Filling, nil
	case !v.Service.Submit:
		return Looking, []Effect{Lookup{v.Service.ID, v.Service.Lookup, maps.Clone(v.Answers)}}
	case v.Told:
		return v.review()
	}
	return Prefilling, nil
}

func typeField(v *Visit, e Event) (State, []Effect) {
	r := e.(Typed).Rune
	if v.field().Type == catalogue.IMEI && r >= '0' && r <= '9' && len(v.Typed) < 15 {
		v.Typed += string(r)
		v.Wrong = ""
	}
	return Filling, nil
}

func enterField(v *Visit, _ Event) (State, []Effect) {
	f := v.field()
	if f.Type == catalogue.Choice {
		return Filling, nil
	}
	if !f.Valid(v.Typed) {
		v.Wrong = text.Key("wrong." + string(f.Type))
		if len(v.Typed) < 15 {
			v.Wrong += "_short"
		}
		return Filling, nil
	}
	v.Answers[f.ID] = v.Typed
	return v.answered()
}

func found(v *Visit, e Event) (State, []Effect) {
	l := e.(LookedUp)
	if l.For != v.Service.ID {
		return v.State, nil
	}
	v.Told, v.Found, v.FoundAt, v.Register = true, l.Found, l.At, nil
	switch v.State {
	case Prefilling:
		return Reviewing, nil
	case Looking:
		return Answering, nil
	}
	return v.State, nil
}

func notFound(v *Visit, e Event) (State, []Effect) {
	l := e.(LookupFailed)
	if l.For != v.Service.ID {
		return v.State, nil
	}
	v.Told, v.Register = true, l.Err
	if v.State == Prefilling {
		return v.review()
	}
	return v.State, nil
}

// review shows what will be sent. What the register has refused for good is said
// before anybody agrees to it, or signs it.
func (v *Visit) review() (State, []Effect) {
	if denied(v.Register) {
		return v.fail(faultOf(v.Register))
	}
	return Reviewing, nil
}

func lookFailed(v *Visit, e Event) (State, []Effect) {
	l := e.(LookupFailed)
	if l.For != v.Service.ID {
		return Looking, nil
	}
	return v.fail(faultOf(l.Err))
}

func fieldBack(v *Visit, _ Event) (State, []Effect) {
	switch {
	case v.Change:
		return Reviewing, nil
	case v.Field > 0:
		v.Field--
		v.Typed, v.Wrong = "", ""
		return Filling, nil
	case v.Holder != nil:
		v.Service = nil
		return Choosing, nil
	}
	v.Service = nil
	return Open, nil
}

func change(v *Visit, e Event) (State, []Effect) {
	for i, f := range v.Service.Fields {
		if f.ID == e.(ChangeAsked).Field {
			v.Field, v.Change = i, true
		}
	}
	return Filling, nil
}

func reviewBack(v *Visit, _ Event) (State, []Effect) {
	v.Field, v.Change = len(v.Service.Fields)-1, false
	return Filling, nil
}

func putDone(v *Visit, e Event) (State, []Effect) {
	d := e.(PutDone)
	v.ID, v.Number, v.SentAt, v.Token, v.Stage = d.ID, d.Number, d.At, d.Token, Stored
	return Sending, nil
}

func putFailed(v *Visit, e Event) (State, []Effect) {
	f := e.(PutFailed)
	if errors.Is(f.Err, offline.ErrUnknown) {
		v.Number = f.Number
	}
	return v.fail(faultOf(f.Err))
}

func accepted(v *Visit, e Event) (State, []Effect) {
	v.Stage, v.Token = Accepted, e.(BusAccepted).Token
	return Sending, nil
}

func refused(v *Visit, e Event) (State, []Effect) {
	return v.fail(refusal(e.(RefusedCame).Reason))
}

// waited gives up waiting for the outcome. There is no slip before the request
// is stored.
func waited(v *Visit, e Event) (State, []Effect) {
	if v.Stage == Unsent {
		return Sending, nil
	}
	return printNow(v, e)
}

func retry(v *Visit, _ Event) (State, []Effect) {
	f := v.Fault
	v.Fault = Fault{}
	switch {
	case f.Again == ChoosingMeans && v.Proving.Use != "":
		return ChoosingMeans, nil
	case f.Again == CheckingZone && v.Zone.Used:
		return CheckingZone, nil
	case f.Again == AskingCard:
		v.unknow()
		if v.CardIn && f.CardStays {
			return cardHere(v, nil)
		}
		return AskingCard, nil
	case f.Again == Filling && v.Service != nil && v.Answers != nil: // a request that was begun
		return Filling, nil
	}
	v.Service = nil
	return Home, nil
}

// unknow forgets who is here, and what they were asked to prove: the card says it
// anew.
func (v *Visit) unknow() {
	v.Holder, v.Login, v.Carded, v.Proving.Use = nil, identity.Proof{}, false, ""
}

// cardAgain takes a card that is put in again as the wish to try again.
func cardAgain(v *Visit, _ Event) (State, []Effect) {
	switch {
	case v.Fault.Again == CheckingZone && v.Zone.Used:
		v.Fault = Fault{}
		return CheckingZone, nil
	case v.Fault.Again != AskingCard:
		return Failing, nil
	}
	v.Fault = Fault{}
	v.unknow()
	return cardHere(v, nil)
}
