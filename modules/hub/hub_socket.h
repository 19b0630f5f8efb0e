/*
 * What an output does to a client's socket, over whatever protocol.
 */

#ifndef DUOLU_HUB_SOCKET_H
#define DUOLU_HUB_SOCKET_H

#include <ngx_config.h>
#include <ngx_core.h>

/* Closing C will take back what the kernel has not sent yet: it may be torn,
 * or the client may have no right to it any more. */
static ngx_inline void
hub_socket_take_back(ngx_connection_t *c)
{
    struct linger  linger = { 1, 0 };

    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

#endif
