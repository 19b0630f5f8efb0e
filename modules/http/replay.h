/*
 * A replay: an answer of history while it is being sent.  It is a session of the
 * hub, so it can be listed, kicked and revoked.  The session ends with its
 * request, so a player that fetches many small ranges has many short sessions.
 */

#ifndef DUOLU_HTTP_REPLAY_H
#define DUOLU_HTTP_REPLAY_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "access.h"
#include "../hub/hub.h"

typedef struct replay_s  replay_t;

/* The slowest client allowed: it reads `rate` bytes a second in each `time`. */
typedef struct {
    size_t      rate;                /* 0: no limit */
    ngx_msec_t  time;
} replay_pace_t;

/* Opens a session of HOLDER for the request R, which replays STREAM.  Ends the
 * request when the client is slower than PACE.  NULL: refused, the content handler
 * returns *RC. */
replay_t *replay_open(ngx_http_request_t *r, enum hub_protocol protocol,
    ngx_str_t *stream, const access_holder_t *holder,
    const replay_pace_t *pace, ngx_int_t *rc);

/* Ends the replay when the file FD is deleted.  FD must stay open as long as
 * the request.  NGX_ERROR: no memory. */
ngx_int_t replay_watch_file(replay_t *replay, int fd);

#endif
