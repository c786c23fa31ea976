package main

import (
	"strings"
	"testing"

	"kosk/device/health"
)

// A technician sees what is offered, what is to come, and what was not taken and why.
func TestStatusTellsOfTheCatalogue(t *testing.T) {
	for _, tt := range []struct {
		c    health.Catalogue
		want []string
	}{
		{health.Catalogue{Version: "2026.11.1", From: "program"}, []string{"services  2026.11.1, from the program"}},
		{
			health.Catalogue{Version: "2026.11.1", From: "bus", Manifest: 7, Next: "2026.12", Error: "version 8, 2027.1: no type \"iban\""},
			[]string{
				"services  2026.11.1, from the bus; number 7 of the bus's was the last taken", "from the next visit on: 2026.12",
				"not taken: version 8, 2027.1: no type \"iban\"",
			},
		},
	} {
		var out strings.Builder
		if err := showStatus(&out, health.Status{Catalogue: tt.c}); err != nil {
			t.Fatal(err)
		}
		said := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range tt.want {
			if !strings.Contains(said, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%+v: no %q in\n%s", tt.c, want, out.String())
			}
		}
		if strings.Contains(said, "not taken") != (tt.c.Error != "") || strings.Contains(said, "next visit") != (tt.c.Next != "") {
			t.Errorf("%+v: %s", tt.c, said)
		}
	}
}

// A kiosk without a trust bundle says so, and a part without a cause has no blanks behind it.
func TestStatusWithoutABundle(t *testing.T) {
	var out strings.Builder
	s := health.Status{TrustFrom: "file"}
	s.Report.Parts = []health.Part{{Name: "card", State: "online"}}
	if err := showStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "no bundle: no card is believed\n") || !strings.HasSuffix(out.String(), " online\n") {
		t.Errorf("%q", out.String())
	}
}
