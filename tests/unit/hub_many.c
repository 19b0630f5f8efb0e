/*
 * Measures the cost of one stream in a zone with few streams and with thousands: real
 * processes as workers of a real zone publish, join, sweep and take the status.  The
 * test prints the figures.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <time.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "hub_rig.h"
#include "../../modules/http/snapshot.h"

#define FEW       100
#define MANY      5000
#define WORKERS   4
#define ZONE      ((size_t) (MANY + 100) * 4 * HUB_BLOCK_SIZE)
#define LAST      100                /* streams whose opening is timed */
#define TURNS     20                 /* runs of each operation on all streams */
#define TIMES     5                  /* a larger ratio means that a call scans */
#define CACHE_NS  1000               /* less may come from caches that are too small */

enum operation { PUBLISH, JOIN, TAKE_OVER, APPEND, SWEEP, MEASURE, STATUS, OPERATIONS };

static const char *const  names[] = { "publish", "join", "take over", "append",
                                      "sweep",
                                      "measure", "status" };

/* ns of one call; for those from APPEND on, ns per stream */
static double  (*cost)[OPERATIONS];  /* shared */

static hub_t  *h;


static uint64_t
cpu_ns(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


static int
earlier(const void *a, const void *b)
{
    return (*(const uint64_t *) a > *(const uint64_t *) b)
           - (*(const uint64_t *) a < *(const uint64_t *) b);
}


static double
median(uint64_t *ns, size_t n)
{
    qsort(ns, n, sizeof(uint64_t), earlier);

    return (double) ns[n / 2];
}


static void
end_nothing(void *data, const char *why)
{
}


static void
publish(rig_publisher_t *p, uint32_t i)
{
    char           name[32];
    static u_char  body[200];

    (void) snprintf(name, sizeof(name), "live/stream-%u", i);
    assert_int_equal(rig_publish(h, p, name, (u_char) i), HUB_ADMITTED);
    assert_int_equal(rig_append(h, p, 1, body, sizeof(body)), NGX_OK);
}


static void
join(hub_client_t *c, uint32_t i)
{
    char            name[32];
    hub_reader_t    r;
    hub_identity_t  who;

    rig_identity(&who, HUB_FLV);
    who.uid = i + 1;
    ngx_memzero(c, sizeof(hub_client_t));
    (void) snprintf(name, sizeof(name), "live/stream-%u", i);

    assert_int_equal(hub_reader_open(h, (u_char *) name, ngx_strlen(name), &r),
                     NGX_OK);
    assert_int_equal(hub_session_open(h, c, &who, r.ref.stream, end_nothing, c),
                     HUB_ADMITTED);
    assert_int_equal(hub_reader_join(&r), NGX_OK);
}


/* Touches all memory once, as the first access to a page is slow in any zone. */
static void
warm_up(rig_publisher_t *p, hub_client_t *c, uint32_t from, uint32_t to)
{
    uint32_t          i;
    volatile u_char  *page = (u_char *) h->header;

    for ( ; page < (u_char *) h->streams; page += 4096) {
        (void) *page;
    }

    for (i = from; i < to; i++) {
        publish(&p[i], i);
        join(&c[i], i);
    }

    for (i = from; i < to; i++) {
        hub_session_close(h, &c[i]);
        ngx_shmtx_lock(&h->pool->mutex);
        hub_stream_end(h, p[i].writer.ref.stream);
        ngx_shmtx_unlock(&h->pool->mutex);
        hub_close(h, &p[i].client, &p[i].writer);
    }
}


/* Opens streams [FROM, TO) with a viewer each; RESULT gets the cost of the last ones. */
static void
open_streams(rig_publisher_t *p, hub_client_t *c, uint32_t from, uint32_t to,
    double *result)
{
    uint32_t         i, n = 0;
    uint64_t         at, ns[OPERATIONS][LAST];
    rig_publisher_t  again;

    for (i = from; i < to; i++) {
        n = (i - from) % LAST;
        at = cpu_ns();
        publish(&p[i], i);
        ns[PUBLISH][n] = cpu_ns() - at;

        at = cpu_ns();
        join(&c[i], i);
        ns[JOIN][n] = cpu_ns() - at;

        at = cpu_ns();
        publish(&again, i);
        ns[TAKE_OVER][n] = cpu_ns() - at;

        hub_session_close(h, &p[i].client);
        p[i] = again;                        /* link its queue at the new address */
        ngx_queue_insert_after(&again.client.queue, &p[i].client.queue);
        ngx_queue_remove(&again.client.queue);
    }

    n = (uint32_t) ngx_min(to - from, LAST);

    for (i = PUBLISH; i <= TAKE_OVER; i++) {
        result[i] = median(ns[i], n);
    }
}


/* One frame for each stream, as for real publishers: each stream's memory was last
 * touched by its previous frame. */
static void
append_all(rig_publisher_t *p, uint32_t from, uint32_t to, double *result)
{
    uint32_t     i, turn;
    uint64_t     at, ns[TURNS];
    ngx_buf_t    b;
    ngx_chain_t  in = { &b, NULL };
    flv_frame_t  frame;

    static u_char  body[200];

    ngx_memzero(&b, sizeof(ngx_buf_t));
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.codec = FLV_CODEC_AAC;
    b.pos = body;
    b.last = body + sizeof(body);

    for (turn = 0; turn < TURNS; turn++) {
        at = cpu_ns();

        for (i = from; i < to; i++) {
            hub_append_soon(&p[ngx_min(i + 1, to - 1)].client,
                            &p[ngx_min(i + 1, to - 1)].writer);
            (void) hub_append(h, &p[i].writer, FLV_AUDIO, &frame,
                              (uint32_t) (ngx_current_msec + turn * 21), &in,
                              sizeof(body));
        }

        ns[turn] = cpu_ns() - at;
    }

    result[APPEND] = median(ns, TURNS) / (to - from);
}


static void
time_all(uint32_t n, double *result)
{
    uint32_t     i;
    uint64_t     at, ns[3][TURNS];
    snapshot_t  *s;

    for (i = 0; i < TURNS; i++) {
        h->header->measured_ms = ngx_current_msec;
        at = cpu_ns();
        hub_sweep(h, &rig_log);
        ns[0][i] = cpu_ns() - at;

        h->header->measured_ms = 0;
        at = cpu_ns();
        hub_sweep(h, &rig_log);
        ns[1][i] = cpu_ns() - at;

        at = cpu_ns();
        s = snapshot_take(h, SNAPSHOT_SESSIONS);
        assert_non_null(s);
        snapshot_free(s);
        ns[2][i] = cpu_ns() - at;
    }

    for (i = 0; i < 3; i++) {
        result[SWEEP + i] = median(ns[i], TURNS) / n;
    }
}


/* Each worker opens its part of N streams and stays; the last one times the operations
 * on all of them. */
static void
time_streams(uint32_t n, double *result)
{
    int               k, status;
    pid_t             pid[WORKERS];
    hub_client_t     *c;
    rig_publisher_t  *p;

    h = rig_zone(ZONE);

    for (k = 0; k < WORKERS; k++) {
        pid[k] = fork();

        if (pid[k] == 0) {
            rig_worker(h);
            p = calloc(n, sizeof(rig_publisher_t));
            c = calloc(n, sizeof(hub_client_t));
            warm_up(p, c, n / WORKERS * k, n / WORKERS * (k + 1));
            open_streams(p, c, n / WORKERS * k, n / WORKERS * (k + 1), result);

            append_all(p, n / WORKERS * k, n / WORKERS * (k + 1), result);

            if (k == WORKERS - 1) {
                assert_int_equal(h->header->viewers, n);
                assert_int_equal(h->header->publishing, n);
                time_all(n, result);
            }

            (void) raise(SIGSTOP);
            _exit(0);
        }

        assert_int_equal(waitpid(pid[k], &status, WUNTRACED), pid[k]);
        assert_true(WIFSTOPPED(status));
    }

    for (k = 0; k < WORKERS; k++) {
        (void) kill(pid[k], SIGKILL);
        (void) waitpid(pid[k], NULL, 0);
    }

    (void) munmap(h->shm_zone->shm.addr, ZONE);
}


static void
test_thousands_cost_no_more_each(void **state)
{
    int  i, slow = 0;

    time_streams(FEW, cost[0]);
    time_streams(MANY, cost[1]);

    for (i = 0; i < OPERATIONS; i++) {
        print_message("# %s: %.0f ns %s with %d streams, %.0f ns with %d\n",
                      names[i], cost[0][i],
                      i < APPEND ? "each" : "for each stream", FEW, cost[1][i],
                      MANY);
        slow += cost[1][i] > TIMES * cost[0][i] && cost[1][i] > CACHE_NS;
    }

    assert_int_equal(slow, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_thousands_cost_no_more_each),
    };

    cost = mmap(NULL, 2 * sizeof(*cost), PROT_READ|PROT_WRITE,
                MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return cost == MAP_FAILED
           || cmocka_run_group_tests_name("hub_many", tests, NULL, NULL);
}
