// Package all is the only list of makes: the name that stands in the
// configuration, and the function that opens it.
package all

import (
	"context"
	"fmt"
	"log/slog"

	"kosk/drivers/card"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/keystore"
	keyfile "kosk/drivers/keystore/file"
	"kosk/drivers/keystore/tpm"
	"kosk/drivers/panel"
	"kosk/drivers/panel/desk"
	"kosk/drivers/panel/gpio"
	"kosk/drivers/printer"
	"kosk/drivers/printer/document"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/signer"
	"kosk/drivers/signer/pkcs11"
	"kosk/drivers/sound"
	"kosk/drivers/sound/file"
	"kosk/drivers/sound/pulse"
	"kosk/drivers/speech"
	"kosk/drivers/speech/espeak"
	"kosk/drivers/speech/mute"
)

// ErrNoMake says that no make has that name.
type ErrNoMake struct{ Kind, Name string }

func (e ErrNoMake) Error() string { return fmt.Sprintf("no %s of make %q", e.Kind, e.Name) }

// Card opens a card reader: "pcsc". reader is the beginning of its name.
func Card(name, reader string, log *slog.Logger) (card.Reader, error) {
	if name == "pcsc" {
		return pcsc.Open(reader, log)
	}
	return nil, ErrNoMake{"card reader", name}
}

// Signer opens the keys of the cards in a reader: "pkcs11", or "none" for a nil
// opener. module is the path of the PKCS#11 module, "" OpenSC's; slot is the
// beginning of the reader's name, and reader the same one as Card opened it. The
// program must begin with Process.
func Signer(ctx context.Context, name, module, slot string, reader card.Reader, log *slog.Logger) (signer.Opener, error) {
	switch name {
	case "pkcs11":
		o, err := pkcs11.Load(ctx, pkcs11.Options{Module: module, Prefix: slot, Reader: reader, Log: log})
		if err != nil {
			return nil, err // and not a nil of its type
		}
		return o, nil
	case "none":
		return nil, nil
	}
	return nil, ErrNoMake{"signer", name}
}

// Process does the errand of a driver that this process was started for, and says
// whether there was one: see pkcs11.Main.
func Process() (done bool) { return pkcs11.Main() }

// Printer opens a printer: "escpos", or "none" for a nil printer.
func Printer(ctx context.Context, name string, o escpos.Options) (printer.Printer, error) {
	switch name {
	case "escpos":
		return escpos.Open(ctx, o)
	case "none":
		return nil, nil
	}
	return nil, ErrNoMake{"printer", name}
}

// Document opens a sheet printer for certificates: "ipp" or "raw", as its address
// says, or "none" for a nil printer.
func Document(name, address string, log *slog.Logger) (printer.Printer, error) {
	switch name {
	case "ipp", "raw":
		return document.Open(document.Options{Address: address, Log: log})
	case "none":
		return nil, nil
	}
	return nil, ErrNoMake{"document printer", name}
}

// Panel opens the lamps beside the slots: "gpio" (lines of a chip), "desk" (path is
// the file that says what would be lit), or "none" for a nil panel.
func Panel(name, path string, o gpio.Options) (panel.Panel, error) {
	switch name {
	case "gpio":
		p, err := gpio.Open(o)
		if err != nil { // and not a nil of its type
			return nil, err
		}
		return p, nil
	case "desk":
		p, err := desk.Open(path)
		if err != nil {
			return nil, err
		}
		return p, nil
	case "none":
		return nil, nil
	}
	return nil, ErrNoMake{"panel", name}
}

// Keystore opens what guards the keys on the disk: "tpm" (path is its device or
// socket), or "file" (path is the key's).
func Keystore(name, path string) (keystore.Store, error) {
	switch name {
	case "tpm":
		s, err := tpm.Open(tpm.Options{Path: path})
		if err != nil { // and not a nil of its type
			return nil, err
		}
		return s, nil
	case "file":
		s, err := keyfile.Open(path)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	return nil, ErrNoMake{"keystore", name}
}

// Speech opens a synthesiser: "espeak" or "mute".
func Speech(name, path string, log *slog.Logger) (speech.Synthesiser, error) {
	switch name {
	case "espeak":
		return espeak.Open(path, log)
	case "mute":
		return mute.New(), nil
	}
	return nil, ErrNoMake{"synthesiser", name}
}

// Sound opens a sink: "pulse" (server is its address; one that doesn't answer
// yet is sound.ErrNoSink, and a sink that looks for it with every clip), "file"
// (path is a WAV file), or "auto": PulseAudio where it answers, else the file.
func Sound(name, server, path string, log *slog.Logger) (sound.Sink, error) {
	switch name {
	case "pulse":
		s, err := pulse.Open(server, log)
		if s == nil { // and not a nil of its type
			return nil, err
		}
		return s, err
	case "file":
		return file.Open(path, file.Options{Pace: true})
	case "auto":
		if s, err := pulse.Open(server, log); err == nil {
			return s, nil
		}
		log.Info("no sound device: what would be heard goes to a file")
		return file.Open(path, file.Options{Pace: true})
	}
	return nil, ErrNoMake{"sound", name}
}
