#include "access.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ACCESS_FILE_MAX  4096
#define ACCESS_KEYS_MAX  8
#define ACCESS_AHEAD     60      /* seconds that clocks of two machines may differ */


static int
hex_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


static int
kid_char(u_char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
           || c == '_' || c == '-';
}


static int
is_blank(u_char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}


/* A line of the file, without its comment and the blanks around the rest. */
static ngx_str_t
trim_line(u_char *p, u_char *end)
{
    u_char     *comment = ngx_strlchr(p, end, '#');
    ngx_str_t   line;

    if (comment) {
        end = comment;
    }

    while (p < end && is_blank(*p)) {
        p++;
    }
    while (p < end && is_blank(end[-1])) {
        end--;
    }

    line.data = p;
    line.len = end - p;

    return line;
}


/* Parses "KID HEX64".  Returns 0, or -1.  The service reads the same file with
 * token_keys_parse(): tests/unit/cases/token_keys.tsv says what both accept. */
static int
parse_key_line(ngx_str_t *line, access_key_t *key)
{
    int      high, low;
    u_char  *p = line->data;
    size_t   i, len = line->len, n = 0;

    while (n < len && n < ACCESS_KID_MAX && kid_char(p[n])) {
        key->kid[n] = p[n];
        n++;
    }

    key->kid[n] = '\0';

    if (n == 0 || n >= len || (p[n] != ' ' && p[n] != '\t')) {
        return -1;
    }

    while (n < len && (p[n] == ' ' || p[n] == '\t')) {
        n++;
    }

    if (len - n != 2 * ACCESS_KEY_SIZE) {
        return -1;
    }

    for (i = 0; i < ACCESS_KEY_SIZE; i++) {
        high = hex_digit(p[n + 2 * i]);
        low = hex_digit(p[n + 2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        key->key[i] = (u_char) (high << 4 | low);
    }

    return 0;
}


static access_key_t *
key_of_kid(ngx_array_t *keys, const u_char *kid)
{
    ngx_uint_t     i;
    access_key_t  *key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {
        if (ngx_strcmp(kid, key[i].kid) == 0) {
            return &key[i];
        }
    }

    return NULL;
}


/* Takes one line.  Returns NULL, or what is wrong with it. */
static const char *
read_key_line(ngx_array_t *keys, ngx_str_t *line)
{
    access_key_t  *key, read;

    if (line->len == 0) {
        return NULL;
    }

    if (parse_key_line(line, &read) != 0) {
        return "expected \"KID HEX\" with a name of 1 to 16 of A-Z a-z 0-9 _ - "
               "and 64 hexadecimal digits";
    }
    if (key_of_kid(keys, read.kid)) {
        return "a second key of this name";
    }
    if (keys->nelts == ACCESS_KEYS_MAX) {
        return "more than 8 keys";
    }

    key = ngx_array_push(keys);
    if (key == NULL) {
        return "no memory";
    }

    *key = read;

    return NULL;
}


static ssize_t
read_key_file(ngx_conf_t *cf, ngx_str_t *file, u_char *buf, size_t size)
{
    ssize_t   n;
    ngx_fd_t  fd;

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return -1;
    }

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "access_token_keys cannot open \"%V\"", file);
        return -1;
    }

    n = ngx_read_fd(fd, buf, size);
    (void) ngx_close_file(fd);

    if (n < 0 || (size_t) n == size || ngx_strlchr(buf, buf + n, '\0')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "access_token_keys \"%V\" cannot be read, is not "
                           "shorter than %uz bytes or has a zero byte", file, size);
        return -1;
    }

    return n;
}


ngx_array_t *
access_read_keys(ngx_conf_t *cf, ngx_str_t *file)
{
    u_char        buf[ACCESS_FILE_MAX], *p, *end, *last;
    ssize_t       n;
    ngx_str_t     text;
    ngx_uint_t    line = 0;
    const char   *why;
    ngx_array_t  *keys;

    n = read_key_file(cf, file, buf, sizeof(buf));
    if (n < 0) {
        return NULL;
    }

    keys = ngx_array_create(cf->pool, 2, sizeof(access_key_t));
    if (keys == NULL) {
        return NULL;
    }

    last = buf + n;

    for (p = buf; p < last; p = end + 1) {
        line++;
        end = ngx_strlchr(p, last, '\n');
        if (end == NULL) {
            end = last;
        }

        text = trim_line(p, end);
        why = read_key_line(keys, &text);
        if (why) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "access_token_keys \"%V\" line %ui: %s", file,
                               line, why);
            return NULL;
        }
    }

    ngx_memzero(buf, sizeof(buf));

    if (keys->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "access_token_keys \"%V\" holds no key", file);
        return NULL;
    }

    return keys;
}


/*
 * Base64url of RFC 7515: no padding, no bits left over, so that there is one
 * text for the same bytes.  Decodes into BUF of SIZE.  Returns NGX_OK or not.
 */
static ngx_int_t
decode(const u_char *p, size_t len, u_char *buf, size_t size, ngx_str_t *out)
{
    static const u_char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "abcdefghijklmnopqrstuvwxyz0123456789-_";

    size_t      spare = len % 4 == 2 ? 0x0f : len % 4 == 3 ? 0x03 : 0;
    u_char     *last;
    ngx_str_t   src;

    src.data = (u_char *) p;
    src.len = len;
    out->data = buf;

    if (len == 0 || ngx_base64_decoded_length(len) > size
        || ngx_strlchr(src.data, src.data + len, '=')
        || ngx_decode_base64url(out, &src) != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = (u_char *) ngx_strchr(letters, p[len - 1]);

    return (last - letters) & spare ? NGX_ERROR : NGX_OK;
}


/* Decodes base64url and parses it as JSON.  The caller decrefs. */
static json_t *
decode_part(const u_char *p, size_t len)
{
    u_char     buf[ACCESS_TOKEN_MAX];
    ngx_str_t  dst;

    if (decode(p, len, buf, sizeof(buf), &dst) != NGX_OK) {
        return NULL;
    }

    return json_loadb((const char *) dst.data, dst.len, JSON_REJECT_DUPLICATES,
                      NULL);
}


static access_key_t *
find_key(ngx_array_t *keys, const u_char *p, size_t len)
{
    json_t        *header;
    const char    *alg, *kid;
    access_key_t  *found = NULL;

    header = decode_part(p, len);
    alg = json_string_value(json_object_get(header, "alg"));
    kid = json_string_value(json_object_get(header, "kid"));

    if (alg && kid && ngx_strcmp(alg, "HS256") == 0) {
        found = key_of_kid(keys, (const u_char *) kid);
    }

    json_decref(header);

    return found;
}


static int
signature_holds(access_key_t *key, const u_char *token, const u_char *dot,
    const u_char *end)
{
    u_char        mac[EVP_MAX_MD_SIZE], given[64];
    unsigned int  n = 0;
    ngx_str_t     dst;

    if (decode(dot + 1, end - dot - 1, given, sizeof(given), &dst) != NGX_OK
        || dst.len != 32)
    {
        return 0;
    }

    return HMAC(EVP_sha256(), key->key, ACCESS_KEY_SIZE, token, dot - token,
                mac, &n) != NULL
           && n == 32 && CRYPTO_memcmp(mac, given, 32) == 0;
}


/* The holder's number, 0 when TEXT is none: no zero in front, 19 digits. */
static uint64_t
read_holder(const char *text)
{
    size_t     len = ngx_strlen(text);
    ngx_int_t  n = text[0] == '0' || len > 19
                   ? 0 : ngx_atoi((u_char *) text, len);

    return n > 0 ? (uint64_t) n : 0;
}


static const char *
check_claims(json_t *claims, ngx_str_t *stream, const char *action, time_t now,
    access_holder_t *holder)
{
    json_t      *exp = json_object_get(claims, "exp");
    json_t      *iat = json_object_get(claims, "iat");
    const char  *sub = json_string_value(json_object_get(claims, "sub"));
    const char  *s = json_string_value(json_object_get(claims, "s"));
    const char  *a = json_string_value(json_object_get(claims, "a"));

    if (s == NULL || a == NULL || sub == NULL || !json_is_integer(exp)
        || !json_is_integer(iat))
    {
        return "token lacks a claim";
    }

    holder->uid = read_holder(sub);
    holder->issued = json_integer_value(iat);

    if (holder->uid == 0) {
        return "token names no user";
    }

    if (json_integer_value(exp) <= (json_int_t) now) {
        return "token has expired";
    }

    /* else no revocation of today would void it */
    if (holder->issued > (int64_t) now + ACCESS_AHEAD) {
        return "token is of the future";
    }

    if (ngx_strlen(s) != stream->len
        || ngx_memcmp(s, stream->data, stream->len) != 0)
    {
        return "token is for another stream";
    }

    return ngx_strcmp(a, action) == 0 ? NULL : "token is for another action";
}


const char *
access_check(ngx_array_t *keys, ngx_str_t *token, ngx_str_t *stream,
    const char *action, time_t now, access_holder_t *holder)
{
    u_char        *first, *second, *end = token->data + token->len;
    json_t        *claims;
    const char    *why;
    access_key_t  *key;

    if (token->len >= ACCESS_TOKEN_MAX) {
        return "token is too long";
    }

    first = ngx_strlchr(token->data, end, '.');
    second = first ? ngx_strlchr(first + 1, end, '.') : NULL;

    if (second == NULL) {
        return "token is malformed";
    }

    key = find_key(keys, token->data, first - token->data);
    if (key == NULL) {
        return "token names no key of ours";
    }

    if (!signature_holds(key, token->data, second, end)) {
        return "token has a wrong signature";
    }

    claims = decode_part(first + 1, second - first - 1);
    why = check_claims(claims, stream, action, now, holder);
    json_decref(claims);

    return why;
}
