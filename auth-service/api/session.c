#include "session.h"

#include <stdio.h>
#include <string.h>

#define SESSION_USER_MOST  50    /* logins of a user at once; a new one ends the oldest */

#define SESSION_TEXT_LENGTH  43     /* 32 bytes in base64url without padding */


bool session_fingerprint(const FCGX_Request *request, unsigned char hash[KEY_HASH_BYTES])
{
    char  text[SESSION_TEXT_LENGTH + 1];

    if (!fastcgi_cookie(request, SESSION_COOKIE, text, sizeof(text))
        || strlen(text) != SESSION_TEXT_LENGTH)
    {
        return false;
    }

    password_fingerprint(text, hash);
    return true;
}


store_result_t session_begin(store_t *store, const store_user_t *user, const char *address,
                             char header[SESSION_HEADER_MAX])
{
    char            secret[SECRET_SIZE];
    unsigned char   hash[KEY_HASH_BYTES];
    store_result_t  result;

    password_random(secret, sizeof(secret), 32);
    password_fingerprint(secret, hash);

    snprintf(header, SESSION_HEADER_MAX, "Set-Cookie: " SESSION_COOKIE "=%s; Path=/; "
             "Max-Age=%d; Secure; HttpOnly; SameSite=Lax\r\n", secret, SESSION_LIFE_S);

    store_web_session_prune(store);
    result = store_web_session_add(store, hash, user, address, SESSION_LIFE_S);

    /* bound the rows, so that ending all logins of a user never deletes a million */
    return result == STORE_OK ? store_web_session_bound(store, user->id, SESSION_USER_MOST)
                              : result;
}


store_result_t session_user(const FCGX_Request *request, store_t *store, store_user_t *user)
{
    unsigned char  hash[KEY_HASH_BYTES];

    if (!session_fingerprint(request, hash)) {
        return STORE_NONE;
    }

    return store_web_session_user(store, hash, user);
}


store_result_t session_end(const FCGX_Request *request, store_t *store,
                           char header[SESSION_HEADER_MAX])
{
    unsigned char  hash[KEY_HASH_BYTES];

    snprintf(header, SESSION_HEADER_MAX, "Set-Cookie: " SESSION_COOKIE "=; Path=/; Max-Age=0; "
             "Secure; HttpOnly; SameSite=Lax\r\n");

    if (!session_fingerprint(request, hash)) {
        return STORE_OK;
    }

    return store_web_session_remove(store, hash);
}
