/*
 * Workers that no revocation reaches.  The control location is answered by workers that
 * accept connections, and what they are told stands in the zone for all.  When
 * a zone has no such worker left (nginx was told to quit, not to reload; its
 * next one has another zone), those that drain would keep what they once
 * allowed for as long as worker_shutdown_timeout.  They end it after 10 s.
 */

#include <sys/stat.h>

#include "hub.h"

#define HUB_DEAF_SWEEPS  (10000 / HUB_SWEEP_MS)

static uint64_t  hub_heard;              /* what it was at the last sweep */
static uint32_t  hub_silent;             /* sweeps since it last went up */
static uint64_t  hub_doors;              /* of this worker's start */


/* Stands for the files of all unix sockets that this process listens on: a new
 * nginx, or whoever removes them, makes it another.  Never their inodes alone,
 * which are used again at once. */
static uint64_t
hub_doors_now(void)
{
    uint64_t            doors = 0, each[4];
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
        doors ^= hub_name_hash((u_char *) each, sizeof(each));
    }

    return doors;
}


void
hub_deaf_start(void)
{
    hub_doors = hub_doors_now();
}


/* A worker whose master was killed goes on: it is told of revocations as before.
 * When its sockets are another's it is not, so it lets nobody in any more. */
static int
hub_is_replaced(void)
{
    return ngx_process == NGX_PROCESS_WORKER && getppid() != ngx_parent
           && hub_doors_now() != hub_doors;
}


/* Asks all clients of this worker to leave; returns how many. */
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
                          "hub: this worker's master is gone and its unix "
                          "sockets are not its own any more: it quits");
            ngx_quit = 1;
        }

        return;
    }

    /* counted, not timed: who was frozen with all others waits as long */
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
                      "connections, so nobody here hears of revocations: this "
                      "one, which drains, ends its %uD sessions",
                      &h->shm_zone->shm.name, n);
    }
}
