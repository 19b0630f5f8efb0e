/*
 * An answer of history while it is being sent: whoever downloads a file, a
 * range of one, a list or a clip is a session of the hub meanwhile, to be
 * listed, kicked and revoked.  It ends with its request, so that the many small
 * ranges of a player come and go.
 */

#ifndef DUOLU_HTTP_REPLAY_H
#define DUOLU_HTTP_REPLAY_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "access.h"
#include "../hub/hub.h"

typedef struct replay_s  replay_t;

/* How slowly a client may read: `rate` bytes a second in each `time`. */
typedef struct {
    size_t      rate;                /* 0: as slowly as it likes */
    ngx_msec_t  time;
} replay_pace_t;

/* Makes R a session of HOLDER, who replays STREAM, until the request ends,
 * which a client that is slower than PACE makes it do.  NULL: it is refused,
 * and *RC is what the content handler returns. */
replay_t *replay_open(ngx_http_request_t *r, enum hub_protocol protocol,
    ngx_str_t *stream, const access_holder_t *holder,
    const replay_pace_t *pace, ngx_int_t *rc);

/* The answer is of the file FD, which stays open as long as the request: it
 * ends when the file is deleted.  NGX_ERROR: no memory. */
ngx_int_t replay_of(replay_t *replay, int fd);

#endif
