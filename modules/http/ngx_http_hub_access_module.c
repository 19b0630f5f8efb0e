/*
 * The keys that verify tokens, for every module that needs a token; masks
 * tokens in logs.
 */

#include <ngx_http.h>

#include "access.h"
#include "answer.h"
#include "mask.h"


typedef struct {
    token_keys_t  *keys;          /* NULL: none given */
} ngx_http_hub_access_loc_conf_t;


static ngx_int_t ngx_http_hub_access_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_hub_access_init_module(ngx_cycle_t *cycle);
static void *ngx_http_hub_access_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_access_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_hub_access_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_access_commands[] = {

    { ngx_string("access_token_keys"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_hub_access_keys,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_access_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_hub_access_init,              /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_access_create_loc_conf,   /* create location configuration */
    ngx_http_hub_access_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_hub_access_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_access_module_ctx,       /* module context */
    ngx_http_hub_access_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_hub_access_init_module,       /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


token_keys_t *
access_keys(void **loc_conf)
{
    ngx_http_hub_access_loc_conf_t  *conf;

    conf = loc_conf[ngx_http_hub_access_module.ctx_index];

    return conf->keys;
}


/* Masks a copy, since the URI lies in the line itself.  The pool, which lasts as
 * long as a viewer, gets no more than is left of the line. */
static ngx_int_t
ngx_http_hub_access_mask_line(ngx_http_request_t *r)
{
    u_char     *copy;
    ngx_str_t   masked, *line = &r->request_line;

    copy = ngx_alloc(line->len, r->connection->log);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    masked.len = mask_copy(copy, line->data, line->len) - copy;
    masked.data = ngx_pnalloc(r->pool, masked.len);

    if (masked.data) {
        ngx_memcpy(masked.data, copy, masked.len);
        *line = masked;
    }

    ngx_free(copy);

    return masked.data ? NGX_OK : NGX_ERROR;
}


/* Masks the request line and the referrer, for the access log.  nginx has parsed
 * the line, so nothing else needs it. */
static ngx_int_t
ngx_http_hub_access_mask(ngx_http_request_t *r)
{
    ngx_str_t        *value;
    ngx_table_elt_t  *referer = r->headers_in.referer;

    if (r->request_line.len >= MASK_RUN
        && ngx_http_hub_access_mask_line(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (referer && referer->value.len >= MASK_RUN) {
        value = &referer->value;
        value->len = mask_copy(value->data, value->data, value->len)
                     - value->data;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_hub_access_init(ngx_conf_t *cf)
{
    return answer_in_phase(cf, NGX_HTTP_POST_READ_PHASE, ngx_http_hub_access_mask);
}


/* Masks the main context's log, which is complete only when all directives have
 * been read.  The merge has masked the logs of locations. */
static ngx_int_t
ngx_http_hub_access_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_listening_t  *ls = cycle->listening.elts;

    if (mask_log(cycle->pool, &cycle->new_log) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < cycle->listening.nelts; i++) {
        if (mask_log(cycle->pool, ls[i].logp) != NGX_OK) {
            return NGX_ERROR;
        }

        ls[i].log.writer = ls[i].logp->writer;
        ls[i].log.wdata = ls[i].logp->wdata;
    }

    return NGX_OK;
}


static char *
ngx_http_hub_access_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                       *value = cf->args->elts;
    ngx_http_hub_access_loc_conf_t  *c = conf;

    if (c->keys != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    c->keys = access_read_keys(cf, &value[1]);

    return c->keys ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static void *
ngx_http_hub_access_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_hub_access_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_access_loc_conf_t));

    if (conf) {
        conf->keys = NGX_CONF_UNSET_PTR;
    }

    return conf;
}


static char *
ngx_http_hub_access_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_hub_access_loc_conf_t  *prev = parent;
    ngx_http_hub_access_loc_conf_t  *conf = child;
    ngx_http_core_loc_conf_t        *clcf;

    ngx_conf_merge_ptr_value(conf->keys, prev->keys, NULL);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->error_log != &cf->cycle->new_log
        && mask_log(cf->pool, clcf->error_log) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
