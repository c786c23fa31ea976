package server

import (
	"context"
	"net/http"

	"kosk/cmd/bus/agency"
)

// Phone does what the owner of a simulated phone does, and returns the code that
// the phone shows.
func (c Control) Phone(ctx context.Context, fin string, approve bool) (code string, err error) {
	var a agency.PhoneAnswer
	err = c.do(ctx, http.MethodPost, "/phone", agency.PhoneOrder{FIN: fin, Approve: approve}, &a)
	return a.Code, err
}
