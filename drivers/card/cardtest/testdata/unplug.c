/* A driver for pcscd that stands before another one and loses its reader while
   the file KOSK_READER_UNPLUGGED is there: every call then says that there is no
   such device. The other driver's path is in KOSK_READER_DRIVER. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
#include <wintypes.h>
#include <ifdhandler.h>

static void *real(const char *name)
{
	static void *driver;
	if (driver == NULL)
		driver = dlopen(getenv("KOSK_READER_DRIVER"), RTLD_NOW);
	return driver == NULL ? NULL : dlsym(driver, name);
}

#define PASS(name, params, args)                                                    \
	RESPONSECODE name params                                                    \
	{                                                                           \
		RESPONSECODE(*call) params = real(#name);                           \
		if (call == NULL || access(getenv("KOSK_READER_UNPLUGGED"), F_OK) == 0) \
			return IFD_NO_SUCH_DEVICE;                                  \
		return call args;                                                   \
	}

PASS(IFDHCreateChannelByName, (DWORD lun, LPSTR name), (lun, name))
PASS(IFDHCreateChannel, (DWORD lun, DWORD channel), (lun, channel))
PASS(IFDHCloseChannel, (DWORD lun), (lun))
PASS(IFDHGetCapabilities, (DWORD lun, DWORD tag, PDWORD length, PUCHAR value), (lun, tag, length, value))
PASS(IFDHSetCapabilities, (DWORD lun, DWORD tag, DWORD length, PUCHAR value), (lun, tag, length, value))
PASS(IFDHSetProtocolParameters, (DWORD lun, DWORD protocol, UCHAR flags, UCHAR pts1, UCHAR pts2, UCHAR pts3),
     (lun, protocol, flags, pts1, pts2, pts3))
PASS(IFDHPowerICC, (DWORD lun, DWORD action, PUCHAR atr, PDWORD length), (lun, action, atr, length))
PASS(IFDHTransmitToICC,
     (DWORD lun, SCARD_IO_HEADER send, PUCHAR out, DWORD outLength, PUCHAR in, PDWORD inLength, PSCARD_IO_HEADER receive),
     (lun, send, out, outLength, in, inLength, receive))
PASS(IFDHControl, (DWORD lun, DWORD code, PUCHAR out, DWORD outLength, PUCHAR in, DWORD inLength, LPDWORD returned),
     (lun, code, out, outLength, in, inLength, returned))
PASS(IFDHICCPresence, (DWORD lun), (lun))
