package pkcs11_test

import "os"

// long says whether the tests are to take every case, not a choice of them: for
// minutes, with KOSK_LONG=1.
func long() bool { return os.Getenv("KOSK_LONG") != "" }
