package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"kosk/cmd/bus/agency"
	"kosk/device/request"
)

// A secret is something of the person who visited, and how it would look in a file.
type secret struct {
	what string
	look *regexp.Regexp
}

// secrets are what no log and no file of the kiosk or the bus may hold in the
// clear after the visits: what is the person's, and the numbers of her requests.
func secrets(p agency.Person, requests []string) []secret {
	all := []secret{
		{"FIN", exactly(p.FIN)},
		{"document number", exactly(p.DocumentNumber)},
		{"access number", digits(p.CAN)},
		{"birth date", exactly(p.BirthDate.Format(time.DateOnly))},
		{"birth date of the zone", digits(p.BirthDate.Format("060102"))},
		{"birth date as typed", digits(p.BirthDate.Format("02012006"))},
		{"birth date as shown", exactly(p.BirthDate.Format("02.01.2006"))},
		{"card's last day", exactly(p.Expires.Format(time.DateOnly))},
		{"card's last day as typed", digits(p.Expires.Format("02012006"))},
		{"card's last day as shown", exactly(p.Expires.Format("02.01.2006"))},
		{"employer", exactly(p.Employer)},
		{"IMEI", digits(agency.Devices()[0].IMEI)},
	}
	if sheet := p.Sheet; sheet != nil {
		all = append(all, secret{"employee", exactly(sheet.Employee)}, secret{"child", exactly(sheet.Child)},
			secret{"account number", digits(sheet.InsurerNo)}, secret{"child's birth date", exactly(sheet.Born.Format(time.DateOnly))})
	}
	for _, name := range []string{p.Surname, p.GivenNames} {
		lower := strings.ToLowerSpecial(unicode.AzeriCase, name)
		all = append(all, secret{"name", regexp.MustCompile(`(?i:` + regexp.QuoteMeta(lower) + `)|` + regexp.QuoteMeta(name))})
	}
	for _, id := range requests {
		n := request.ID(id).Number()
		all = append(all, secret{"number of a request", digits(n)}, secret{"number of a request", exactly(request.GroupNumber(n))})
	}
	return all
}

func exactly(s string) *regexp.Regexp { return regexp.MustCompile(regexp.QuoteMeta(s)) }

// digits doesn't take pieces of longer numbers, such as times, for the value.
func digits(s string) *regexp.Regexp { return regexp.MustCompile(`(?:^|[^0-9.])` + s + `(?:[^0-9]|$)`) }

// search looks for the secrets in every file under the folder for which of says
// yes, and names the first place.
func search(dir string, of func(path string) bool, all []secret) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !of(path) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, s := range all {
			if at := s.look.FindIndex(b); at != nil {
				return fmt.Errorf("%s holds a %s, in line %d", filepath.Base(path), s.what, bytes.Count(b[:at[0]], []byte("\n"))+1)
			}
		}
		return nil
	})
}

// isLog tells what is written of the visits from what the visits left for the
// eye: pictures, slips and sound.
func isLog(path string) bool {
	switch filepath.Ext(path) {
	case ".log", ".err", ".jsonl":
		return true
	}
	return false
}

// keepsSecrets searches the logs, and all that kiosk and bus keep on disk.
func (p *play) keepsSecrets(person agency.Person) error {
	var requests []string
	for _, v := range p.summary.Visits {
		if v.RequestID != "" {
			requests = append(requests, v.RequestID)
		}
	}
	all := secrets(person, requests)
	if err := search(p.rig.Out, isLog, all); err != nil {
		return err
	}
	return search(p.rig.Dir, func(string) bool { return true }, all)
}
