#include "access.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ACCESS_SEEN  4096


/* A token that these keys have verified. */
typedef struct {
    token_claims_t  claims;
    size_t          len;
    u_char          text[];
} access_seen_t;

/* A worker remembers tokens, as a viewer of HLS sends the same one six times a second:
 * each at the place of its hash, where another one replaces it. */
typedef struct {
    token_keys_t    keys;          /* the first */
    access_seen_t  *seen[ACCESS_SEEN];
} access_keys_t;


static void
access_forget(void *data)
{
    ngx_uint_t      i;
    access_keys_t  *all = data;

    for (i = 0; i < ACCESS_SEEN; i++) {
        ngx_free(all->seen[i]);
    }
}


/* Keys that have verified no token.  NULL: there is no memory. */
static token_keys_t *
access_create_keys(ngx_conf_t *cf)
{
    access_keys_t       *all = ngx_pcalloc(cf->pool, sizeof(access_keys_t));
    ngx_pool_cleanup_t  *cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (all == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = access_forget;
    cln->data = all;

    return &all->keys;
}


token_keys_t *
access_read_keys(ngx_conf_t *cf, ngx_str_t *file)
{
    char           text[TOKEN_KEYS_FILE_MAX], why[200];
    ssize_t        n;
    ngx_fd_t       fd;
    token_keys_t  *keys = access_create_keys(cf);

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


/* Remembers that TOKEN has CLAIMS, if there is memory. */
static void
access_remember(access_seen_t **place, const ngx_str_t *token,
    const token_claims_t *claims)
{
    access_seen_t  *seen;

    seen = ngx_alloc(sizeof(access_seen_t) + token->len, ngx_cycle->log);
    if (seen == NULL) {
        return;
    }

    seen->claims = *claims;
    seen->len = token->len;
    ngx_memcpy(seen->text, token->data, token->len);

    ngx_free(*place);
    *place = seen;
}


/* Does what token_check() does, once for each token while its times are right. */
static token_result_t
access_verify(const token_keys_t *keys, const ngx_str_t *token, time_t now,
    token_claims_t *claims)
{
    token_result_t         result;
    access_seen_t        **place;
    const access_seen_t   *seen;

    place = &((access_keys_t *) keys)->seen[ngx_murmur_hash2(token->data, token->len)
                                            % ACCESS_SEEN];
    seen = *place;

    if (seen && seen->len == token->len
        && CRYPTO_memcmp(seen->text, token->data, token->len) == 0
        && seen->claims.issued <= now && now < seen->claims.expires)
    {
        *claims = seen->claims;
        return TOKEN_OK;
    }

    result = token_check(keys, access_hmac, (const char *) token->data, token->len, now,
                         claims);
    if (result == TOKEN_OK) {
        access_remember(place, token, claims);
    }

    return result;
}


const char *
access_check(const token_keys_t *keys, ngx_str_t *token, ngx_str_t *stream,
    const char *action, time_t now, access_holder_t *holder)
{
    token_claims_t  claims;
    token_result_t  result = access_verify(keys, token, now, &claims);

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
    holder->replay = token_allows(&claims, "replay");
    holder->link = token_of_link(&claims);
    holder->until = holder->link ? (time_t) claims.expires : 0;
    holder->from = holder->replay ? 0 : claims.from;
    holder->to = holder->replay ? INT64_MAX : claims.to;

    return token_allows(&claims, action) ? NULL : "token is for another action";
}


size_t
access_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX])
{
    return token_make(keys, access_hmac, claims, out);
}
