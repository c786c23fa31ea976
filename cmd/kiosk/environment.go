package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// The kiosk runs in an environment of its own, whoever starts it. Libraries read
// some of it before main does, so a kiosk that was started in another one starts
// itself again, as the same process. A supervisor that sets it spares that.

// wanted is the environment, by name.
var wanted = map[string]string{
	"FYNE_CACHE": fyneKeeps.String(),
	"FYNE_SCALE": "1",             // one of Fyne's units is one pixel: sizes here are millimetres
	"GODEBUG":    "clobberfree=1", // what a person left is overwritten, not only forgotten
	"LANG":       "C.UTF-8",       // in every C library; what is typed is UTF-8
	"LANGUAGE":   "en",            // of Fyne's own words, which no scene shows
	"LC_ALL":     "",              // would overrule LANG
}

// settled in the environment says that the kiosk has started itself: what the C
// library still makes of its own variables is no reason to do it for ever.
const settled = "KOSK_SETTLED=1"

// settle returns when the environment is as wanted, or with the reason why not.
func settle() error {
	env, changed := environment(os.Environ())
	if !changed || slices.Contains(env, settled) {
		return nil
	}
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, append(env, settled))
	}
	return fmt.Errorf("start in an environment of its own: %w", err)
}

// environment is env as the kiosk wants it, and whether that is another one.
func environment(env []string) (own []string, changed bool) {
	own = slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		_, ours := wanted[name]
		return ours
	})
	for name, value := range wanted {
		if value != "" {
			own = append(own, name+"="+value)
		}
	}
	slices.Sort(own)
	return own, !slices.Equal(own, slices.Sorted(slices.Values(env)))
}

// undumped sees to it that this process and those that it starts leave no core
// dump, which would hold what a person said and showed. A limit of one byte
// also keeps the system from handing a dump to a program, which a limit of
// none doesn't. Source: Linux, fs/coredump.c.
func undumped() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}
