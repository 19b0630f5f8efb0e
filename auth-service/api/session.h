#ifndef DUOLU_SESSION_H
#define DUOLU_SESSION_H

#include "../base/fastcgi.h"
#include "../store/store.h"

/* The page's login: a cookie of 256 random bits, stored hashed. */

#define SESSION_LIFE_S      (7 * 24 * 3600)
#define SESSION_COOKIE      "__Host-duolu"
#define SESSION_HEADER_MAX  256

/* STORE_NONE: the user was changed since the caller read it; let the user try again */
store_result_t session_begin(store_t *store, const store_user_t *user, const char *address,
                             char header[SESSION_HEADER_MAX]);

/* STORE_NONE: no cookie, or one that is unknown, expired or of a disabled user */
store_result_t session_user(const FCGX_Request *request, store_t *store, store_user_t *user);

/* Computes the fingerprint of the session cookie; false when the request has none. */
bool session_fingerprint(const FCGX_Request *request, unsigned char hash[KEY_HASH_BYTES]);

store_result_t session_end(const FCGX_Request *request, store_t *store,
                           char header[SESSION_HEADER_MAX]);

#endif
