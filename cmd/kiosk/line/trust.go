package line

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/keep"
)

// Trust bundles come from the bus, and are the operator's: the bus is only a
// messenger. The rules are:
//   - a kiosk without a trust key takes none from the line: it could not tell a
//     good one, and it is for development only;
//   - one that isn't signed with the key, or is not newer, changes nothing;
//   - one from the line never makes a kiosk for citizens one for development, nor
//     the other way round: that takes somebody at the kiosk;
//   - it is on the disk before it is believed, and believed from the next visit on.

const trustFirst = 30 * time.Second // bound of the first wait

// errKind says that a bundle is for kiosks of another kind.
var errKind = errors.New("bundle changes between development and real cards")

// fetchTrust looks for a newer bundle every hour, until ctx ends.
func (l *Line) fetchTrust(ctx context.Context, believe func(*identity.Anchors)) error {
	return hourly(ctx, trustFirst, func() (settled bool) {
		err := l.lookTrust(ctx, believe)
		l.notice(partOf("trust", err))
		if err != nil && ctx.Err() == nil {
			l.opts.Log.Warn("no trust bundle from the bus", "err", err)
		}
		return err == nil
	})
}

// lookTrust fetches the bundle if the bus has another one than before.
func (l *Line) lookTrust(ctx context.Context, believe func(*identity.Anchors)) error {
	b, tag, changed, err := l.Client.Fetch(ctx, "v1/trust", l.bundleAt)
	if err != nil {
		return err
	}
	if !changed {
		return nil
	}
	a, err := l.takeTrust(b)
	if err != nil {
		return err
	}
	l.bundleAt = tag
	if a != nil {
		believe(a)
		l.Changed()
	}
	return nil
}

// takeTrust judges a bundle and stores it. It returns nil anchors when it is the
// one in use.
func (l *Line) takeTrust(b []byte) (*identity.Anchors, error) {
	path, now := l.opts.Config.Card.Bundle, l.trusted()
	a, err := identity.OpenBundle(b, l.opts.TrustKey)
	switch {
	case err != nil:
	case a.Version < now.Version:
		err = fmt.Errorf("%w: %w: version %d after %d", identity.ErrBundle, identity.ErrRollback, a.Version, now.Version)
	case a.Development != now.Development, now.Version == 0 && l.opts.Config.Sound.Make != "pulse":
		err = errKind // without a bundle a kiosk may keep what is said in a file: one for citizens may not
	}
	if err != nil || a.Version == now.Version {
		return nil, err
	}
	if err := keep.Public(path, b); err != nil { // as kioskctl writes it: a technician reads it too
		return nil, err
	}
	if a, err = identity.AcceptBundle(path, l.opts.TrustKey); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.anchors = a
	l.mu.Unlock()
	l.opts.Log.Info("trust bundle taken", "version", a.Version, "issued", a.Issued)
	return a, nil
}

// trusted is the bundle of the next visit.
func (l *Line) trusted() *identity.Anchors {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.anchors
}

// partOf is a part that is well, or isn't.
func partOf(name string, err error) health.Part {
	if err == nil {
		return health.Part{Name: name, State: stateOnline}
	}
	return health.Part{Name: name, State: stateDegraded, Cause: words(err)}
}
