#include "token_keys.h"

#include <stdio.h>
#include <string.h>


static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


static int
is_kid_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
           || c == '_' || c == '-';
}


static int
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}


/* Strips the comment, then the blanks at both ends, off the line from P to END.
 * Returns the new start, and the length in *LEN. */
static const char *
trim_line(const char *p, const char *end, size_t *len)
{
    const char  *comment = memchr(p, '#', (size_t) (end - p));

    if (comment) {
        end = comment;
    }

    while (p < end && is_blank(*p)) {
        p++;
    }
    while (p < end && is_blank(end[-1])) {
        end--;
    }

    *len = (size_t) (end - p);

    return p;
}


/* Parses "KID HEX64".  Returns 0 or -1. */
static int
parse_key(const char *p, size_t len, token_key_t *key)
{
    int     high, low;
    size_t  i, n = 0;

    while (n < len && n < TOKEN_KID_MAX && is_kid_char(p[n])) {
        key->kid[n] = p[n];
        n++;
    }

    key->kid[n] = '\0';

    if (n == 0 || n == len || (p[n] != ' ' && p[n] != '\t')) {
        return -1;
    }

    while (n < len && (p[n] == ' ' || p[n] == '\t')) {
        n++;
    }

    if (len - n != 2 * TOKEN_KEY_BYTES) {
        return -1;
    }

    for (i = 0; i < TOKEN_KEY_BYTES; i++) {
        high = hex_digit(p[n + 2 * i]);
        low = hex_digit(p[n + 2 * i + 1]);

        if (high < 0 || low < 0) {
            return -1;
        }

        key->key[i] = (uint8_t) (high << 4 | low);
    }

    return 0;
}


const token_key_t *
token_keys_find(const token_keys_t *keys, const char *kid)
{
    size_t  i;

    for (i = 0; i < keys->count; i++) {
        if (strcmp(keys->keys[i].kid, kid) == 0) {
            return &keys->keys[i];
        }
    }

    return NULL;
}


static int
add_line(token_keys_t *keys, const char *p, size_t len, size_t line,
    char *error, size_t error_size)
{
    token_key_t  *key = &keys->keys[keys->count];

    if (keys->count == TOKEN_KEYS_MAX) {
        snprintf(error, error_size, "line %zu: more than %d keys", line,
                 TOKEN_KEYS_MAX);
        return -1;
    }

    if (parse_key(p, len, key) != 0) {
        snprintf(error, error_size, "line %zu: expected \"KID HEX\", a name of "
                 "1 to %d of A-Z a-z 0-9 _ - and %d hexadecimal digits", line,
                 TOKEN_KID_MAX, 2 * TOKEN_KEY_BYTES);
        return -1;
    }

    if (token_keys_find(keys, key->kid)) {
        snprintf(error, error_size, "line %zu: a second key has the name %s",
                 line, key->kid);
        return -1;
    }

    keys->count++;

    return 0;
}


int
token_keys_parse(token_keys_t *keys, const char *text, size_t size,
    char *error, size_t error_size)
{
    size_t       len, line = 0;
    const char  *p, *end, *key, *last = text + size;

    memset(keys, 0, sizeof(*keys));

    if (size >= TOKEN_KEYS_FILE_MAX || memchr(text, '\0', size)) {
        snprintf(error, error_size, size >= TOKEN_KEYS_FILE_MAX
                 ? "is not shorter than %d bytes" : "has a zero byte",
                 TOKEN_KEYS_FILE_MAX);
        return -1;
    }

    for (p = text; p < last; p = end + 1) {
        line++;
        end = memchr(p, '\n', (size_t) (last - p));
        if (end == NULL) {
            end = last;
        }

        key = trim_line(p, end, &len);

        if (len && add_line(keys, key, len, line, error, error_size) != 0) {
            return -1;
        }
    }

    if (keys->count == 0) {
        snprintf(error, error_size, "holds no key; expected at least one line "
                 "\"KID HEX\"");
        return -1;
    }

    return 0;
}
