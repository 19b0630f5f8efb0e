/*
 * The gate: asks the auth-service over FastCGI whether a client may publish
 * or play, without ever blocking the worker.
 *
 * Each request has its own connection, as libfcgi would tie a thread to one that is
 * kept open.  A worker has at most GATE_IN_FLIGHT requests under way; the others
 * queue within the same timeout, so a crowd never overruns the service's backlog.
 *
 * Source of the record format: FastCGI Specification 1.0, sections 3.3-5.5.
 */

#ifndef DUOLU_GATE_H
#define DUOLU_GATE_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef struct {
    ngx_addr_t  *service;
    ngx_msec_t   timeout;
} gate_conf_t;

typedef struct {
    ngx_str_t  kind;          /* "publish", "play" or "done" */
    ngx_str_t  app;
    ngx_str_t  name;
    ngx_str_t  args;
    ngx_str_t  address;
    ngx_str_t  session;
    ngx_str_t  agent;         /* "publish" only: the client's program, as it
                                 names itself */
    ngx_str_t  of;            /* "done" only: the kind that ends, "publish" or
                                 "play" */
    ngx_str_t  reason;        /* "done" only */
    uint64_t   bytes;
    ngx_msec_t duration;
} gate_question_t;

typedef struct {
    unsigned   allow:1;
    unsigned   record:1;
    uint64_t   uid;
    uint64_t   stream;
    uint64_t   key;           /* id of the publishing key, 0: none */
    uint64_t   not_before;    /* the answer knows revocations up to this second */
    uint64_t   max_kbps;      /* 0: no limit; likewise below */
    uint64_t   max_viewers;
    uint64_t   max_publishers;
    char       reason[128];   /* of a refusal, printable text */
} gate_answer_t;

typedef struct gate_request_s  gate_request_t;

/* The second from which a session counts that was asked for at ASKED: a revocation
 * of that second that the answer knows must not end it, as it ends no token that is
 * made after it. */
static ngx_inline int64_t
gate_issued(const gate_answer_t *answer, int64_t asked)
{
    return ngx_max(asked, (int64_t) answer->not_before + 1);
}


/* Called once, from the event loop, never from within gate_ask(). */
typedef void (*gate_handler_pt)(void *data, const gate_answer_t *answer);

/* Sends a copy of QUESTION to the service.  HANDLER gets its answer, and a refusal
 * for every failure (no service, timeout, garbage); NULL: no caller needs the
 * answer.  Returns NULL when memory is short. */
gate_request_t *gate_ask(const gate_conf_t *conf,
    const gate_question_t *question, gate_handler_pt handler, void *data);

/* Drops the handler; the request continues.  If the answer is "allow", the gate
 * sends the "done" itself.  A caller whose handler gets an "allow" must send
 * "done" later. */
void gate_forget(gate_request_t *request);


/* --- configuration (gate_conf.c) --- */

/* Handles the directive `gate`; a gate_conf_t is at cmd->offset. */
char *gate_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

void gate_conf_init(gate_conf_t *gate);
void gate_conf_merge(gate_conf_t *conf, const gate_conf_t *prev);

/* Fails when no gate is configured, which DIRECTIVE needs. */
char *gate_require(ngx_conf_t *cf, const gate_conf_t *gate,
    const char *directive);

#endif
