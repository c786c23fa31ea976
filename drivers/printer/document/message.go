package document

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The operations of IPP that are used. RFC 8011, 5.4.15.
const (
	opPrintJob      = 0x0002
	opCancelJob     = 0x0008
	opJobAttributes = 0x0009
	opJobs          = 0x000A
	opPrinter       = 0x000B
)

// Tags of groups and values. RFC 8010, 3.5.
const (
	tagOperation = 0x01
	tagJob       = 0x02
	tagEnd       = 0x03
	tagPrinter   = 0x04
	maxDelimiter = 0x0F

	tagInteger    = 0x21
	tagEnum       = 0x23
	tagName       = 0x42
	tagKeyword    = 0x44
	tagURI        = 0x45
	tagCharset    = 0x47
	tagLanguage   = 0x48
	tagMimeType   = 0x49
	ippVersion    = 0x0200
	maxAttributes = 4096    // of an answer
	maxMessage    = 1 << 20 // bytes of an answer
)

// errMessage says that an answer is no IPP.
var errMessage = errors.New("not an ipp message")

// A request is an operation's attributes as they go to the printer.
type request struct{ bytes.Buffer }

// bytes is the message with the end of its attributes; a document may follow.
func (r *request) bytes() []byte { return append(slices.Clip(r.Bytes()), tagEnd) }

// newRequest begins a message. RFC 8010, 3.1.1; RFC 8011, 4.1.4.
func newRequest(op uint16, id uint32) *request {
	r := &request{}
	r.Write(binary.BigEndian.AppendUint16(nil, ippVersion))
	r.Write(binary.BigEndian.AppendUint16(nil, op))
	r.Write(binary.BigEndian.AppendUint32(nil, id))
	r.WriteByte(tagOperation)
	r.add(tagCharset, "attributes-charset", "utf-8")
	r.add(tagLanguage, "attributes-natural-language", "en")
	return r
}

// add adds an attribute; further values have no name. RFC 8010, 3.1.4 and 3.1.5.
func (r *request) add(tag byte, name string, values ...string) {
	for _, v := range values {
		r.WriteByte(tag)
		r.Write(binary.BigEndian.AppendUint16(nil, uint16(len(name))))
		r.WriteString(name)
		r.Write(binary.BigEndian.AppendUint16(nil, uint16(len(v))))
		r.WriteString(v)
		name = ""
	}
}

func (r *request) addInteger(name string, v int32) {
	r.add(tagInteger, name, string(binary.BigEndian.AppendUint32(nil, uint32(v))))
}

// A group is the attributes of one printer or job: name -> values as they came.
type group struct {
	tag    byte
	values map[string][]value
}

type value struct {
	tag  byte
	data []byte
}

// An answer is a message from the printer.
type answer struct {
	status uint16 // RFC 8011, appendix B; below 0x0100: successful
	groups []group
}

// parse reads a message. It doesn't look beyond the end of the attributes.
func parse(b []byte) (answer, error) {
	if len(b) < 8 || len(b) > maxMessage {
		return answer{}, errMessage
	}
	a := answer{status: binary.BigEndian.Uint16(b[2:])}
	r := bytes.NewReader(b[8:])
	name, count := "", 0
	for {
		tag, err := r.ReadByte()
		if err != nil {
			return a, fmt.Errorf("%w: no end", errMessage)
		}
		switch {
		case tag == tagEnd:
			return a, nil
		case tag <= maxDelimiter:
			a.groups = append(a.groups, group{tag, map[string][]value{}})
			name = ""
			continue
		}
		n, errName := field(r)
		data, errValue := field(r)
		if err := errors.Join(errName, errValue); err != nil || len(a.groups) == 0 {
			return a, fmt.Errorf("%w: cut off", errMessage)
		}
		if len(n) > 0 {
			name = string(n)
		}
		if count++; name == "" || count > maxAttributes {
			return a, fmt.Errorf("%w: a value of nothing", errMessage)
		}
		g := a.groups[len(a.groups)-1]
		g.values[name] = append(g.values[name], value{tag, data})
	}
}

// field reads bytes behind their length of two bytes.
func field(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// all are the groups with a tag.
func (a answer) all(tag byte) []group {
	var found []group
	for _, g := range a.groups {
		if g.tag == tag {
			found = append(found, g)
		}
	}
	return found
}

// number is an integer or enum, ok when there is one.
func (g group) number(name string) (n int, ok bool) {
	for _, v := range g.values[name] {
		if (v.tag == tagInteger || v.tag == tagEnum) && len(v.data) == 4 {
			return int(int32(binary.BigEndian.Uint32(v.data))), true
		}
	}
	return 0, false
}

// words are an attribute's values as text.
func (g group) words(name string) []string {
	var all []string
	for _, v := range g.values[name] {
		all = append(all, string(v.data))
	}
	return all
}
