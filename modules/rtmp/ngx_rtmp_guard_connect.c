#include "ngx_rtmp_guard_session.h"
#include "ngx_rtmp_cmd_module.h"
#include "ngx_rtmp_streams.h"


/* weak, as in ngx_rtmp_guard_module.c */
#pragma weak ngx_rtmp_core_module
#pragma weak ngx_rtmp_connect


#define NAMES_SIZE        128


/*
 * nginx-rtmp silently closes the connection of a client that asks for an
 * application that does not exist.  Refuse it with a reason instead.
 */


static ngx_int_t ngx_rtmp_guard_check_application(ngx_rtmp_session_t *s,
    ngx_rtmp_connect_t *v);
static ngx_uint_t ngx_rtmp_guard_has_application(ngx_rtmp_core_srv_conf_t *cscf,
    u_char *app);
static void ngx_rtmp_guard_list_applications(ngx_rtmp_core_srv_conf_t *cscf,
    u_char names[NAMES_SIZE]);


static ngx_rtmp_connect_pt  ngx_rtmp_guard_next_connect;


void
ngx_rtmp_guard_add_connect(void)
{
    ngx_rtmp_guard_next_connect = ngx_rtmp_connect;
    ngx_rtmp_connect = ngx_rtmp_guard_check_application;
}


static ngx_int_t
ngx_rtmp_guard_check_application(ngx_rtmp_session_t *s, ngx_rtmp_connect_t *v)
{
    size_t                     len;
    u_char                     names[NAMES_SIZE];
    ngx_rtmp_guard_ctx_t      *ctx;
    ngx_rtmp_core_srv_conf_t  *cscf;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);
    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);

    if (ctx == NULL) {
        return ngx_rtmp_guard_next_connect(s, v);
    }

    if (s->connected) {
        return ngx_rtmp_guard_refuse(s, "a second connect, expected one");
    }

    if (ngx_rtmp_guard_has_application(cscf, v->app)) {
        return ngx_rtmp_guard_next_connect(s, v);
    }

    ctx->connecting = v->trans;
    ngx_rtmp_guard_list_applications(cscf, names);

    /* leave out the arguments: they may hold a key */
    len = strcspn((char *) v->tc_url, "?");

    return ngx_rtmp_guard_refuse(s, "connect to application \"%s\", expected "
                                 "%s; its tcUrl is \"%*s%s\"", v->app, names,
                                 len, v->tc_url, v->tc_url[len] ? "?***" : "");
}


static ngx_uint_t
ngx_rtmp_guard_has_application(ngx_rtmp_core_srv_conf_t *cscf, u_char *app)
{
    size_t                      len = ngx_strlen(app);
    ngx_uint_t                  i;
    ngx_rtmp_core_app_conf_t  **apps = cscf->applications.elts;

    for (i = 0; i < cscf->applications.nelts; i++) {
        if (apps[i]->name.len == len
            && ngx_strncmp(apps[i]->name.data, app, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Writes "live" or "test": as many of the server's applications as fit. */

static void
ngx_rtmp_guard_list_applications(ngx_rtmp_core_srv_conf_t *cscf, u_char names[NAMES_SIZE])
{
    u_char                     *p = names, *last = names + NAMES_SIZE - 1;
    ngx_uint_t                  i;
    ngx_rtmp_core_app_conf_t  **apps = cscf->applications.elts;

    for (i = 0; i < cscf->applications.nelts; i++) {
        p = ngx_slprintf(p, last, "%s\"%V\"", i ? " or " : "", &apps[i]->name);
    }

    if (i == 0) {
        p = ngx_slprintf(p, last, "none, since the server has none");
    }

    *p = '\0';
}
