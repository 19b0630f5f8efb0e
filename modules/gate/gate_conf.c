#include "gate.h"


char *
gate_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_url_t     u;
    ngx_str_t    *value = cf->args->elts;
    gate_conf_t  *gate = (gate_conf_t *) ((char *) conf + cmd->offset);

    if (gate->service != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = value[1];

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0
        || (u.family != AF_UNIX && u.no_port))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "gate is \"%V\", expected unix:/path/to/socket or "
                           "address:port%s%s", &value[1], u.err ? ": " : "",
                           u.err ? u.err : "");
        return NGX_CONF_ERROR;
    }

    gate->service = u.addrs;

    return NGX_CONF_OK;
}


void
gate_conf_init(gate_conf_t *gate)
{
    gate->service = NGX_CONF_UNSET_PTR;
    gate->timeout = NGX_CONF_UNSET_MSEC;
}


void
gate_conf_merge(gate_conf_t *conf, const gate_conf_t *prev)
{
    ngx_conf_merge_ptr_value(conf->service, prev->service, NULL);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 5000);
}


char *
gate_require(ngx_conf_t *cf, const gate_conf_t *gate, const char *directive)
{
    if (gate->service) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s on\" has no \"gate\": name the auth-service's "
                       "socket with gate unix:/path/to/socket", directive);

    return NGX_CONF_ERROR;
}
