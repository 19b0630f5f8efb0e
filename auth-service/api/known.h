#ifndef DUOLU_KNOWN_H
#define DUOLU_KNOWN_H

#include "../base/fastcgi.h"
#include "../base/token.h"
#include "../store/store.h"

/*
 * A browser that has logged in to an account before carries a signed cookie that says
 * so. The cookie does not log in: it only keeps strangers who guess the account's
 * password from making its user wait. A new password or name voids it, as does disabling
 * or revoking the user.
 */
#define KNOWN_HEADER_MAX  (TOKEN_MAX + 128)
#define KNOWN_ID_SIZE     32

/* Returns false when the browser is a stranger to this account, else sets the id of its count. */
bool known_read(const FCGX_Request *request, const token_keys_t *keys, const store_user_t *user,
                char id[KNOWN_ID_SIZE]);

/*
 * Writes the Set-Cookie line, with a new id if ID is "". NOW is when the login began: a
 * revocation since then voids this cookie too.
 */
void known_header(const token_keys_t *keys, const store_user_t *user, int64_t now, const char *id,
                  char header[KNOWN_HEADER_MAX]);

#endif
