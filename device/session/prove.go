package session

import (
	"errors"
	"slices"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/text"
	"kosk/drivers/signer"
)

// How the person proves to be here, or signs. The rules are:
//
//   - With the holder's card in the slot the card's PIN is asked; another means
//     is a touch away. Without it, the person chooses.
//   - The card is asked for the tries left before anything is typed. Its last one
//     is not spent here.
//   - Who is verified stays so while the visit lasts. A signature is for one
//     request.
//   - What is typed lies in bytes that are overwritten, never in Typed.

// Proving is what the person is asked to prove, and what they have typed for it.
type Proving struct {
	Use    identity.Use // "" while nothing is to be proved
	Means  *catalogue.Means
	Claim  int // counts what the means were asked for: answers to earlier ones are ignored
	PIN    signer.PIN
	Prompt identity.Prompt

	Field  int                   // of the means, on the screen
	Typed  identity.Typed        // the fields before it
	Secret []byte                // of the field on the screen, or the PIN
	Barred map[identity.Use]bool // a card's PIN that isn't asked for again
}

// wipe overwrites all that was typed.
func (p *Proving) wipe() {
	p.unwrite()
	p.Typed.Zero()
	p.Typed = nil
}

// unwrite overwrites what is being typed.
func (p *Proving) unwrite() {
	clear(p.Secret)
	p.Secret = nil
}

// typeDigit takes one more digit. The bytes never move: nothing of them is left
// behind where they were.
func (p *Proving) typeDigit(e Event, most int) {
	r := e.(Typed).Rune
	if r < '0' || r > '9' || len(p.Secret) >= most {
		return
	}
	if p.Secret == nil {
		p.Secret = make([]byte, 0, catalogue.MaxCredential)
	}
	p.Secret = append(p.Secret, byte(r))
}

// take hands on what was typed: it is then somebody else's to overwrite.
func (p *Proving) take() []byte {
	b := p.Secret
	p.Secret = nil
	return b
}

// claim counts a new one.
func (p *Proving) claim() int {
	p.Claim++
	p.Prompt = identity.Prompt{}
	return p.Claim
}

// provable reports whether some means makes a person known as far as need.
func (v *Visit) provable(need catalogue.Level) bool {
	for i := range v.Catalogue.Means {
		if v.Catalogue.Means[i].Level.Reaches(need) {
			return true
		}
	}
	return false
}

// means are those that serve the present use. A card's keys are of use only when
// it was read, or when nobody is known yet.
func (v *Visit) means() []*catalogue.Means {
	var all []*catalogue.Means
	for i := range v.Catalogue.Means {
		m := &v.Catalogue.Means[i]
		switch {
		case v.Proving.Use == identity.Sign && !m.Sign:
		case v.Service != nil && !m.Level.Reaches(v.Service.Level):
		case m.Card && v.Holder != nil && !v.Carded:
		default:
			all = append(all, m)
		}
	}
	return all
}

// hindrance says why a means can't be used now, "" when it can.
func (v *Visit) hindrance(m *catalogue.Means) text.Key {
	switch {
	case !m.Card && v.Line != nil:
		return "service.line"
	case m.Card && v.Proving.Barred[v.Proving.Use]:
		return "means.barred"
	case m.Card && v.NoReader:
		return "means.no_reader"
	}
	return ""
}

// prove begins with the card that is in, or lets the person choose.
func (v *Visit) prove(use identity.Use) (State, []Effect) {
	v.Proving.Use = use
	for _, m := range v.means() {
		if m.Card && v.Carded && v.CardIn && v.hindrance(m) == "" {
			return v.openKeys(m)
		}
	}
	return ChoosingMeans, nil
}

func (v *Visit) openKeys(m *catalogue.Means) (State, []Effect) {
	v.Proving.Means = m
	return OpeningKeys, []Effect{OpenKeys{v.Proving.claim(), v.Proving.Use}}
}

func otherMeans(v *Visit, _ Event) (State, []Effect) {
	v.Proving.Use = identity.Login
	return ChoosingMeans, nil
}

func pickMeans(v *Visit, e Event) (State, []Effect) {
	for _, m := range v.means() {
		if m.ID != e.(MeansPicked).ID || v.hindrance(m) != "" {
			continue
		}
		v.Proving.wipe()
		v.Proving.Means, v.Proving.Field, v.Fault = m, 0, Fault{}
		switch {
		case m.Card && v.Carded:
			return v.openKeys(m)
		case m.Card:
			return askCard(v, e)
		case len(m.Fields) > 0:
			v.Proving.Typed = identity.Typed{}
			return Crediting, nil
		}
		return v.ask(Approving, nil)
	}
	return ChoosingMeans, nil
}

// ask has the means prove, with what was typed.
func (v *Visit) ask(next State, typed identity.Typed) (State, []Effect) {
	p := &v.Proving
	return next, []Effect{Prove{p.claim(), p.Use, identity.MeansID(p.Means.ID), typed, p.PIN.Pad && p.Means.Card}}
}

// meansBack leads to where the proof was asked for.
func meansBack(v *Visit, _ Event) (State, []Effect) {
	switch {
	case v.Proving.Use == identity.Sign:
		return Consenting, nil
	case v.Holder != nil:
		v.Service = nil
		return Choosing, nil
	}
	v.Service = nil
	return Home, nil
}

// credential is the field on the screen.
func (v *Visit) credential() *catalogue.Credential { return &v.Proving.Means.Fields[v.Proving.Field] }

// Hides reports whether what is typed now is shown and said to nobody.
func (v *Visit) Hides() bool {
	return v.State == AskingPIN || v.State == Crediting && v.credential().Secret
}

func typeCredential(v *Visit, e Event) (State, []Effect) {
	v.Proving.typeDigit(e, v.credential().Max)
	v.Wrong = ""
	return Crediting, nil
}

func eraseSecret(v *Visit, _ Event) (State, []Effect) {
	if p := &v.Proving; len(p.Secret) > 0 {
		p.Secret[len(p.Secret)-1] = 0
		p.Secret = p.Secret[:len(p.Secret)-1]
	}
	v.Wrong = ""
	return v.State, nil
}

func enterCredential(v *Visit, _ Event) (State, []Effect) {
	p, c := &v.Proving, v.credential()
	if len(p.Secret) < c.Min {
		v.Wrong = "means.short"
		return Crediting, nil
	}
	p.Typed[c.ID] = p.take()
	v.Wrong = ""
	if p.Field+1 < len(p.Means.Fields) {
		p.Field++
		return Crediting, nil
	}
	typed := p.Typed
	p.Typed = nil
	return v.ask(Approving, typed)
}

func backToMeans(v *Visit, _ Event) (State, []Effect) {
	v.Proving.wipe()
	return ChoosingMeans, nil
}

// What PINs have where the card says nothing of it.
const (
	leastPIN = 4
	mostPIN  = 12
)

func keysOpened(v *Visit, e Event) (State, []Effect) {
	k, p := e.(KeysOpened), &v.Proving
	if k.Claim != p.Claim {
		return v.State, nil
	}
	p.PIN = k.PIN
	if p.PIN.Min <= 0 {
		p.PIN.Min = leastPIN
	}
	if p.PIN.Max <= 0 || p.PIN.Max > catalogue.MaxCredential {
		p.PIN.Max = mostPIN
	}
	switch {
	case p.PIN.Tries <= 0:
		return v.unproved(signer.ErrBlocked)
	case p.PIN.Tries == 1:
		return v.unproved(signer.ErrLastTry)
	case p.PIN.Pad:
		return v.ask(VerifyingPIN, nil)
	}
	v.Fault = Fault{}
	return AskingPIN, nil
}

func typePIN(v *Visit, e Event) (State, []Effect) {
	v.Proving.typeDigit(e, v.Proving.PIN.Max)
	v.Wrong, v.Fault = "", Fault{}
	return AskingPIN, nil
}

func enterPIN(v *Visit, _ Event) (State, []Effect) {
	p := &v.Proving
	if len(p.Secret) < p.PIN.Min {
		v.Wrong = "means.short"
		return AskingPIN, nil
	}
	return v.ask(VerifyingPIN, identity.Typed{identity.PINField: p.take()})
}

func prompted(v *Visit, e Event) (State, []Effect) {
	if p := e.(Prompted); p.Claim == v.Proving.Claim {
		v.Proving.Prompt = p.Prompt
	}
	return Approving, nil
}

func withdraw(v *Visit, _ Event) (State, []Effect) {
	v.Proving.claim()
	return ChoosingMeans, []Effect{Withdraw{}}
}

// proved goes on where the proof was asked for.
func proved(v *Visit, e Event) (State, []Effect) {
	p := e.(Proved)
	if p.Claim != v.Proving.Claim {
		return v.State, nil
	}
	if v.Proving.Use == identity.Sign {
		v.Signed, v.Proving.Use = p.Proof, ""
		return Sending, []Effect{Submit{}}
	}
	level, err := identity.ParseAssurance(string(v.Proving.Means.Level))
	if err != nil {
		return v.fail(faultOf(errLevel))
	}
	h := p.Subject.NewHolder(level)
	if v.Holder != nil {
		h = *v.Holder
		h.Assurance = max(h.Assurance, level)
	}
	v.Holder, v.Login, v.Zone, v.Proving.Use = &h, p.Proof, Zone{}, ""
	if v.Service == nil {
		return Choosing, nil
	}
	return v.begin()
}

func proofFailed(v *Visit, e Event) (State, []Effect) {
	f, p := e.(ProofFailed), &v.Proving
	if f.Claim != p.Claim {
		return v.State, nil
	}
	refused := new(signer.PINError)
	switch {
	case errors.As(f.Err, &refused) && refused.Tries <= 0:
		return v.unproved(signer.ErrBlocked)
	case errors.As(f.Err, &refused) && refused.Tries == 1:
		return v.unproved(signer.ErrLastTry)
	case refused.Tries > 1 && v.State == VerifyingPIN && !p.PIN.Pad:
		p.PIN.Tries, v.Fault = refused.Tries, faultOf(f.Err)
		return AskingPIN, nil
	case errors.Is(f.Err, signer.ErrPINLength) && v.State == VerifyingPIN && !p.PIN.Pad:
		v.Fault = faultOf(f.Err)
		return AskingPIN, nil
	}
	return v.unproved(f.Err)
}

// unproved says why there is no proof. A PIN that has no try to spare isn't asked
// for again in this visit.
func (v *Visit) unproved(err error) (State, []Effect) {
	if errors.Is(err, signer.ErrBlocked) || errors.Is(err, signer.ErrLastTry) {
		if v.Proving.Barred == nil {
			v.Proving.Barred = map[identity.Use]bool{}
		}
		v.Proving.Barred[v.Proving.Use] = true
	}
	return v.fail(faultOf(err))
}

// confirm keeps what the person has seen on the review, as it stood there.
func confirm(v *Visit, _ Event) (State, []Effect) {
	v.Seen, v.SeenIn = Lines(reviewing(v)), v.Lang
	return Consenting, nil
}

// agree sends the request, or has it signed first: what stood on the review and
// on the consent, line by line. Who has changed the language between them reads
// the review again, so that what is signed is in one language.
func agree(v *Visit, _ Event) (State, []Effect) {
	if v.Service.Sign && v.SeenIn != v.Lang {
		return Reviewing, nil
	}
	v.Consent = v.agreement()
	if !v.Service.Sign {
		return Sending, []Effect{Submit{}}
	}
	v.Shown = slices.Concat(v.Seen, Lines(consenting(v)))
	return v.prove(identity.Sign)
}

// Lines are what a scene says of the matter: its title, lead, notes and data, as
// they stand on the screen.
func Lines(s scene.Scene) []request.Line {
	var all []request.Line
	for _, n := range s.Nodes {
		switch n.Role {
		case scene.Eyebrow, scene.Title, scene.Lead, scene.Note, scene.Datum:
			all = append(all, request.Line{
				ID: s.ID + "/" + n.ID, Name: n.Name.String(), Value: n.Value.String(), Hint: n.Hint.String(),
			})
		}
	}
	return all
}
