/* A PKCS#11 module that makes a reader with a PIN pad of another module's reader:
   it says so of every token, and a log-in without PIN gets the one in
   KOSK_PAD_TYPED, as if it were typed there; "" is the person who presses cancel.
   A log-in with a PIN is refused. The other module's path is in KOSK_PAD_MODULE. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include "pkcs11go.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST ours;

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV rv = real->C_GetTokenInfo(slot, info);
	if (rv == CKR_OK)
		info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	char *typed = getenv("KOSK_PAD_TYPED");
	if (pin != NULL || length != 0)
		return CKR_ARGUMENTS_BAD;
	if (typed == NULL || typed[0] == 0)
		return CKR_FUNCTION_CANCELED;
	return real->C_Login(session, user, (CK_UTF8CHAR_PTR)typed, strlen(typed));
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	void *module = dlopen(getenv("KOSK_PAD_MODULE"), RTLD_NOW);
	CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	ours = *real;
	ours.C_GetTokenInfo = token_info;
	ours.C_Login = login;
	*list = &ours;
	return CKR_OK;
}
