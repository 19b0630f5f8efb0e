/*
 * The gate: asks the auth-service over FastCGI whether somebody may publish
 * or play, without ever blocking the worker.
 *
 * One request per connection (libfcgi pins a thread to a kept one).  At most
 * GATE_IN_FLIGHT requests of a worker are under way, the rest wait their turn
 * within the same timeout, so a crowd never overruns the service's backlog.
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
    ngx_str_t  of;            /* "done" only: what ends, "publish" or "play" */
    ngx_str_t  reason;        /* "done" only */
    uint64_t   bytes;
    ngx_msec_t duration;
} gate_question_t;

typedef struct {
    unsigned   allow:1;
    unsigned   record:1;
    uint64_t   uid;
    uint64_t   stream;
    uint64_t   key;           /* the publishing key's id, 0: none */
    uint64_t   max_kbps;      /* 0: no limit, as below */
    uint64_t   max_viewers;
    uint64_t   max_publishers;
    char       reason[128];   /* of a refusal, printable text */
} gate_answer_t;

typedef struct gate_request_s  gate_request_t;

/* Called once, from the event loop, never from within gate_ask(). */
typedef void (*gate_handler_pt)(void *data, const gate_answer_t *answer);

/* Asks; QUESTION is copied.  Every failure (no service, timeout, garbage)
 * arrives as a refusal.  HANDLER may be NULL: nobody waits for the answer.
 * Returns NULL when memory is short. */
gate_request_t *gate_ask(const gate_conf_t *conf,
    const gate_question_t *question, gate_handler_pt handler, void *data);

/* The caller has lost interest: the request continues, but the handler is not
 * called.  If the answer is "allow", the gate sends the "done" itself; a caller
 * whose handler gets an "allow" must ask with "done" later. */
void gate_forget(gate_request_t *request);


/* --- configuration (gate_conf.c) --- */

/* The directive `gate`; cmd->offset is that of a gate_conf_t. */
char *gate_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

void gate_conf_init(gate_conf_t *gate);
void gate_conf_merge(gate_conf_t *conf, const gate_conf_t *prev);

/* An error when no gate is configured, which DIRECTIVE needs. */
char *gate_require(ngx_conf_t *cf, const gate_conf_t *gate,
    const char *directive);

#endif
