#include "known.h"
#include "../base/password.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KNOWN_LIFE_S  (365 * 24 * 3600)
#define KNOWN_ACTION  "known"       /* nginx accepts no token with this action */
#define KNOWN_PRINT   16            /* bytes */
#define KNOWN_COOKIE  "__Host-duolu-known-%" PRIu64     /* one for each account */


/*
 * Writes "ID.PRINT", where PRINT is a fingerprint of the name and the password hash.
 * Only the database has the hash's salt, so nobody can try passwords against the
 * fingerprint.
 */
static void known_text(const store_user_t *user, const char *id, char *out, size_t size)
{
    char           row[NAME_USER_MAX + 1 + PASSWORD_HASH_SIZE + 1], print[SECRET_SIZE];
    unsigned char  hash[KEY_HASH_BYTES];

    snprintf(row, sizeof(row), "%s %s", user->name, user->password_hash);
    password_fingerprint(row, hash);
    sodium_bin2base64(print, sizeof(print), hash, KNOWN_PRINT,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out, size, "%s.%s", id, print);
}


bool known_read(const FCGX_Request *request, const token_keys_t *keys, const store_user_t *user,
                char id[KNOWN_ID_SIZE])
{
    char            name[64], text[TOKEN_MAX], expected[NAME_FULL_MAX + 1];
    size_t          length;
    token_claims_t  claims;

    id[0] = '\0';
    snprintf(name, sizeof(name), KNOWN_COOKIE, user->id);

    if (user->disabled || !fastcgi_cookie(request, name, text, sizeof(text))
        || token_verify(keys, text, (int64_t) time(NULL), &claims) != TOKEN_OK
        || strcmp(claims.action, KNOWN_ACTION) != 0 || claims.user != user->id
        || claims.issued <= user->not_before)
    {
        return false;
    }

    length = strcspn(claims.stream, ".");
    if (length == 0 || length >= KNOWN_ID_SIZE) {
        return false;
    }
    memcpy(id, claims.stream, length);
    id[length] = '\0';

    known_text(user, id, expected, sizeof(expected));
    if (strcmp(claims.stream, expected) != 0) {
        id[0] = '\0';
    }
    return id[0] != '\0';
}


void known_header(const token_keys_t *keys, const store_user_t *user, int64_t now, const char *id,
                  char header[KNOWN_HEADER_MAX])
{
    char            text[TOKEN_MAX], fresh[SECRET_SIZE];
    token_claims_t  claims = { .user = user->id, .action = KNOWN_ACTION,
                               .issued = token_issue(now, user->not_before),
                               .expires = now + KNOWN_LIFE_S };

    if (id[0] == '\0') {
        password_random(fresh, sizeof(fresh), 16);
        id = fresh;
    }
    known_text(user, id, claims.stream, sizeof(claims.stream));

    header[0] = '\0';
    if (token_sign(keys, &claims, text)) {
        snprintf(header, KNOWN_HEADER_MAX, "Set-Cookie: " KNOWN_COOKIE "=%s; Path=/; Max-Age=%d; "
                 "Secure; HttpOnly; SameSite=Lax\r\n", user->id, text, KNOWN_LIFE_S);
    }
}
