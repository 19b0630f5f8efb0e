#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_BASE64   sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define TOKEN_MAC      crypto_auth_hmacsha256_BYTES
#define TOKEN_AHEAD_S  60      /* clocks of two machines may differ that much */


static const token_key_t *token_key_find(const token_keys_t *keys, const char *kid)
{
    size_t  i;

    for (i = 0; i < keys->count; i++) {
        if (strcmp(keys->keys[i].kid, kid) == 0) {
            return &keys->keys[i];
        }
    }

    return NULL;
}


/* A line without its comment and the blanks around the rest. */
static const char *token_line_trim(const char *line, size_t *length)
{
    size_t  skip;

    *length = strcspn(line, "#\n");
    skip = strspn(line, " \t\r");
    if (skip >= *length) {
        *length = 0;
        return line;
    }

    line += skip;
    *length -= skip;
    while (strchr(" \t\r", line[*length - 1])) {
        (*length)--;
    }

    return line;
}


/* "KID HEX64" */
static bool token_line_parse(const char *line, size_t length, token_key_t *key)
{
    size_t       kid, digits, bytes;
    const char  *hex;

    kid = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    if (kid == 0 || kid > TOKEN_KID_MAX || (line[kid] != ' ' && line[kid] != '\t')) {
        return false;
    }

    hex = line + kid + strspn(line + kid, " \t");
    digits = strspn(hex, "0123456789abcdefABCDEF");
    if (digits != 2 * TOKEN_KEY_BYTES || hex + digits != line + length) {
        return false;
    }

    memcpy(key->kid, line, kid);
    key->kid[kid] = '\0';
    sodium_hex2bin(key->key, sizeof(key->key), hex, digits, NULL, &bytes, NULL);
    return true;
}


/* nginx reads the same file: tests/unit/cases/token_keys.tsv says what both accept. */
bool token_keys_parse(const char *text, token_keys_t *keys, char *error, size_t error_size)
{
    size_t        number = 0, length;
    const char   *line;
    token_key_t   key;

    memset(keys, 0, sizeof(*keys));

    for ( ; *text; text += strcspn(text, "\n"), text += *text == '\n') {

        number++;
        line = token_line_trim(text, &length);
        if (length == 0) {
            continue;
        }

        if (!token_line_parse(line, length, &key)) {
            snprintf(error, error_size, "line %zu: expected \"KID HEX64\", a name of 1 to "
                     "%d of A-Z a-z 0-9 _ - and %d hex digits", number, TOKEN_KID_MAX,
                     2 * TOKEN_KEY_BYTES);
            return false;
        }
        if (token_key_find(keys, key.kid)) {
            snprintf(error, error_size, "line %zu: a second key of the name %s", number,
                     key.kid);
            return false;
        }
        if (keys->count == TOKEN_KEYS_MAX) {
            snprintf(error, error_size, "line %zu: more than %d keys", number, TOKEN_KEYS_MAX);
            return false;
        }

        keys->keys[keys->count++] = key;
    }

    sodium_memzero(&key, sizeof(key));

    if (keys->count == 0) {
        snprintf(error, error_size, "holds no key; expected at least one line \"KID HEX64\"");
        return false;
    }

    return true;
}


bool token_keys_load(const char *path, token_keys_t *keys, char *error, size_t error_size)
{
    int          fd;
    bool         good;
    char         text[4096 + 1], why[200];
    ssize_t      length;
    struct stat  info;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0) {
        snprintf(error, error_size, "token keys %.300s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }

    if (info.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) {
        close(fd);
        snprintf(error, error_size, "token keys %.300s: mode is %03o; expected 600, or 640 for a group of services", path,
                 (unsigned) info.st_mode & 0777);
        return false;
    }

    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length < 0 || length == sizeof(text) - 1) {
        snprintf(error, error_size, "token keys %.300s: %s", path,
                 length < 0 ? strerror(errno) : "larger than 4 KB");
        return false;
    }
    text[length] = '\0';
    if (strlen(text) != (size_t) length) {
        snprintf(error, error_size, "token keys %.300s: has a zero byte", path);
        return false;
    }

    good = token_keys_parse(text, keys, why, sizeof(why));
    sodium_memzero(text, sizeof(text));
    if (!good) {
        snprintf(error, error_size, "token keys %.300s: %s", path, why);
    }

    return good;
}


bool token_keys_create(const char *path, char *error, size_t error_size)
{
    int            fd, length;
    char           text[128], hex[2 * TOKEN_KEY_BYTES + 1];
    bool           good;
    unsigned char  key[TOKEN_KEY_BYTES];

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno == EEXIST) {
            return true;
        }
        snprintf(error, error_size, "token keys %.300s: %s", path, strerror(errno));
        return false;
    }

    randombytes_buf(key, sizeof(key));
    sodium_bin2hex(hex, sizeof(hex), key, sizeof(key));
    length = snprintf(text, sizeof(text), "# KID HEX64; the first line signs, all verify\n"
                      "k1 %s\n", hex);

    good = write(fd, text, (size_t) length) == length;
    if (close(fd) < 0 || !good) {
        snprintf(error, error_size, "token keys %.300s: write failed: %s", path,
                 strerror(errno));
        unlink(path);
        return false;
    }

    return true;
}


/* base64url of the compact JSON text, after what is there already */
static bool token_append(char out[TOKEN_MAX], json_t *object)
{
    char    json[512];
    size_t  length, used = strlen(out);

    if (object == NULL) {
        return false;
    }

    length = json_dumpb(object, json, sizeof(json), JSON_COMPACT);
    json_decref(object);

    if (length == 0 || length > sizeof(json)
        || used + sodium_base64_encoded_len(length, TOKEN_BASE64) > TOKEN_MAX)
    {
        return false;
    }

    sodium_bin2base64(out + used, TOKEN_MAX - used, (unsigned char *) json, length,
                      TOKEN_BASE64);
    return true;
}


int64_t token_issue(int64_t now, int64_t not_before)
{
    return now > not_before ? now : not_before + 1;
}


bool token_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX])
{
    char           user[24];
    size_t         used;
    unsigned char  mac[TOKEN_MAC];

    snprintf(user, sizeof(user), "%" PRIu64, claims->user);
    out[0] = '\0';

    if (!token_append(out, json_pack("{ss ss}", "alg", "HS256", "kid", keys->keys[0].kid))) {
        return false;
    }
    strcat(out, ".");
    if (!token_append(out, json_pack("{ss ss ss sI sI}", "sub", user, "s", claims->stream,
                                     "a", claims->action,
                                     "iat", (json_int_t) claims->issued,
                                     "exp", (json_int_t) claims->expires)))
    {
        return false;
    }

    used = strlen(out);
    if (used + 1 + sodium_base64_encoded_len(sizeof(mac), TOKEN_BASE64) > TOKEN_MAX) {
        return false;
    }

    crypto_auth_hmacsha256(mac, (unsigned char *) out, used, keys->keys[0].key);
    out[used++] = '.';
    sodium_bin2base64(out + used, TOKEN_MAX - used, mac, sizeof(mac), TOKEN_BASE64);
    return true;
}


static json_t *token_part(const char *from, const char *end)
{
    size_t         length;
    unsigned char  json[TOKEN_MAX];

    if (sodium_base642bin(json, sizeof(json), from, (size_t) (end - from), NULL, &length,
                          NULL, TOKEN_BASE64) != 0)
    {
        return NULL;
    }

    return json_loadb((char *) json, length, JSON_REJECT_DUPLICATES, NULL);
}


static token_result_t token_check_header(const token_keys_t *keys, const char *from,
                                         const char *end, const token_key_t **key)
{
    json_t          *header = token_part(from, end);
    const char      *algorithm, *kid;
    token_result_t   result = TOKEN_OK;

    algorithm = json_string_value(json_object_get(header, "alg"));
    kid = json_string_value(json_object_get(header, "kid"));

    if (algorithm == NULL || strcmp(algorithm, "HS256") != 0 || kid == NULL) {
        result = TOKEN_MALFORMED;
    } else {
        *key = token_key_find(keys, kid);
        if (*key == NULL) {
            result = TOKEN_UNKNOWN_KEY;
        }
    }

    json_decref(header);
    return result;
}


static bool token_read_claims(json_t *body, token_claims_t *claims)
{
    json_t      *issued = json_object_get(body, "iat");
    json_t      *expires = json_object_get(body, "exp");
    const char  *user = json_string_value(json_object_get(body, "sub"));
    const char  *stream = json_string_value(json_object_get(body, "s"));
    const char  *action = json_string_value(json_object_get(body, "a"));

    memset(claims, 0, sizeof(*claims));

    if (!json_is_integer(issued) || !json_is_integer(expires) || !user || !stream || !action
        || strlen(stream) > NAME_FULL_MAX || strlen(action) >= sizeof(claims->action)
        || user[0] < '1' || user[0] > '9' || strlen(user) > 19
        || user[strspn(user, "0123456789")] != '\0')
    {
        return false;
    }

    claims->user = strtoull(user, NULL, 10);
    claims->issued = json_integer_value(issued);
    claims->expires = json_integer_value(expires);
    if (claims->user > INT64_MAX) {
        return false;
    }
    strcpy(claims->stream, stream);
    strcpy(claims->action, action);
    return true;
}


token_result_t token_verify(const token_keys_t *keys, const char *text, int64_t now,
                            token_claims_t *claims)
{
    bool                good;
    json_t             *body;
    size_t              length;
    const char         *first, *second;
    unsigned char       mac[TOKEN_MAC];
    token_result_t      result;
    const token_key_t  *key = NULL;

    if (strnlen(text, TOKEN_MAX) == TOKEN_MAX) {
        return TOKEN_MALFORMED;
    }

    first = strchr(text, '.');
    second = first ? strchr(first + 1, '.') : NULL;
    if (second == NULL || strchr(second + 1, '.')) {
        return TOKEN_MALFORMED;
    }

    result = token_check_header(keys, text, first, &key);
    if (result != TOKEN_OK) {
        return result;
    }

    if (sodium_base642bin(mac, sizeof(mac), second + 1, strlen(second + 1), NULL, &length,
                          NULL, TOKEN_BASE64) != 0 || length != sizeof(mac))
    {
        return TOKEN_MALFORMED;
    }

    /* compares in constant time */
    if (crypto_auth_hmacsha256_verify(mac, (const unsigned char *) text,
                                      (size_t) (second - text), key->key) != 0)
    {
        return TOKEN_FORGED;
    }

    body = token_part(first + 1, second);
    good = token_read_claims(body, claims);
    json_decref(body);

    if (!good) {
        return TOKEN_MALFORMED;
    }
    if (claims->expires <= now || claims->issued > now + TOKEN_AHEAD_S) {
        return TOKEN_EXPIRED;
    }

    return TOKEN_OK;
}
