package server

import (
	"errors"
	"fmt"
	"time"

	"kosk/cmd/bus/registry"
	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/request"
)

// reasonBadProof says that a request doesn't prove whose it is.
const reasonBadProof = "bad_proof"

// errProof says that a request's proofs are missing, or don't hold.
var errProof = errors.New("request doesn't prove whose it is")

// checkProofs says whether the citizen logged in and signed as the service's
// level asks for. A kiosk's word for it is not taken: the signatures are checked,
// over the very bytes that came. Without a trust bundle nothing can be, and isn't.
func (s *Server) checkProofs(d request.Draft) error {
	trust, err := s.Registry.Trust()
	if errors.Is(err, registry.ErrNoTrust) {
		return nil
	}
	if err != nil {
		return err
	}
	offer, err := s.shelf.offer()
	if err != nil {
		return err
	}
	service := offer.Service(catalogue.ServiceID(d.Service))
	if service == nil {
		return nil // the agency knows better what there is
	}
	at := time.Now()
	if d.CreatedAt.Before(at) { // certificates may run out while a request waits for the line
		at = d.CreatedAt
	}
	err = d.CheckProofs(service.Level == catalogue.HolderVerified, service.Sign, func(use string, p request.Proof) (string, error) {
		who, err := identity.Proof{
			Means: identity.MeansID(p.Means), Statement: p.Statement, Certificate: p.Certificate, Signature: p.Signature, Word: p.Word,
		}.Check(identity.Use(use), trust.Anchors, at)
		return who.FIN, err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	return nil
}
