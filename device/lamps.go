package device

import (
	"context"
	"maps"

	"kosk/drivers/panel"
)

// How the visit's lamps come to the panel. The rules are:
//
//   - What a lamp is to show is told once, in the order in which it changed.
//   - The loop never waits for a panel. To one that hangs only the last word is
//     told when it is back: what is outdated isn't shown late.
//   - When Run ends all lamps are dark: that is the panel's promise for a ctx that
//     has ended.

// lamps are what they all show: made by the visit, and never changed.
type lamps = map[panel.Lamp]panel.Pattern

// light lays out what the panel is to show now. The loop alone sends.
func (k *Kiosk) light() {
	want := k.visit.Lamps()
	if maps.Equal(want, k.lit) {
		return
	}
	k.lit = want
	select {
	case <-k.orders: // nobody has come to it, and it is outdated
	default:
	}
	k.orders <- want
}

// lightLamps tells the panel what is laid out, and runs it, until ctx ends.
func (k *Kiosk) lightLamps(ctx context.Context) {
	if k.Panel == nil {
		return
	}
	k.run(func() {
		if err := k.Panel.Run(ctx); err != nil {
			k.Log.Error("lamps", "err", err)
		}
	})
	k.run(func() {
		told, sick := lamps{}, false
		for _, l := range panel.Lamps() { // so a panel opens
			told[l] = panel.Off
		}
		for {
			select {
			case <-ctx.Done():
				return
			case want := <-k.orders:
				k.tellPanel(ctx, told, want)
			}
			if err := k.Panel.Err(); (err != nil) != sick && ctx.Err() == nil {
				sick = err != nil
				k.Log.Warn("lamps", "err", err) // and the kiosk works without
				k.changed()
			}
		}
	})
}

// tellPanel tells the panel where told and want differ. What it says to that it
// says again when it is asked how it is.
func (k *Kiosk) tellPanel(ctx context.Context, told, want lamps) {
	for _, l := range panel.Lamps() {
		if told[l] == want[l] {
			continue
		}
		_ = k.Panel.Light(ctx, l, want[l])
		told[l] = want[l]
		k.Log.Debug("lamp", "lamp", string(l), "pattern", string(want[l]))
	}
}
