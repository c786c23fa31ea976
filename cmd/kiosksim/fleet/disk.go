package fleet

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// appends appends records of size bytes to a file in dir, each synced before the
// next, for a while, and returns how many a second: what the disk gives to one
// who needs every record to be durable.
func appends(dir string, size int, during time.Duration) (rate float64, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	record := make([]byte, size)
	_, _ = rand.Read(record) // never fails, see crypto/rand
	began, n := time.Now(), 0
	for time.Since(began) < during {
		if _, err := f.Write(record); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
