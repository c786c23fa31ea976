package jetstream

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"kosk/cmd/bus/ledger"
)

// What stands in a message beside the body. The sequence number is the stream's,
// the key is the subject's last token, the sum follows from all.
const (
	headAt       = "Entry-At"       // milliseconds since 1970
	headHash     = "Entry-Hash"     // hex
	headPrevious = "Entry-Previous" // hex
)

// subjects begins the subject of every entry; one token, the key, follows.
const subjects = "ledger."

// noKey is the token of the empty key: no other key can have it.
const noKey = "%"

// plain says which bytes of a key stand for themselves in a subject.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/'
}

// subjectOf writes a key as a subject. No two keys have the same.
func subjectOf(key string) string {
	if key == "" {
		return subjects + noKey
	}
	var b strings.Builder
	b.WriteString(subjects)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// keyOf reads what subjectOf wrote, and nothing else.
func keyOf(subject string) (string, bool) {
	token, ok := strings.CutPrefix(subject, subjects)
	if !ok || token == "" {
		return "", false
	}
	if token == noKey {
		return "", true
	}
	var key []byte
	for i := 0; i < len(token); i++ {
		if token[i] != '%' {
			key = append(key, token[i])
			continue
		}
		if len(token) < i+3 {
			return "", false
		}
		c, err := strconv.ParseUint(token[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		key = append(key, byte(c))
		i += 2
	}
	return string(key), subjectOf(string(key)) == subject
}

// encode makes the message of an entry.
func encode(e ledger.Entry, body []byte) *nats.Msg {
	m := nats.NewMsg(subjectOf(e.Key))
	m.Header[headAt] = []string{strconv.FormatInt(e.At.UnixMilli(), 10)}
	m.Header[headHash] = []string{hex.EncodeToString(e.Hash[:])}
	m.Header[headPrevious] = []string{hex.EncodeToString(e.Previous[:])}
	m.Data = body
	return m
}

// decode reads an entry from what the engine stores of it. ErrDamaged: encode
// never wrote that.
func decode(subject string, h nats.Header, seq uint64) (ledger.Entry, error) {
	bad := func(what string) (ledger.Entry, error) {
		return ledger.Entry{}, fmt.Errorf("%w: entry %d: %s", ledger.ErrDamaged, seq, what)
	}
	e := ledger.Entry{Seq: seq}
	var ok bool
	if e.Key, ok = keyOf(subject); !ok || len(e.Key) > ledger.MaxKey {
		return bad("subject")
	}
	at, err := strconv.ParseInt(h.Get(headAt), 10, 64)
	if err != nil {
		return bad(headAt)
	}
	e.At = time.UnixMilli(at).UTC()
	if e.Hash, ok = sumOf(h.Get(headHash)); !ok {
		return bad(headHash)
	}
	if e.Previous, ok = sumOf(h.Get(headPrevious)); !ok {
		return bad(headPrevious)
	}
	return e.WithSum(), nil
}

func sumOf(s string) (sum [32]byte, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(sum) {
		return sum, false
	}
	return [32]byte(b), true
}
