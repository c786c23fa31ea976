package icao

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Tags of the elementary files, ICAO 9303-10, 3.11.
const (
	tagCOM  = 0x60
	tagDG1  = 0x61
	tagDG11 = 0x6B
	tagDG12 = 0x6C
	tagDG14 = 0x6E
	tagDG15 = 0x6F
	tagSOD  = 0x77
)

// groupTags is the tag of every data group, ICAO 9303-10, table 38.
var groupTags = [17]uint32{
	1: 0x61, 2: 0x75, 3: 0x63, 4: 0x76, 5: 0x65, 6: 0x66, 7: 0x67, 8: 0x68,
	9: 0x69, 10: 0x6A, 11: 0x6B, 12: 0x6C, 13: 0x6D, 14: 0x6E, 15: 0x6F, 16: 0x70,
}

// GroupTag is the tag of a data group's file, 0 when there is no such group.
func GroupTag(group int) uint32 {
	if group < 1 || group > 16 {
		return 0
	}
	return groupTags[group]
}

// COM builds an EF.COM that lists these groups, ICAO 9303-10, 4.6.1.
func COM(groups ...int) []byte {
	var tags []byte
	for _, g := range groups {
		tags = append(tags, byte(GroupTag(g)))
	}
	return MakeTLV(tagCOM, MakeTLV(0x5F01, []byte("0107")), MakeTLV(0x5F36, []byte("040000")), MakeTLV(0x5C, tags))
}

// ParseCOM reads which groups an EF.COM lists. It is unsigned: never decide by it.
func ParseCOM(file []byte) ([]int, error) {
	list, err := find(file, tagCOM, 0x5C)
	if err != nil {
		return nil, fmt.Errorf("ef.com: %w", err)
	}
	var groups []int
	for _, tag := range list {
		group := 0
		for g, t := range groupTags {
			if t == uint32(tag) && t != 0 {
				group = g
			}
		}
		if group == 0 {
			return nil, fmt.Errorf("ef.com: %w: no group with tag %X", ErrTLV, tag)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// find unwraps a file and takes the first object with this tag in it.
func find(file []byte, outer, inner uint32) ([]byte, error) {
	all, err := inside(file, outer)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.Tag == inner {
			return t.Value, nil
		}
	}
	return nil, fmt.Errorf("%w: no object %X", ErrTLV, inner)
}

func inside(file []byte, outer uint32) ([]TLV, error) {
	body, err := Unwrap(file, outer)
	if err != nil {
		return nil, err
	}
	return Children(body)
}

// DG1 builds data group 1 from the characters of a zone.
func DG1(zone string) []byte { return MakeTLV(tagDG1, MakeTLV(0x5F1F, []byte(zone))) }

// ParseDG1 reads the machine readable zone in data group 1, ICAO 9303-10, 4.7.1.
func ParseDG1(file []byte) (*MRZ, error) {
	text, err := find(file, tagDG1, 0x5F1F)
	if err != nil {
		return nil, fmt.Errorf("data group 1: %w", err)
	}
	m, err := ParseMRZ(string(text))
	if err != nil {
		return nil, fmt.Errorf("data group 1: %w", err)
	}
	return m, nil
}

// A Details is data group 11: what the zone has no room or letters for.
type Details struct {
	Surname, GivenNames string // in the holder's own letters
	PersonalNumber      string
	BirthDate           time.Time // zero when not given
	BirthPlace          string
}

// DG11 builds data group 11, ICAO 9303-10, 4.7.11.
func DG11(d Details) []byte {
	name := strings.ReplaceAll(d.Surname, " ", "<") + "<<" + strings.ReplaceAll(d.GivenNames, " ", "<")
	objects := MakeTLV(0x5F0E, []byte(name))
	list := []byte{0x5F, 0x0E}
	if d.PersonalNumber != "" {
		objects = AppendTLV(objects, 0x5F10, []byte(d.PersonalNumber))
		list = append(list, 0x5F, 0x10)
	}
	if !d.BirthDate.IsZero() {
		objects = AppendTLV(objects, 0x5F2B, []byte(d.BirthDate.Format("20060102")))
		list = append(list, 0x5F, 0x2B)
	}
	if d.BirthPlace != "" {
		objects = AppendTLV(objects, 0x5F11, []byte(d.BirthPlace))
		list = append(list, 0x5F, 0x11)
	}
	return MakeTLV(tagDG11, MakeTLV(0x5C, list), objects)
}

// ParseDG11 reads data group 11. Objects it does not know are passed over.
func ParseDG11(file []byte) (*Details, error) {
	all, err := inside(file, tagDG11)
	if err != nil {
		return nil, fmt.Errorf("data group 11: %w", err)
	}
	d := new(Details)
	for _, t := range all {
		if err := d.set(t); err != nil {
			return nil, fmt.Errorf("data group 11: %w", err)
		}
	}
	return d, nil
}

func (d *Details) set(t TLV) error {
	switch t.Tag {
	case 0x5F0E:
		if !utf8.Valid(t.Value) {
			return fmt.Errorf("%w: name is not UTF-8", ErrTLV)
		}
		surname, given, _ := strings.Cut(string(t.Value), "<<")
		d.Surname, d.GivenNames = spaced(surname), spaced(given)
	case 0x5F10:
		d.PersonalNumber = strip(string(t.Value))
	case 0x5F11:
		d.BirthPlace = strings.ReplaceAll(strings.ToValidUTF8(string(t.Value), ""), "<", ", ")
	case 0x5F2B:
		return d.setBirth(t.Value)
	}
	return nil
}

func (d *Details) setBirth(v []byte) (err error) {
	d.BirthDate, err = fullDate(v)
	return err
}

// fullDate reads a full date, in characters as the standard says or in BCD as
// older chips have it; zero when day or month is unknown.
func fullDate(v []byte) (time.Time, error) {
	text := string(v)
	if len(v) == 4 {
		text = fmt.Sprintf("%X", v)
	}
	if strings.HasSuffix(text, "00") {
		return time.Time{}, nil
	}
	when, err := time.Parse("20060102", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: date", ErrTLV)
	}
	return when, nil
}

// An Issuing is data group 12: who issued the document, and when.
type Issuing struct {
	Authority string    // in its own letters
	Issued    time.Time // zero when not given
}

// DG12 builds data group 12, ICAO 9303-10, 4.7.12.
func DG12(i Issuing) []byte {
	return MakeTLV(tagDG12, MakeTLV(0x5C, []byte{0x5F, 0x19, 0x5F, 0x26}),
		MakeTLV(0x5F19, []byte(i.Authority)), MakeTLV(0x5F26, []byte(i.Issued.Format("20060102"))))
}

// ParseDG12 reads data group 12. Objects it does not know are passed over.
func ParseDG12(file []byte) (*Issuing, error) {
	all, err := inside(file, tagDG12)
	if err != nil {
		return nil, fmt.Errorf("data group 12: %w", err)
	}
	i := new(Issuing)
	for _, t := range all {
		switch t.Tag {
		case 0x5F19:
			i.Authority = spaced(strings.ToValidUTF8(string(t.Value), ""))
		case 0x5F26:
			if i.Issued, err = fullDate(t.Value); err != nil {
				return nil, fmt.Errorf("data group 12: %w", err)
			}
		}
	}
	return i, nil
}

// DG15 builds data group 15 from a SubjectPublicKeyInfo.
func DG15(spki []byte) []byte { return MakeTLV(tagDG15, spki) }

// ParseDG15 reads the key of Active Authentication, ICAO 9303-10, 4.7.15.
func ParseDG15(file []byte) (*PublicKey, error) {
	body, err := Unwrap(file, tagDG15)
	if err != nil {
		return nil, fmt.Errorf("data group 15: %w", err)
	}
	key, err := ParsePublicKey(body)
	if err != nil {
		return nil, fmt.Errorf("data group 15: %w", err)
	}
	return key, nil
}
