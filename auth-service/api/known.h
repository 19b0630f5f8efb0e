#ifndef DUOLU_KNOWN_H
#define DUOLU_KNOWN_H

#include "../base/fastcgi.h"
#include "../base/token.h"
#include "../store/store.h"

/*
 * A browser that has logged in to an account before carries a signed cookie that
 * says so. It lets nobody in: it only keeps strangers, who guess at the account
 * from everywhere, from making its user wait. It is void as soon as the user has
 * another password or name, and after the user was disabled or revoked.
 */
#define KNOWN_HEADER_MAX  (TOKEN_MAX + 128)
#define KNOWN_ID_SIZE     32

/* false: the browser is a stranger to this account; id: what it is counted by */
bool known_read(const FCGX_Request *request, const token_keys_t *keys, const store_user_t *user,
                char id[KNOWN_ID_SIZE]);

/*
 * The Set-Cookie line; with id "" the browser gets one. NOW is when the login
 * began: what the user lost since voids this cookie too.
 */
void known_header(const token_keys_t *keys, const store_user_t *user, int64_t now, const char *id,
                  char header[KNOWN_HEADER_MAX]);

#endif
