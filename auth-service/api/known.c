#include "known.h"
#include "../base/password.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KNOWN_LIFE_S  (365 * 24 * 3600)
#define KNOWN_ACTION  "known"       /* nginx takes no token of this action */
#define KNOWN_COOKIE  "__Host-duolu-known-%" PRIu64     /* one for each account */


bool known_read(const FCGX_Request *request, const token_keys_t *keys, uint64_t user,
                char id[KNOWN_ID_SIZE])
{
    char            name[64], text[TOKEN_MAX];
    token_claims_t  claims;

    id[0] = '\0';
    snprintf(name, sizeof(name), KNOWN_COOKIE, user);

    if (!fastcgi_cookie(request, name, text, sizeof(text))
        || token_verify(keys, text, (int64_t) time(NULL), &claims) != TOKEN_OK
        || strcmp(claims.action, KNOWN_ACTION) != 0 || claims.user != user
        || strlen(claims.stream) >= KNOWN_ID_SIZE)
    {
        return false;
    }

    strcpy(id, claims.stream);
    return true;
}


void known_header(const token_keys_t *keys, uint64_t user, const char *id,
                  char header[KNOWN_HEADER_MAX])
{
    char            text[TOKEN_MAX], fresh[SECRET_SIZE];
    int64_t         now = (int64_t) time(NULL);
    token_claims_t  claims = { .user = user, .action = KNOWN_ACTION, .issued = now,
                               .expires = now + KNOWN_LIFE_S };

    if (id[0] == '\0') {
        password_random(fresh, sizeof(fresh), 16);
        id = fresh;
    }
    snprintf(claims.stream, sizeof(claims.stream), "%s", id);

    header[0] = '\0';
    if (token_sign(keys, &claims, text)) {
        snprintf(header, KNOWN_HEADER_MAX, "Set-Cookie: " KNOWN_COOKIE "=%s; Path=/; Max-Age=%d; "
                 "Secure; HttpOnly; SameSite=Lax\r\n", user, text, KNOWN_LIFE_S);
    }
}
