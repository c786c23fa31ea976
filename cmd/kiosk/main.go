// Command kiosk is the firmware: it reads the configuration, opens the drivers
// and the line, and shows the visit in one window until it is told to end.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"
	"github.com/alecthomas/kong"

	"kosk/device"
	"kosk/device/config"
	"kosk/device/scene"
	"kosk/drivers/all"
	"kosk/ui"
)

type flags struct {
	Config string `default:"/etc/kosk/kiosk.toml" help:"The configuration file." type:"path"`
}

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	if all.Process() {
		return
	}
	var f flags
	k := kong.Must(&f, kong.Name("kiosk"), kong.Description("The firmware of the Köşk self-service kiosk."))
	if _, err := k.Parse(os.Args[1:]); err != nil {
		k.Errorf("%s", err)
		os.Exit(exitUsage)
	}
	err := undumped()
	if err == nil {
		err = settle()
	}
	if err == nil {
		err = run(f)
	}
	if err != nil {
		k.Errorf("%s", err)
		os.Exit(exitFailed)
	}
}

func run(f flags) error {
	cfg, err := config.Load(f.Config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.State.Dir, 0o700); err != nil {
		return err
	}
	out, err := open(cfg.Log.File, os.Stderr)
	if err != nil {
		return err
	}
	defer out.Close()
	log := slog.New(slog.NewJSONHandler(out, nil))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m, err := assemble(ctx, cfg, log)
	if err != nil {
		log.Error("start", "err", err)
		return err
	}
	defer m.close()
	return window(ctx, cfg, log, m)
}

// window runs the machine behind the one window. Fyne wants the main goroutine;
// everything else runs beside it and ends with it.
func window(ctx context.Context, cfg config.Config, log *slog.Logger, m *machine) error {
	a := app.NewWithID("az.kosk.kiosk")
	trace, err := openTrace(cfg.Log.Trace)
	if err != nil {
		return err
	}
	defer trace.close()
	var kiosk *device.Kiosk
	w, err := onDisplay(func() *ui.Window {
		return ui.New(a, ui.Panel{
			WidthMM: float32(cfg.Panel.WidthMM), W: cfg.Panel.Width, H: cfg.Panel.Height, FullScreen: cfg.Panel.FullScreen,
		}, func(i scene.Input) { kiosk.Input(i) }, trace.painted)
	})
	if err != nil {
		log.Error("start", "err", err)
		return err
	}
	m.parts.Show, m.forgetter.repaint = w.Show, w.Repaint
	kiosk = device.New(m.parts)

	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	started := make(chan struct{})
	a.Lifecycle().SetOnStarted(func() { close(started) })
	go func() {
		<-started
		err := m.run(ctx, kiosk)
		log.Info("end", "err", err)
		fyne.Do(a.Quit)
		ended <- err
	}()
	w.Fyne().ShowAndRun()
	told := ctx.Err() != nil
	cancel()
	if err := <-ended; !told && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// onDisplay makes the window. Fyne panics where there is no display.
func onDisplay(make func() *ui.Window) (w *ui.Window, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("no window on display %q: %v", os.Getenv("DISPLAY"), cause)
		}
	}()
	return make(), nil
}

// open opens a file for appending, which doesn't grow for ever. Without a path it is usual, which Close
// leaves open: errors are still told there.
func open(path string, usual io.Writer) (io.WriteCloser, error) {
	if path == "" {
		return lent{usual}, nil
	}
	return openRolling(path, rollAt)
}

// lent is a writer that belongs to somebody else.
type lent struct{ io.Writer }

func (lent) Close() error { return nil }
