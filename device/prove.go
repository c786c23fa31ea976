package device

import (
	"context"
	"fmt"
	"maps"
	"time"

	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/session"
	"kosk/drivers/signer"
)

// How long the card may take with its keys, and with the reader's own pad, where
// a person is typing.
const (
	keysTimeout = 30 * time.Second
	padTimeout  = 75 * time.Second
)

// cardMeans is the means whose PIN is asked for here.
const cardMeans identity.MeansID = "card"

// openKeys asks the card about a PIN.
func (k *Kiosk) openKeys(ctx context.Context, e session.OpenKeys) session.Event {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	asker, ok := k.trust.Load().means[cardMeans].(interface {
		PIN(ctx context.Context, use identity.Use) (signer.PIN, error)
	})
	if !ok {
		return session.ProofFailed{Claim: e.Claim, Err: identity.ErrNoMeans}
	}
	pin, err := asker.PIN(ctx, e.Use)
	if err != nil {
		k.Log.Warn("keys not opened", "use", string(e.Use), "err", err)
		return session.ProofFailed{Claim: e.Claim, Err: mute(err)}
	}
	k.Log.Info("keys opened", "use", string(e.Use), "tries", pin.Tries, "pad", pin.Pad)
	return session.KeysOpened{Claim: e.Claim, PIN: pin}
}

// prove has a means sign, beside the loop. What was typed is zeroed by then,
// whatever comes of it.
func (k *Kiosk) prove(ctx context.Context, e session.Prove) {
	visit, personal := k.number, k.personal
	k.withdraw()
	asked, withdraw := context.WithCancel(personal)
	k.withdraw = withdraw
	claim, err := k.claim(e)
	k.beside(ctx, visit, func() {
		defer withdraw()
		defer e.Typed.Zero()
		if err != nil {
			k.post(personal, visit, session.ProofFailed{Claim: e.Claim, Err: err})
			return
		}
		k.post(asked, visit, k.proof(asked, visit, e, claim))
	})
}

// claim is what is to be signed: a fresh statement, and to sign a request, what
// the person saw of it.
func (k *Kiosk) claim(e session.Prove) (identity.Claim, error) {
	v, now := k.visit, k.now()
	s := request.NewStatement(string(e.Use), k.Signer.Station, now)
	if e.Use == identity.Sign {
		s.Request, s.Service, s.Lang = request.NewID(now), string(v.Service.ID), string(v.Consent.Lang)
		s.Answers, s.Shown = maps.Clone(v.Answers), v.Shown
	}
	statement, err := s.Bytes()
	c := identity.Claim{Use: e.Use, Statement: statement}
	if v.Holder != nil {
		c.FIN = v.Holder.FIN
	}
	return c, err
}

// proof asks the means and believes nothing that it didn't check.
func (k *Kiosk) proof(ctx context.Context, visit int, e session.Prove, c identity.Claim) session.Event {
	if e.Means == cardMeans {
		limit := keysTimeout
		if e.Pad {
			limit = padTimeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	started := time.Now()
	proof, subject, err := k.ask(ctx, visit, e, c)
	if err != nil {
		k.Log.Warn("not proved", "means", string(e.Means), "use", string(e.Use), "err", err, "visit", visit)
		return session.ProofFailed{Claim: e.Claim, Err: mute(err)}
	}
	k.Log.Info("proved", "means", string(e.Means), "use", string(e.Use), "ms", time.Since(started).Milliseconds(), "visit", visit)
	return session.Proved{Claim: e.Claim, Proof: proof, Subject: subject}
}

func (k *Kiosk) ask(ctx context.Context, visit int, e session.Prove, c identity.Claim) (identity.Proof, identity.Subject, error) {
	means, ok := k.trust.Load().means[e.Means]
	if !ok {
		return identity.Proof{}, identity.Subject{}, identity.ErrNoMeans
	}
	proof, err := means.Prove(ctx, c, e.Typed, func(p identity.Prompt) {
		k.post(ctx, visit, session.Prompted{Claim: e.Claim, Prompt: p})
	})
	if err != nil {
		return identity.Proof{}, identity.Subject{}, fmt.Errorf("prove: %w", err)
	}
	subject, err := proof.Check(c.Use, k.trust.Load().anchors, k.now())
	if err == nil && c.FIN != "" && subject.FIN != c.FIN {
		err = identity.ErrOtherPerson
	}
	return proof, subject, err
}

// proofOf is a proof as the envelope carries it.
func proofOf(p identity.Proof) request.Proof {
	return request.Proof{
		Means: string(p.Means), Statement: p.Statement, Certificate: p.Certificate, Signature: p.Signature, Word: p.Word,
	}
}
