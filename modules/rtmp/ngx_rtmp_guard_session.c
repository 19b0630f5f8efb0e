/*
 * One session: its read-ahead buffer, its count among the connections of its
 * address, and its refusal.
 */

#include "ngx_rtmp_guard_session.h"
#include "ngx_rtmp_streams.h"
#include "../hub/address_table.h"


/* weak, as in ngx_rtmp_guard_module.c */
#pragma weak ngx_rtmp_core_module
#pragma weak ngx_rtmp_finalize_session
#pragma weak ngx_rtmp_send_amf
#pragma weak ngx_rtmp_send_chunk_size
#pragma weak ngx_rtmp_send_status


#define LOG_LINES         20                   /* per second and worker */
#define CLOSE_MS          1000                 /* lets the client read why */
#define WHY_SIZE          512


/* a read-ahead buffer that no connection uses */
static u_char  *ngx_rtmp_guard_spare;


ngx_int_t
ngx_rtmp_guard_obtain(ngx_rtmp_guard_ctx_t *ctx, ngx_log_t *log)
{
    if (ngx_rtmp_guard_spare) {
        ctx->start = ngx_rtmp_guard_spare;
        ngx_rtmp_guard_spare = NULL;

    } else {
        ctx->start = ngx_alloc(NGX_RTMP_GUARD_READ_AHEAD, log);
        if (ctx->start == NULL) {
            return NGX_ERROR;
        }
    }

    ctx->pos = ctx->start;
    ctx->last = ctx->start;

    return NGX_OK;
}


void
ngx_rtmp_guard_release(ngx_rtmp_guard_ctx_t *ctx)
{
    if (ctx->start == NULL) {
        return;
    }

    if (ngx_rtmp_guard_spare == NULL) {
        ngx_rtmp_guard_spare = ctx->start;

    } else {
        ngx_free(ctx->start);
    }

    ctx->start = NULL;
    ctx->pos = NULL;
    ctx->last = NULL;
}


ngx_uint_t
ngx_rtmp_guard_watches(ngx_rtmp_session_t *s)
{
    return ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module) != NULL;
}


const u_char *
ngx_rtmp_guard_refusal(ngx_rtmp_session_t *s)
{
    ngx_rtmp_guard_ctx_t  *ctx;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    return ctx ? ctx->why : NULL;
}


/* --- refusing --- */

static ngx_uint_t
ngx_rtmp_guard_may_log(void)
{
    static time_t      second;
    static ngx_uint_t  lines, silent;

    if (second != ngx_time()) {
        second = ngx_time();
        lines = 0;

        if (silent) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "guard: refused %ui more connections, "
                          "at most %d lines are logged per second",
                          silent, LOG_LINES);
            silent = 0;
        }
    }

    if (lines++ < LOG_LINES) {
        return 1;
    }

    silent++;

    return 0;
}


/* Answers the connect of transaction TRANS with "rejected". */
static ngx_int_t
ngx_rtmp_guard_reject(ngx_rtmp_session_t *s, double trans, const u_char *why)
{
    ngx_rtmp_header_t          h;
    ngx_rtmp_core_srv_conf_t  *cscf;

    ngx_rtmp_amf_elt_t  info[] = {
        { NGX_RTMP_AMF_STRING, ngx_string("level"), "error", 0 },
        { NGX_RTMP_AMF_STRING, ngx_string("code"),
          "NetConnection.Connect.Rejected", 0 },
        { NGX_RTMP_AMF_STRING, ngx_string("description"), (void *) why, 0 }
    };

    ngx_rtmp_amf_elt_t  answer[] = {
        { NGX_RTMP_AMF_STRING, ngx_null_string, "_error", 0 },
        { NGX_RTMP_AMF_NUMBER, ngx_null_string, &trans, 0 },
        { NGX_RTMP_AMF_NULL, ngx_null_string, NULL, 0 },
        { NGX_RTMP_AMF_OBJECT, ngx_null_string, info, sizeof(info) }
    };

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);

    /* nginx-rtmp already sends in chunks of this size, but tells the client
     * only in its answer to a connect */
    if (ngx_rtmp_send_chunk_size(s, cscf->chunk_size) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&h, sizeof(h));
    h.csid = NGX_RTMP_CSID_AMF_INI;
    h.type = NGX_RTMP_MSG_AMF_CMD;

    return ngx_rtmp_send_amf(s, &h, answer,
                             sizeof(answer) / sizeof(answer[0]));
}


static void
ngx_rtmp_guard_close(ngx_event_t *ev)
{
    ngx_connection_t  *c = ev->data;

    ngx_rtmp_finalize_session(c->data);
}


/* Sends the reason, if the client has sent its connect, and closes a second
 * later. */
static ngx_int_t
ngx_rtmp_guard_answer(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (s->connection->destroyed
        || (s->app_conf == NULL && ctx->connecting == 0))
    {
        return NGX_ERROR;
    }

    ctx->stage = guard_closing;
    ngx_rtmp_guard_release(ctx);

    rc = s->app_conf == NULL
         ? ngx_rtmp_guard_reject(s, ctx->connecting, ctx->why)
         : ngx_rtmp_send_status(s, ctx->publishing
                                   ? "NetStream.Publish.Failed"
                                   : "NetStream.Failed",
                                "error", (char *) ctx->why);

    if (rc != NGX_OK || s->connection->destroyed) {
        return NGX_ERROR;
    }

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    ctx->deadline.handler = ngx_rtmp_guard_close;
    ctx->deadline.data = s->connection;
    ctx->deadline.log = s->connection->log;
    ctx->deadline.cancelable = 1;
    ngx_add_timer(&ctx->deadline, CLOSE_MS);

    return NGX_DONE;
}


ngx_int_t
ngx_rtmp_guard_refuse(ngx_rtmp_session_t *s, const char *fmt, ...)
{
    u_char                *p, why[WHY_SIZE];
    va_list                args;
    ngx_rtmp_guard_ctx_t  *ctx;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    if (ctx && ctx->why) {                   /* one line per connection */
        return ctx->stage == guard_closing ? NGX_DONE : NGX_ERROR;
    }

    va_start(args, fmt);
    *ngx_vslprintf(why, why + WHY_SIZE - 1, fmt, args) = '\0';
    va_end(args);

    for (p = why; *p; p++) {                 /* may contain the client's text */
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }

    if (ngx_rtmp_guard_may_log()) {
        ngx_log_error(NGX_LOG_ERR, s->connection->log, 0, "guard: refused %s",
                      why);
    }

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->why = ngx_pnalloc(s->connection->pool, ngx_strlen(why) + 1);
    if (ctx->why == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->why, why, ngx_strlen(why) + 1);

    return ngx_rtmp_guard_answer(s, ctx);
}


ngx_int_t
ngx_rtmp_guard_admit(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx)
{
    ngx_int_t                    rc;
    struct sockaddr             *sa;
    ngx_rtmp_guard_srv_conf_t   *gscf;
    ngx_rtmp_guard_main_conf_t  *gmcf;

    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);
    gmcf = ngx_rtmp_get_module_main_conf(s, ngx_rtmp_guard_module);
    sa = s->connection->sockaddr;

    /* nginx-rtmp takes any client of a unix socket for one of its workers, and
     * lets it do anything */
    s->auto_pushed = 0;

    if (gscf->conn_per_ip == 0
        || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
    {
        return NGX_OK;
    }

    rc = address_table_enter(gmcf->zone, sa, gscf->conn_per_ip,
                             gscf->conn_per_ip, &ctx->zone_entry);
    if (rc == NGX_OK) {
        ctx->zone = gmcf->zone;
        return NGX_OK;
    }

    if (rc == NGX_BUSY) {
        /* an undersized zone must not lock everybody out */
        ngx_log_error(NGX_LOG_WARN, s->connection->log, 0,
                      "guard: rtmp_guard_zone of %uz bytes is full, "
                      "this connection is not counted", gmcf->zone_size);
        return NGX_OK;
    }

    return ngx_rtmp_guard_refuse(s, "one more connection of this address, "
                                 "expected at most %ui", gscf->conn_per_ip);
}
