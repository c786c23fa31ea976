package main

import (
	"os"
	"path/filepath"
	"testing"

	"kosk/cmd/bus/agency"
	"kosk/device/request"
)

func TestSecretsAreFound(t *testing.T) {
	person := agency.Population()[0]
	id := "01KAMQ0000000000000000TEST"
	number := request.ID(id).Number()
	for name, tt := range map[string]struct {
		text  string
		found bool
	}{
		"a FIN":                       {`{"err":"person 5ARPXK2 not known"}`, true},
		"a name in capitals":          {"MƏMMƏDOVA<<AYGÜN", true},
		"a name":                      {`{"text":"Salam, Aygün"}`, true},
		"a document number":           {"AA1234567", true},
		"an access number":            {`can=123456`, true},
		"a birth date of the zone":    {"P<900512<F", true},
		"a birth date as typed":       {`"text":"12051990"`, true},
		"a birth date as shown":       {`"text":"12.05.1990"`, true},
		"a card's last day":           {`"text":"01.03.2033"`, true},
		"an IMEI":                     {`{"imei":"` + agency.Devices()[0].IMEI + `"}`, true},
		"a number of a request":       {`"number":"` + number + `"`, true},
		"a number in groups":          {request.GroupNumber(number), true},
		"an id of a request":          {`{"request_id":"` + id + `"}`, false},
		"a piece of a time":           {`"t":"2026-11-22T04:02:32.123456789Z"`, false},
		"a place on the screen":       {`"x":64.123456,"y":9005121`, false},
		"a line without any of these": {`{"msg":"slip","outcome":"confirmed"}`, false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "kiosk.log"), []byte("first line\n"+tt.text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := search(dir, isLog, secrets(person, []string{id})); (err != nil) != tt.found {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSlipsArentLogs(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "slip-1.txt"), []byte("Aygün"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := search(dir, isLog, secrets(agency.Population()[0], nil)); err != nil {
		t.Error(err)
	}
}
