package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card/vcard"
)

// Every card of the list can be ordered, over the wire, and changed in the order.
func TestEveryCardCanBeOrdered(t *testing.T) {
	names := strings.Split(profileNames(), ",")
	if len(names) != len(vcard.Profiles()) {
		t.Errorf("%d names of %d cards", len(names), len(vcard.Profiles()))
	}
	seen := make(map[string]bool)
	for _, p := range vcard.Profiles() {
		if seen[p.Name] {
			t.Errorf("two cards called %s", p.Name)
		}
		seen[p.Name] = true
		sent, err := json.Marshal(order{Do: "card in", Profile: p.Name, quirks: quirks{PINUsed: 2, Latency: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		var got order
		if err := json.Unmarshal(sent, &got); err != nil {
			t.Fatal(err)
		}
		want := p.Profile
		want.PINUsed, want.Latency = 2, time.Second
		if profile, err := got.profile(); err != nil || profile != want {
			t.Errorf("%s: %+v, %v, want %+v", p.Name, profile, err, want)
		}
	}
	if _, err := (order{Profile: "none such"}).profile(); err == nil {
		t.Error("a card that there isn't")
	}
}
