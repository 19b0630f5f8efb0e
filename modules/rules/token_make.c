#include "token_make.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TOKEN_JSON_MAX  512


/* Appends base64url (RFC 7515) of the SIZE bytes of DATA.  Returns the new length; 0:
 * they do not fit. */
static size_t
token_add(char out[TOKEN_MAX], size_t used, const uint8_t *data, size_t size)
{
    size_t    i;
    uint32_t  bits = 0;
    unsigned  held = 0;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_";

    if (used + (size * 4 + 2) / 3 >= TOKEN_MAX) {
        return 0;
    }

    for (i = 0; i < size; i++) {
        bits = bits << 8 | data[i];

        for (held += 8; held >= 6; held -= 6) {
            out[used++] = digits[bits >> (held - 6) & 63];
        }
    }

    if (held) {
        out[used++] = digits[bits << (6 - held) & 63];
    }

    out[used] = '\0';

    return used;
}


/* Appends OBJECT, of which it takes the reference. */
static size_t
token_add_json(char out[TOKEN_MAX], size_t used, json_t *object)
{
    char    json[TOKEN_JSON_MAX];
    size_t  size = object ? json_dumpb(object, json, sizeof(json), JSON_COMPACT) : 0;

    json_decref(object);

    return size == 0 || size > sizeof(json)
           ? 0 : token_add(out, used, (const uint8_t *) json, size);
}


/* Appends a dot behind USED bytes, if there are any. */
static size_t
token_add_dot(char out[TOKEN_MAX], size_t used)
{
    if (used == 0 || used + 1 >= TOKEN_MAX) {
        return 0;
    }

    out[used] = '.';

    return used + 1;
}


/* The claims as JSON, for the caller to decref; NULL without memory. */
static json_t *
token_body(const token_claims_t *claims)
{
    char     user[24];
    json_t  *body;

    snprintf(user, sizeof(user), "%" PRIu64, claims->user);

    body = json_pack("{ss ss ss sI sI}", "sub", user, "s", claims->stream,
                     "a", claims->action, "iat", (json_int_t) claims->issued,
                     "exp", (json_int_t) claims->expires);

    if (strcmp(claims->action, "clip") == 0
        && (json_object_set_new(body, "f", json_integer(claims->from)) != 0
            || json_object_set_new(body, "t", json_integer(claims->to)) != 0))
    {
        json_decref(body);
        return NULL;
    }

    return body;
}


size_t
token_make(const token_keys_t *keys, token_mac_pt hmac, const token_claims_t *claims,
    char out[TOKEN_MAX])
{
    size_t   used;
    uint8_t  mac[TOKEN_MAC_BYTES];

    used = token_add_json(out, 0, json_pack("{ss ss}", "alg", "HS256", "kid",
                                            keys->keys[0].kid));
    used = token_add_dot(out, used);
    if (used) {
        used = token_add_json(out, used, token_body(claims));
    }

    if (used == 0 || hmac(mac, keys->keys[0].key, out, used) != 0) {
        return 0;
    }

    used = token_add_dot(out, used);

    return used ? token_add(out, used, mac, sizeof(mac)) : 0;
}
