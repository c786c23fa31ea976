package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"kosk/cmd/kiosksim/rig"
	"kosk/drivers/card/vcard"
	"kosk/drivers/printer/paper"
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

// Everything that can be ordered of the paper is carried out.
func TestEveryPaperOrderIsCarriedOut(t *testing.T) {
	p, err := paper.Open(paper.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	field, _ := reflect.TypeFor[paperCommand]().FieldByName("Do")
	for _, do := range strings.Split(field.Tag.Get("enum"), ",") {
		if err := carryOut(&rig.Rig{Paper: p}, order{Do: "paper " + do}); err != nil {
			t.Errorf("%s: %v", do, err)
		}
	}
	if err := carryOut(&rig.Rig{Paper: p}, order{Do: "paper none-such"}); err == nil {
		t.Error("an order that there isn't")
	}
}
