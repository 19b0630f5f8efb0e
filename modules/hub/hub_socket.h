/*
 * What an output does to a client's socket, over whatever protocol.
 *
 * The kernel's send buffer is a queue, too.  It is kept short, so that what
 * waits for a slow client waits in the hub, where it costs nothing and can be
 * skipped; and it is watched, so that a client is as late as what it has, not
 * as what was written.
 */

#ifndef DUOLU_HUB_SOCKET_H
#define DUOLU_HUB_SOCKET_H

#include <ngx_config.h>
#include <ngx_core.h>

/* The way of bytes through the kernel to one client; zero it before use.  Small,
 * since each viewer has one: times are the low 32 bits of ngx_current_msec. */
typedef struct {
    uint64_t    taken;         /* bytes that the client has confirmed */
    uint64_t    mark;          /* when `taken` comes to this, the way of what */
                               /* waited is known; 0: nothing is timed */
    uint32_t    waited;        /* bytes, when the mark was set */
    uint32_t    rate;          /* bytes of them in a second, when it was long */
    uint32_t    mark_ms;
    uint32_t    moved_ms;      /* when `taken` last went up, or nothing waited */
    uint32_t    looked_ms;
    uint32_t    way_ms;        /* what the last way took */
} hub_way_t;

#define HUB_WAY_LONG_MS  250

/* Bounds what waits in the kernel for C, which carries CLIENTS (HTTP/2; else
 * 1), to less than 256 KB each.  A `sndbuf` of the listener is left as it is. */
void hub_socket_bound(ngx_connection_t *c, ngx_uint_t clients);

/* Bounds what is not sent yet of FD, or of all that a listener accepts. */
void hub_socket_unsent(ngx_socket_t fd);

/* Looks at how far bytes have come, if it is time to.  Cheap.  Returns 1 when
 * it has looked. */
int hub_way_look(hub_way_t *w, ngx_connection_t *c);

/* How long what is written now takes to the client. */
ngx_msec_t hub_way_ms(const hub_way_t *w, const ngx_connection_t *c);

/* Something waits, and the client has taken nothing of it for MS. */
int hub_way_stuck(const hub_way_t *w, ngx_msec_t ms);

/* Closing C will take back what the kernel has not sent yet: it may be torn,
 * the client may have no right to it any more, or it takes nothing anyhow. */
static ngx_inline void
hub_socket_take_back(ngx_connection_t *c)
{
    struct linger  linger = { 1, 0 };

    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

#endif
