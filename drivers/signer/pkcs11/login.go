package pkcs11

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// The beginning of CK_FUNCTION_LIST, PKCS#11 2.40, 3.6: a version, then the
// functions in the order of the standard.
struct functions {
	unsigned char version[2];
	void *before[18];
	unsigned long (*login)(unsigned long session, unsigned long user, unsigned char *pin, unsigned long length);
};

// kosk_login is C_Login of a module that is loaded already.
static unsigned long kosk_login(const char *path, unsigned long session, unsigned long user, unsigned char *pin, unsigned long length)
{
	unsigned long rv = 0x05; // CKR_GENERAL_ERROR
	unsigned long (*list)(struct functions **);
	struct functions *f;
	void *module = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);

	if (module == NULL)
		return rv;
	list = (unsigned long (*)(struct functions **))dlsym(module, "C_GetFunctionList");
	if (list != NULL && list(&f) == 0)
		rv = f->login(session, user, pin, length);
	dlclose(module);
	return rv;
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// login gives the PIN, or has it typed on the reader's pad when there is none:
// PKCS#11 2.40, 5.6, wants a null pointer then.
//
// It goes past the binding, which would leave a copy of the PIN in memory that it
// frees and does not zero.
func (o *Opener) login(session pkcs11.SessionHandle, user uint, pin []byte) error {
	path := C.CString(o.path)
	defer C.free(unsafe.Pointer(path))
	digits := (*C.uchar)(unsafe.SliceData(pin))
	if len(pin) == 0 {
		digits = nil
	}
	rv := C.kosk_login(path, C.ulong(session), C.ulong(user), digits, C.ulong(len(pin)))
	if rv != pkcs11.CKR_OK {
		return fmt.Errorf("log in: %w", pkcs11.Error(rv))
	}
	return nil
}
