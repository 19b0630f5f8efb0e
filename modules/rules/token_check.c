#include "token_check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_AHEAD_S  60        /* allowed difference of two clocks */

typedef struct {
    const char  *p;
    size_t       len;
} text_t;


static int
base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return c == '-' ? 62 : c == '_' ? 63 : -1;
}


/*
 * Decodes base64url of RFC 7515.  Padding and left-over bits are errors, so
 * that each value has exactly one text.  Returns the number of bytes, or -1 when
 * the text is invalid or longer than MAX bytes.
 */
static int
base64_decode(text_t text, uint8_t *out, size_t max)
{
    int       digit;
    size_t    i, n = 0;
    uint32_t  bits = 0;
    unsigned  held = 0;          /* bits not yet in a byte */

    for (i = 0; i < text.len; i++) {
        digit = base64_digit(text.p[i]);
        if (digit == -1) {
            return -1;
        }

        bits = bits << 6 | (uint32_t) digit;
        held += 6;

        if (held >= 8) {
            held -= 8;
            if (n == max) {
                return -1;
            }
            out[n++] = (uint8_t) (bits >> held);
        }
    }

    return held == 6 || bits & ((1u << held) - 1) ? -1 : (int) n;
}


/* Cuts TEXT at its two dots.  Returns 0, or -1 when it has more or fewer. */
static int
split_token(text_t text, text_t part[3])
{
    int          i;
    const char  *dot;

    for (i = 0; i < 2; i++) {
        dot = text.len ? memchr(text.p, '.', text.len) : NULL;
        if (dot == NULL) {
            return -1;
        }

        part[i].p = text.p;
        part[i].len = (size_t) (dot - text.p);
        text.len -= part[i].len + 1;
        text.p = dot + 1;
    }

    part[2] = text;

    return text.len && memchr(text.p, '.', text.len) ? -1 : 0;
}


/* Returns an object that the caller decrefs; NULL when PART is no JSON object. */
static json_t *
read_object(text_t part)
{
    int       n;
    json_t   *object;
    uint8_t   json[TOKEN_MAX];

    n = base64_decode(part, json, sizeof(json));
    if (n == -1) {
        return NULL;
    }

    object = json_loadb((const char *) json, (size_t) n, JSON_REJECT_DUPLICATES,
                        NULL);

    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }

    return object;
}


static const char *
read_string(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}


static token_result_t
find_key(const token_keys_t *keys, text_t part, const token_key_t **key)
{
    json_t      *header = read_object(part);
    const char  *alg = read_string(header, "alg");
    const char  *kid = read_string(header, "kid");

    if (header == NULL) {
        return TOKEN_MALFORMED;
    }

    *key = alg && kid && strcmp(alg, "HS256") == 0 ? token_keys_find(keys, kid)
                                                  : NULL;
    json_decref(header);

    return *key ? TOKEN_OK : TOKEN_UNKNOWN_KEY;
}


/* Takes the same time wherever the two differ, so that nobody can guess a MAC
 * byte by byte. */
static int
same_mac(const uint8_t *a, const uint8_t *b)
{
    size_t            i;
    volatile uint8_t  differ = 0;

    for (i = 0; i < TOKEN_MAC_BYTES; i++) {
        differ |= a[i] ^ b[i];
    }

    return differ == 0;
}


static token_result_t
check_signature(const token_key_t *key, token_mac_pt hmac, text_t text,
    text_t signature)
{
    uint8_t  given[TOKEN_MAC_BYTES], mac[TOKEN_MAC_BYTES];
    size_t   signed_len = text.len - signature.len - 1;

    if (base64_decode(signature, given, sizeof(given)) != TOKEN_MAC_BYTES
        || hmac(mac, key->key, text.p, signed_len) != 0
        || !same_mac(given, mac))
    {
        return TOKEN_FORGED;
    }

    return TOKEN_OK;
}


/* Reads the user's number: at most 19 digits without a leading zero.  Returns 0
 * when it is invalid. */
static uint64_t
read_user(const char *text)
{
    size_t    len = strlen(text);
    uint64_t  user;

    if (text[0] == '0' || len > 19 || strspn(text, "0123456789") != len) {
        return 0;
    }

    user = strtoull(text, NULL, 10);

    return user > INT64_MAX ? 0 : user;
}


/* Reads the span of a token for "clip".  Returns 0 or -1. */
static int
read_span(json_t *body, token_claims_t *claims)
{
    json_t  *from = json_object_get(body, "f"), *to = json_object_get(body, "t");

    if (!json_is_integer(from) || !json_is_integer(to)) {
        return -1;
    }

    claims->from = json_integer_value(from);
    claims->to = json_integer_value(to);

    return claims->from < 0 || claims->from > claims->to ? -1 : 0;
}


static token_result_t
read_claims(json_t *body, token_claims_t *claims)
{
    json_t      *issued = json_object_get(body, "iat");
    json_t      *expires = json_object_get(body, "exp");
    const char  *user = read_string(body, "sub");
    const char  *stream = read_string(body, "s");
    const char  *action = read_string(body, "a");

    if (!json_is_integer(issued) || !json_is_integer(expires) || user == NULL
        || stream == NULL || strlen(stream) >= sizeof(claims->stream)
        || action == NULL || strlen(action) >= sizeof(claims->action))
    {
        return TOKEN_LACKS_CLAIM;
    }

    claims->user = read_user(user);
    claims->issued = json_integer_value(issued);
    claims->expires = json_integer_value(expires);
    strcpy(claims->stream, stream);
    strcpy(claims->action, action);

    if (strcmp(action, "clip") == 0 && read_span(body, claims) != 0) {
        return TOKEN_LACKS_CLAIM;
    }

    return claims->user ? TOKEN_OK : TOKEN_NO_USER;
}


static token_result_t
check_claims(text_t part, int64_t now, token_claims_t *claims)
{
    json_t          *body = read_object(part);
    token_result_t   result = read_claims(body, claims);

    json_decref(body);

    if (result != TOKEN_OK) {
        memset(claims, 0, sizeof(*claims));
        return result;
    }

    return claims->expires <= now ? TOKEN_EXPIRED
           : claims->issued > now + TOKEN_AHEAD_S ? TOKEN_FUTURE : TOKEN_OK;
}


token_result_t
token_check(const token_keys_t *keys, token_mac_pt hmac, const char *text,
    size_t len, int64_t now, token_claims_t *claims)
{
    text_t              whole = { text, len }, part[3];
    token_result_t      result;
    const token_key_t  *key = NULL;

    memset(claims, 0, sizeof(*claims));

    if (len >= TOKEN_MAX) {
        return TOKEN_TOO_LONG;
    }

    if (split_token(whole, part) != 0) {
        return TOKEN_MALFORMED;
    }

    result = find_key(keys, part[0], &key);

    if (result == TOKEN_OK) {
        result = check_signature(key, hmac, whole, part[2]);
    }

    /* no claim is parsed before the signature is verified */
    return result == TOKEN_OK ? check_claims(part[1], now, claims) : result;
}


int
token_of_link(const token_claims_t *claims)
{
    return claims->user > TOKEN_LINKS;
}


int
token_allows(const token_claims_t *claims, const char *action)
{
    int  watch = strcmp(claims->action, "watch") == 0;
    int  view = strcmp(claims->action, "view") == 0;
    int  replay = strcmp(claims->action, "replay") == 0;
    int  clip = strcmp(claims->action, "clip") == 0;

    if (token_of_link(claims)) {
        return (view || clip) && strcmp(claims->action, action) == 0;
    }

    return strcmp(claims->action, action) == 0
           || (watch && (strcmp(action, "view") == 0 || strcmp(action, "replay") == 0))
           || ((watch || replay) && strcmp(action, "clip") == 0);
}


const char *
token_result_text(token_result_t result)
{
    static const char *const  texts[] = {
        [TOKEN_TOO_LONG] = "token is too long",
        [TOKEN_MALFORMED] = "token is malformed",
        [TOKEN_UNKNOWN_KEY] = "token names no known key",
        [TOKEN_FORGED] = "token has a wrong signature",
        [TOKEN_LACKS_CLAIM] = "token lacks a claim",
        [TOKEN_NO_USER] = "token names no user",
        [TOKEN_EXPIRED] = "token has expired",
        [TOKEN_FUTURE] = "token was issued in the future"
    };

    return texts[result];
}
