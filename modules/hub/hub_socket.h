/*
 * Bounds and watches the kernel's send queue of a client, for all outputs.
 *
 * The queue is kept short, so that bytes for a slow client wait in the hub, where
 * they cost nothing and the client can skip them.  It is watched, because the
 * client's delay depends on the bytes that have arrived, not on those written.
 */

#ifndef DUOLU_HUB_SOCKET_H
#define DUOLU_HUB_SOCKET_H

#include <ngx_config.h>
#include <ngx_core.h>

/* Measures the way of bytes through the kernel to one client; zero it before use.
 * Each viewer has one, so it is small: times are the low 32 bits of
 * ngx_current_msec. */
typedef struct {
    uint64_t    taken;         /* bytes that the client has confirmed */
    uint64_t    mark;          /* the measurement ends when `taken` comes to this; */
                               /* 0: no measurement is under way */
    uint32_t    waited;        /* bytes in the queue when the mark was set */
    uint32_t    rate;          /* their bytes per second, if the way was long */
    uint32_t    mark_ms;
    uint32_t    moved_ms;      /* when `taken` last grew, or the queue was empty */
    uint32_t    looked_ms;
    uint32_t    way_ms;        /* result of the last measurement */
} hub_way_t;

#define HUB_WAY_LONG_MS  250

/* Is it a unix socket?  RTMPS comes over one, from nginx's own stream module, with
 * the client's address as that of C. */
static ngx_inline int
hub_socket_is_unix(const ngx_connection_t *c)
{
    return c->local_sockaddr && c->local_sockaddr->sa_family == AF_UNIX;
}

/* Bounds the kernel's queue for C, which carries CLIENTS (HTTP/2; else 1), to less
 * than 256 KB each.  Does not change a `sndbuf` of the listener. */
void hub_socket_bound(ngx_connection_t *c, ngx_uint_t clients);

/* Bounds the unsent bytes of FD, or of all connections that a listener accepts. */
void hub_socket_unsent(ngx_socket_t fd);

/* Asks the kernel how many bytes have arrived, if it is time to.  Cheap.  Returns 1
 * when it has asked. */
int hub_way_look(hub_way_t *w, ngx_connection_t *c);

/* Estimates how long bytes written now take to reach the client. */
ngx_msec_t hub_way_ms(const hub_way_t *w, const ngx_connection_t *c);

/* Has the client taken nothing for MS although bytes wait for it? */
int hub_way_stuck(const hub_way_t *w, ngx_msec_t ms);

/* Makes the close of C discard the bytes that the kernel has not sent: they may be
 * torn, the client may have lost the right to them, or it takes nothing anyway. */
static ngx_inline void
hub_socket_take_back(ngx_connection_t *c)
{
    struct linger  linger = { 1, 0 };

    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

#endif
