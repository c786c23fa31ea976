package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/stage"
)

// onStage opens a rig on a display of its own and gives it to play, with hands
// to act there; all of it ends with play. out is where slips and logs go, ""
// keeps none.
func onStage(ctx context.Context, bin, out string, play func(*rig.Rig, *stage.Hands) error) error {
	server, err := stage.Serve(ctx, panelW, panelH)
	if err != nil {
		return err
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "kosk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if out == "" {
		out = filepath.Join(dir, "out")
	}
	r, err := rig.Open(ctx, rig.Options{
		Dir: dir, Bin: binaries(bin), Out: out, Display: server.Display, Sound: "file", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer r.Close()
	hands, err := stage.Open(server.Display)
	if err != nil {
		return err
	}
	defer hands.Close()
	return play(r, hands)
}
