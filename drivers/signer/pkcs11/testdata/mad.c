/* A PKCS#11 module that goes mad before a function of another module's, whose
   path is in KOSK_MAD_MODULE. KOSK_MAD_AT names the function, KOSK_MAD_HOW what
   it does: crash, exit, hang; or chatter, which writes on every open descriptor of
   the standard ones and goes on; flood, which writes a lot on the next one; or fork,
   which leaves a process behind that has all that was open, for half a minute. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pkcs11go.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST ours;

static void at(const char *function)
{
	const char *where = getenv("KOSK_MAD_AT"), *how = getenv("KOSK_MAD_HOW");
	if (where == NULL || how == NULL || strcmp(where, function) != 0)
		return;
	if (strcmp(how, "crash") == 0)
		*(volatile int *)8 = 1;
	if (strcmp(how, "exit") == 0)
		_exit(0);
	if (strcmp(how, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(how, "flood") == 0) {
		static char much[1 << 20];
		if (write(3, much, sizeof much) < 0)
			_exit(0);
		return;
	}
	if (strcmp(how, "fork") == 0) {
		if (fork() == 0) {
			sleep(30);
			_exit(0);
		}
		return;
	}
	if (write(1, "{\"Tries\":3}\n", 12) + write(2, "{\"Tries\":3}\n", 12) < 0)
		_exit(0);
}

static CK_RV initialize(CK_VOID_PTR arguments)
{
	at("initialize");
	return real->C_Initialize(arguments);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	at("login");
	return real->C_Login(session, user, pin, length);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR space)
{
	at("sign");
	return real->C_Sign(session, data, length, signature, space);
}

static CK_RV finalize(CK_VOID_PTR reserved)
{
	at("finalize");
	return real->C_Finalize(reserved);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	void *module = dlopen(getenv("KOSK_MAD_MODULE"), RTLD_NOW);
	CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
	at("load");
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	ours = *real;
	ours.C_Initialize = initialize;
	ours.C_Login = login;
	ours.C_Sign = sign;
	ours.C_Finalize = finalize;
	*list = &ours;
	return CKR_OK;
}
