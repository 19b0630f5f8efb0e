#include "access.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


token_keys_t *
access_read_keys(ngx_conf_t *cf, ngx_str_t *file)
{
    char           text[TOKEN_KEYS_FILE_MAX], why[200];
    ssize_t        n;
    ngx_fd_t       fd;
    token_keys_t  *keys;

    keys = ngx_palloc(cf->pool, sizeof(token_keys_t));

    if (keys == NULL || ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NULL;
    }

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "access_token_keys cannot open \"%V\"", file);
        return NULL;
    }

    n = ngx_read_fd(fd, text, sizeof(text));
    if (n < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "access_token_keys cannot read \"%V\"", file);
        keys = NULL;

    } else if (token_keys_parse(keys, text, n, why, sizeof(why)) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "access_token_keys \"%V\" %s",
                           file, why);
        keys = NULL;
    }

    (void) ngx_close_file(fd);
    ngx_explicit_memzero(text, sizeof(text));

    return keys;
}


static int
access_hmac(uint8_t mac[TOKEN_MAC_BYTES], const uint8_t key[TOKEN_KEY_BYTES],
    const char *text, size_t size)
{
    unsigned int  n = TOKEN_MAC_BYTES;

    return HMAC(EVP_sha256(), key, TOKEN_KEY_BYTES, (const u_char *) text, size,
                mac, &n) == NULL ? -1 : 0;
}


const char *
access_check(const token_keys_t *keys, ngx_str_t *token, ngx_str_t *stream,
    const char *action, time_t now, access_holder_t *holder)
{
    token_claims_t  claims;
    token_result_t  result;

    result = token_check(keys, access_hmac, (const char *) token->data,
                         token->len, now, &claims);
    if (result != TOKEN_OK) {
        return token_result_text(result);
    }

    if (ngx_strlen(claims.stream) != stream->len
        || ngx_memcmp(claims.stream, stream->data, stream->len) != 0)
    {
        return "token is for another stream";
    }

    holder->uid = claims.user;
    holder->issued = claims.issued;

    return ngx_strcmp(claims.action, action) == 0
           ? NULL : "token is for another action";
}


size_t
access_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX])
{
    return token_make(keys, access_hmac, claims, out);
}
