/*
 * The keys that verify tokens, for every module that asks for a token.
 */

#include <ngx_http.h>

#include "access.h"


typedef struct {
    ngx_array_t  *keys;           /* access_key_t; NULL: none given */
} ngx_http_hub_access_loc_conf_t;


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
    NULL,                                  /* postconfiguration */
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
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_array_t *
access_keys(void **loc_conf)
{
    ngx_http_hub_access_loc_conf_t  *conf;

    conf = loc_conf[ngx_http_hub_access_module.ctx_index];

    return conf->keys;
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

    ngx_conf_merge_ptr_value(conf->keys, prev->keys, NULL);

    return NGX_CONF_OK;
}
