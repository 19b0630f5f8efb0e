#ifndef DUOLU_KNOWN_H
#define DUOLU_KNOWN_H

#include "../base/fastcgi.h"
#include "../base/token.h"

/*
 * A browser that has logged in to an account before carries a signed cookie that
 * says so. It lets nobody in: it only keeps strangers, who guess at the account
 * from everywhere, from making its user wait.
 */
#define KNOWN_HEADER_MAX  (TOKEN_MAX + 128)
#define KNOWN_ID_SIZE     32

/* false: the browser is a stranger to this account; id: what it is counted by */
bool known_read(const FCGX_Request *request, const token_keys_t *keys, uint64_t user,
                char id[KNOWN_ID_SIZE]);

/* The Set-Cookie line; with id "" the browser gets one. */
void known_header(const token_keys_t *keys, uint64_t user, const char *id,
                  char header[KNOWN_HEADER_MAX]);

#endif
