package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/sys/unix"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/registry"
	"kosk/device/request"
)

// The rules of a request that a person carries here from a kiosk that can't deliver
// it are:
//
//   - What the envelope says counts, and its station's signature: nobody's word does.
//   - It is taken, refused and known as if its station had sent it: the same id and
//     bytes are the same request, whoever comes first.
//   - The message log says who brought it: the user of this machine, by the kernel.
//   - A station that was shut out can't send. Whoever carries its requests must say
//     that they know: its key may be in foreign hands.

// carryShutOut says that the station of a request that was carried was shut out. Only who
// carries it is told, never a kiosk.
const carryShutOut = "station_shut_out"

// callCarry is its name in the logs.
const callCarry = "import"

// A Verdict is what became of a request that was carried.
type Verdict string

// The verdicts.
const (
	VerdictAccepted Verdict = "accepted"
	VerdictKnown    Verdict = "known"   // the same was here already, and is so once
	VerdictRefused  Verdict = "refused" // it won't be taken as it is
	VerdictAgain    Verdict = "again"   // it wasn't taken, or nobody knows: bring it again
)

// Carried is what the bus says of a request that was carried; nothing of a person.
type Carried struct {
	ID      request.ID `json:"id"`
	Verdict Verdict    `json:"verdict"`
	Reason  string     `json:"reason,omitempty"` // of refused and again
	Station string     `json:"station,omitempty"`
	Seq     uint64     `json:"seq,omitempty"`   // in the ledger
	State   string     `json:"state,omitempty"` // of accepted and known: accepted, in_work, done, refused
}

// carry answers to one that is brought over the operator's socket.
func (s *Server) carry(w *recorder, r *http.Request) {
	m := &message{recorder: w, req: r, carrier: carrierOf(r.Context()), service: s.ownProvider() + "/" + serviceCode}
	w.Header().Set("X-Road-Request-Id", uuid())
	s.logMessage(m, func() {
		id, ok := submission(m, r.PathValue("id"))
		if !ok || !s.readBody(m) || !s.mayCarry(m, id, r.URL.Query().Has("shut-out")) {
			return
		}
		leave, ok := s.enter(m)
		if !ok {
			return
		}
		defer leave()
		e, created, ok := s.accept(m, id)
		if !ok {
			return
		}
		st, err := s.standing(r.Context(), m.id)
		if err != nil {
			s.ledgerFailed(m, err)
			return
		}
		status, verdict := http.StatusOK, VerdictKnown
		if created {
			status, verdict = http.StatusCreated, VerdictAccepted
		}
		writeJSON(m, status, Carried{ID: id, Verdict: verdict, Station: m.station, Seq: e.Seq, State: st.State})
	})
}

// mayCarry finds the station that signed the envelope, and whether it might have
// sent it. When false it has answered. What is here already needs no right.
func (s *Server) mayCarry(m *message, id request.ID, shutOut bool) bool {
	draft, err := s.open(m.body)
	if err != nil {
		reason, err := objection(m, id, draft, err)
		if err != nil {
			s.registryFailed(m, err)
			return false
		}
		s.refused.Add(1)
		writeReason(m, http.StatusBadRequest, reason)
		return false
	}
	m.station = draft.Station
	m.client = s.Provider.Class + "/" + s.Provider.Member + "/" + m.station
	_, _, err = s.Ledger.Get(m.req.Context(), submissionKey(m.id))
	if err == nil {
		return true
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		s.ledgerFailed(m, err)
		return false
	}
	return s.mightSend(m, shutOut)
}

// mightSend says whether the station of a message has the right to send it.
func (s *Server) mightSend(m *message, shutOut bool) bool {
	station, err := s.Registry.Station(m.station)
	var d *registry.Directory
	if err == nil {
		d, err = s.directory()
	}
	switch {
	case err != nil:
		s.registryFailed(m, err)
	case !station.Removed.IsZero() && !shutOut:
		s.refused.Add(1)
		writeReason(m, http.StatusForbidden, carryShutOut)
	case !d.Allows(m.client, m.service, http.MethodPut, "/v1/submissions/"+m.id):
		s.refused.Add(1)
		s.xroadError(m, http.StatusInternalServerError, errAccessDenied, "request is not allowed")
	default:
		return true
	}
	return false
}

func (s *Server) registryFailed(m *message, err error) {
	s.Log.Error("registry failed", "err", err)
	s.xroadError(m, http.StatusInternalServerError, errInternal, "registry")
}

type carrierKey struct{}

// withCarrier notes who is at the other end of the operator's socket.
func withCarrier(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, carrierKey{}, peerOf(c))
}

func carrierOf(ctx context.Context) string {
	who, _ := ctx.Value(carrierKey{}).(string)
	return who
}

// peerOf is the user at the other end of a unix socket, by the kernel's word.
func peerOf(c net.Conn) string {
	const nobody = "unknown"
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nobody
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nobody
	}
	who := nobody
	_ = raw.Control(func(fd uintptr) { // then nobody is known
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = fmt.Sprintf("uid:%d", cred.Uid)
		}
	})
	return who
}

// Import brings a request that a kiosk could not deliver. shutOut says that it is
// known that its station may have been shut out. An error says that nobody knows what
// became of it: it may be brought again.
func (c Control) Import(ctx context.Context, id request.ID, sealed []byte, shutOut bool) (Carried, error) {
	path := "/import/" + string(id)
	if shutOut {
		path += "?shut-out"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bus"+path, bytes.NewReader(sealed))
	if err != nil {
		return Carried{}, err
	}
	resp, err := c.send(req)
	if err != nil {
		return Carried{}, err
	}
	defer resp.Body.Close()
	var said struct {
		Carried
		Type string `json:"type"` // of X-Road
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxQuestion))
	if err != nil {
		return Carried{}, fmt.Errorf("ask bus: %w", err)
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return Carried{}, fmt.Errorf("bus says: %s", bytes.TrimSpace(text))
	}
	said.ID = id
	said.Verdict, said.Reason = judge(resp.StatusCode, said.Reason, said.Type)
	return said.Carried, nil
}

// judge reads an answer as a kiosk would.
func judge(status int, reason, typ string) (Verdict, string) {
	if reason == "" {
		reason = strings.ReplaceAll(strings.ToLower(typ[strings.LastIndexByte(typ, '.')+1:]), "_", "")
	}
	switch status {
	case http.StatusCreated:
		return VerdictAccepted, ""
	case http.StatusOK:
		return VerdictKnown, ""
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return VerdictAgain, reason
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return VerdictRefused, reason
	}
	if reason == "accessdenied" {
		return VerdictRefused, "access_denied"
	}
	return VerdictAgain, reason
}
