/*
 * Workers that revocations no longer reach.  A worker that accepts connections
 * answers the control location and writes each revocation to the zone for all
 * workers.  When nginx quits instead of reloading, its zone has no such worker left,
 * and the next nginx has another zone.  Draining workers would then keep their
 * clients for as long as worker_shutdown_timeout; so they end them after 10 s.
 */

#include <sys/stat.h>

#include "hub.h"

#define HUB_DEAF_SWEEPS  (10000 / HUB_SWEEP_MS)

static uint64_t  hub_heard;              /* header->heard at the last sweep */
static uint32_t  hub_silent;             /* sweeps since that last grew */
static uint64_t  hub_sockets;            /* hub_sockets_now() at the start */


/* Hashes the files of all unix sockets that this process listens on.  The hash
 * changes when a new nginx replaces them, or somebody removes them.  Inodes alone
 * would not do: file systems reuse them at once. */
static uint64_t
hub_sockets_now(void)
{
    uint64_t            sockets = 0, each[4];
    ngx_uint_t          i;
    struct stat         st;
    ngx_listening_t    *ls = ngx_cycle->listening.elts;
    struct sockaddr_un *un;

    for (i = 0; i < ngx_cycle->listening.nelts; i++) {
        un = (struct sockaddr_un *) ls[i].sockaddr;

        if (un->sun_family != AF_UNIX || stat(un->sun_path, &st) == -1) {
            continue;
        }

        each[0] = (uint64_t) st.st_dev;
        each[1] = (uint64_t) st.st_ino;
        each[2] = (uint64_t) st.st_mtim.tv_sec;
        each[3] = (uint64_t) st.st_mtim.tv_nsec;
        sockets ^= hub_name_hash((u_char *) each, sizeof(each));
    }

    return sockets;
}


void
hub_deaf_start(void)
{
    hub_sockets = hub_sockets_now();
}


/* A worker whose master was killed continues: revocations still reach it, until
 * another process replaces its sockets.  Then it must admit nobody any more. */
static int
hub_is_replaced(void)
{
    return ngx_process == NGX_PROCESS_WORKER && getppid() != ngx_parent
           && hub_sockets_now() != hub_sockets;
}


/* Asks all clients of this worker to leave; returns their number. */
static uint32_t
hub_sessions_end(hub_t *h)
{
    uint32_t        i, n = 0;
    hub_session_t  *row;

    ngx_shmtx_lock(&h->pool->mutex);

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id && row->worker == h->worker && row->kick == HUB_STAYS) {
            hub_session_tell(h, row, HUB_UNHEARD);
            n++;
        }
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return n;
}


void
hub_deaf_sweep(hub_t *h, ngx_log_t *log)
{
    uint32_t  n;
    uint64_t  heard;

    if (!ngx_exiting) {
        (void) hub_add(&h->header->heard, 1);

        if (!ngx_quit && hub_is_replaced()) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "hub: this worker quits: its master is gone, and its "
                          "unix sockets were replaced or removed");
            ngx_quit = 1;
        }

        return;
    }

    /* counts sweeps, not time: after a suspend of the machine all workers must get
     * 10 s to sweep again */
    heard = hub_load(&h->header->heard);
    hub_silent = heard == hub_heard ? hub_silent + 1 : 0;
    hub_heard = heard;

    if (hub_silent < HUB_DEAF_SWEEPS) {
        return;
    }

    n = hub_sessions_end(h);

    if (n) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "hub: for 10 s no worker of hub_zone \"%V\" has accepted "
                      "connections, so no revocation can reach it: this "
                      "draining worker ends its %uD sessions",
                      &h->shm_zone->shm.name, n);
    }
}
