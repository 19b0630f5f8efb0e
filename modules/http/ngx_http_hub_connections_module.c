/*
 * Limits the open connections of an address to the HTTP ports, from accept to
 * close.  So it also counts connections that send nothing, are in the TLS
 * handshake, send their head slowly or idle: limit_conn does not.
 */

#include <ngx_http.h>
#include <ngx_event.h>

#include "../hub/address_table.h"

/* in the guard's library: see ngx_hub_module.c */
#pragma weak address_table_add
#pragma weak address_table_enter
#pragma weak address_table_leave
#pragma weak address_table_refused
#pragma weak address_table_sweep

/* 80,000 rows, one for each address and worker */
#define CONNECTIONS_ZONE  (4 * 1024 * 1024)

/* no address takes more than half of what a worker can hold */
#define CONNECTIONS_PART  2


typedef struct {
    ngx_int_t        limit;
    ngx_array_t     *except;     /* of ngx_cidr_t */
    ngx_shm_zone_t  *zone;       /* NULL: nothing is counted */
} ngx_http_hub_connections_conf_t;

typedef struct {
    ngx_shm_zone_t  *zone;
    uint32_t         row;
} ngx_http_hub_connection_t;


static void ngx_http_hub_connections_accept(ngx_connection_t *c);
static ngx_int_t ngx_http_hub_connections_enter(ngx_connection_t *c,
    ngx_http_hub_connections_conf_t *conf);
static void ngx_http_hub_connections_leave(void *data);
static void *ngx_http_hub_connections_create_conf(ngx_conf_t *cf);
static char *ngx_http_hub_connections_init_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_hub_connections_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_hub_connections_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_hub_connections_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_hub_connections_commands[] = {

    { ngx_string("hub_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_hub_connections_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_connections_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */
    ngx_http_hub_connections_create_conf,  /* create main configuration */
    ngx_http_hub_connections_init_conf,    /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_hub_connections_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_connections_module_ctx,  /* module context */
    ngx_http_hub_connections_commands,     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_hub_connections_init_module,  /* init module */
    ngx_http_hub_connections_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_hub_connections_conf_t *
ngx_http_hub_connections_conf(const ngx_cycle_t *cycle)
{
    ngx_http_hub_connections_conf_t  *conf;

    conf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_hub_connections_module);

    return conf && conf->zone ? conf : NULL;
}


/* Replaces ngx_http_init_connection() as the listeners' handler, and calls it. */

static void
ngx_http_hub_connections_accept(ngx_connection_t *c)
{
    ngx_uint_t                        refused;
    ngx_http_hub_connections_conf_t  *conf;

    conf = ngx_http_hub_connections_conf((ngx_cycle_t *) ngx_cycle);

    switch (ngx_http_hub_connections_enter(c, conf)) {

    case NGX_OK:
        ngx_http_init_connection(c);
        return;

    case NGX_DECLINED:
        refused = address_table_refused(conf->zone, c->sockaddr);

        if (refused) {
            c->log->action = NULL;
            ngx_log_error(NGX_LOG_WARN, c->log, 0,
                          "connections: %V has as many open as hub_connections "
                          "(%i) or half of worker_connections allows: closed "
                          "%ui more since the last such line (if it is your own "
                          "proxy, name it in hub_connections)",
                          &c->addr_text, conf->limit, refused);
        }
    }

    ngx_http_close_connection(c);
}


/* NGX_OK, NGX_DECLINED when the address is at its limit, NGX_ERROR. */

static ngx_int_t
ngx_http_hub_connections_enter(ngx_connection_t *c,
    ngx_http_hub_connections_conf_t *conf)
{
    ngx_int_t                   rc;
    ngx_pool_cleanup_t         *cln;
    ngx_http_hub_connection_t  *counted;

    if ((c->sockaddr->sa_family != AF_INET
         && c->sockaddr->sa_family != AF_INET6)
        || ngx_cidr_match(c->sockaddr, conf->except) == NGX_OK)
    {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(c->pool, sizeof(ngx_http_hub_connection_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    counted = cln->data;
    counted->zone = conf->zone;

    rc = address_table_enter(conf->zone, c->sockaddr, conf->limit,
                             ngx_cycle->connection_n / CONNECTIONS_PART,
                             &counted->row);
    if (rc == NGX_OK) {
        cln->handler = ngx_http_hub_connections_leave;
    }

    /* fail open: a full table must not lock all clients out */
    return rc == NGX_BUSY ? NGX_OK : rc;
}


static void
ngx_http_hub_connections_leave(void *data)
{
    ngx_http_hub_connection_t  *counted = data;

    address_table_leave(counted->zone, counted->row);
}


static void *
ngx_http_hub_connections_create_conf(ngx_conf_t *cf)
{
    ngx_http_hub_connections_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_connections_conf_t));

    if (conf) {
        conf->limit = NGX_CONF_UNSET;
    }

    return conf;
}


static char *
ngx_http_hub_connections_init_conf(ngx_conf_t *cf, void *conf)
{
    ngx_str_t                         name = ngx_string("hub_connections");
    ngx_http_hub_connections_conf_t  *c = conf;

    ngx_conf_init_value(c->limit, 0);

    if (c->limit == 0) {
        return NGX_CONF_OK;
    }

    c->zone = address_table_add(cf, &name, CONNECTIONS_ZONE,
                                &ngx_http_hub_connections_module);

    return c->zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_hub_connections_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_uint_t                        i;
    ngx_str_t                        *value = cf->args->elts;
    ngx_cidr_t                       *cidr;
    ngx_http_hub_connections_conf_t  *c = conf;

    if (c->limit != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    c->limit = ngx_atoi(value[1].data, value[1].len);

    if (c->limit == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V is \"%V\", expected a number", &cmd->name,
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    c->except = ngx_array_create(cf->pool, 4, sizeof(ngx_cidr_t));
    if (c->except == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        cidr = ngx_array_push(c->except);
        if (cidr == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_ptocidr(&value[i], cidr) == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%V has \"%V\", expected an address or a CIDR "
                               "block", &cmd->name, &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Runs when all listeners exist, even those of reuseport. */

static ngx_int_t
ngx_http_hub_connections_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_listening_t  *ls = cycle->listening.elts;

    if (ngx_http_hub_connections_conf(cycle) == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < cycle->listening.nelts; i++) {
        if (ls[i].handler == ngx_http_init_connection) {
            ls[i].handler = ngx_http_hub_connections_accept;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_hub_connections_init_process(ngx_cycle_t *cycle)
{
    ngx_http_hub_connections_conf_t  *conf;

    conf = ngx_http_hub_connections_conf(cycle);

    if (conf) {
        /* a worker that died still counts the connections it had */
        address_table_sweep(conf->zone);
    }

    return NGX_OK;
}
