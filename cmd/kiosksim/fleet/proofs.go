package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/vcard"
)

// An issuer is a state with a card, and what its citizens log in with.
type issuer struct {
	bundle    string // whom the bus is to believe
	evidence  request.Evidence
	approvals *agency.Approvals
}

// newIssuer makes a state, reads one genuine virtual card by the kiosk's own
// reader, and writes the bundle. busDir is the bus's folder, where the keys of
// its simulated provider are.
func newIssuer(dir, busDir string) (*issuer, error) {
	approvals, err := agency.OpenApprovals(busDir)
	if err != nil {
		return nil, err
	}
	pki, err := vcard.NewPKI()
	if err != nil {
		return nil, err
	}
	p := agency.Population()[0]
	c, err := vcard.New(pki, vcard.Person{
		FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, BirthDate: p.BirthDate, Sex: p.Sex[0],
		DocumentNumber: p.DocumentNumber, Expires: p.Expires, CAN: p.CAN,
	}, vcard.Profile{})
	if err != nil {
		return nil, err
	}
	chip, err := eid.New(nil).ReadHolder(context.Background(), c, p.CAN, nil)
	if err != nil {
		return nil, err
	}
	person, provider := approvals.Trust()
	i := &issuer{bundle: filepath.Join(dir, "trust.json"), evidence: request.EvidenceOf(chip), approvals: approvals}
	return i, identity.WriteBundle(i.bundle, identity.Bundle{
		Version: 1, Issued: time.Now(), Development: true, Anchors: pki.Bundle(),
		Persons: [][]byte{pki.People(), person}, Providers: [][]byte{provider},
	})
}

// login has the person log in at the kiosk by code and password. The provider is
// asked directly: its answer is what the bus would have passed on.
func (i *issuer) login(ctx context.Context, k *kiosk) error {
	statement, err := request.NewStatement(request.UseLogin, k.Name, time.Now()).Bytes()
	if err != nil {
		return err
	}
	_, _, code, password := agency.Credentials(agency.Population()[0])
	question, err := json.Marshal(identity.ApprovalQuestion{
		Means: "code", Use: identity.Login, Statement: statement, User: code, Password: password,
	})
	if err != nil {
		return err
	}
	given, ok := i.approvals.Answer(ctx, k.Name, identity.ApprovalBegin, question).Body.(identity.ApprovalAnswer)
	if !ok || given.State != identity.ApprovalGiven {
		return errors.New("login refused")
	}
	k.login = request.Proof{
		Means: "code", Statement: statement, Certificate: given.Certificate, Signature: given.Signature, Word: given.Word,
	}
	return nil
}
