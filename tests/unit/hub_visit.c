/*
 * Viewers that come by single requests: real processes as workers of a real zone share
 * the rows of their visitors, drain and are killed.  A shared offset moves the clock of
 * all of them.
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
#include <sys/time.h>
#include <sys/wait.h>

#include "hub_rig.h"
#include "../../modules/http/snapshot.h"

#define ZONE       (8 * 1024 * 1024)
#define AWAY_MS    (HUB_VISIT_MS + 1000)
#define KNOWN      1000              /* visitors of the measurements: few, and many */
#define MANY       20000
#define MANY_ZONE  ((size_t) 96 * 1024 * 1024)
#define TIMES      5                 /* a larger ratio means that a request scans */
#define CACHE_NS   2000              /* less may come from caches that are too small */

#define WORKERS    4                 /* of the random test */
#define VISITORS   60
#define VISITORS_MOST  40            /* of both streams */
#define USERS      6
#define TURNS      400               /* of the parent, 10 ms each */

/* what processes share beside the zone */
typedef struct {
    uint64_t  ahead_ms;              /* of the clock of the machine */
    int64_t   issued[USERS];         /* of the newest token of a user */
    uint64_t  visits, refused, kicks, revoked, left;
} shared_t;

static hub_t            *h;
static shared_t         *shared;
static rig_publisher_t   publisher;


/* --- clock, processes, requests --- */

static void
tick(void)
{
    ngx_time_update();
    ngx_current_msec += (ngx_msec_t) hub_load(&shared->ahead_ms);
}


static void
later(uint64_t ms)
{
    (void) hub_add(&shared->ahead_ms, ms);
    tick();
}


static void
sweep(void)
{
    tick();
    hub_sweep(h, &rig_log);
}


/* Runs ACT in another worker, which then exits as END wants: it gives back its slot, or
 * dies. */
enum end { DRAINED, KILLED };

static void
in_worker(void (*act)(void), enum end end)
{
    int    status;
    pid_t  pid = fork();

    if (pid == 0) {
        rig_worker(h);
        tick();
        act();

        if (end == DRAINED) {
            hub_worker_stop(h);
            _exit(0);
        }

        (void) raise(SIGKILL);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(end == DRAINED ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                               : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    rig_unlock(h, pid);
}


static hub_stream_t *
stream_of(const char *name)
{
    return hub_find(h, (const u_char *) name, ngx_strlen(name));
}


static enum hub_refusal
ask_as(uint64_t uid, uint64_t visitor, hub_visit_t *visit)
{
    hub_identity_t  who;
    hub_visit_t     mine;

    rig_identity(&who, HUB_HLS);
    who.uid = uid;

    return hub_visit(h, &who, stream_of("live/mine"), visitor, visit ? visit : &mine);
}


static enum hub_refusal
ask(uint64_t visitor, hub_visit_t *visit)
{
    return ask_as(7, visitor, visit);
}


static void
check(uint32_t viewers)
{
    uint32_t     lost;
    const char  *wrong = rig_wrong(h, &lost);

    if (wrong) {
        fail_msg("%s", wrong);
    }

    assert_int_equal(h->header->viewers, viewers);
    assert_int_equal(stream_of("live/mine")->viewers, viewers);
}


static int
begin(void **state)
{
    ngx_memzero(shared, sizeof(shared_t));
    h = rig_zone(ZONE);
    rig_worker(h);
    assert_int_equal(rig_publish(h, &publisher, "live/mine", 1), HUB_ADMITTED);

    return 0;
}


static int
end(void **state)
{
    int  failed = munmap(h->shm_zone->shm.addr, h->shm_zone->shm.size);

    free(h);

    return failed;
}


/* --- one viewer, one row --- */

static void
act_ask(void)
{
    if (ask(1, NULL) != HUB_ADMITTED) {
        _exit(1);
    }
}


static void
test_one_viewer_of_two_workers_is_one_row(void **state)
{
    hub_visit_t  a, b;

    assert_int_equal(ask(1, &a), HUB_ADMITTED);
    in_worker(act_ask, DRAINED);
    assert_int_equal(ask(1, &b), HUB_ADMITTED);

    assert_ptr_equal(a.row, b.row);
    assert_int_equal(a.id, b.id);
    assert_int_equal(a.row->id, a.id);
    assert_int_equal(h->header->admitted[HUB_HLS], 1);
    check(1);

    assert_int_equal(ask(2, &b), HUB_ADMITTED);
    assert_ptr_not_equal(a.row, b.row);
    check(2);
}


static void
test_a_row_stays_when_its_worker_drains_or_dies(void **state)
{
    int  turn;

    for (turn = DRAINED; turn <= KILLED; turn++) {
        in_worker(act_ask, turn);
        sweep();
        check(1);
        assert_int_equal(h->workers[1].pid, 0);
    }

    assert_int_equal(ask(1, NULL), HUB_ADMITTED);
    assert_int_equal(h->header->admitted[HUB_HLS], 1);

    later(AWAY_MS);
    sweep();
    check(0);
}


static void
test_a_request_keeps_the_row(void **state)
{
    int          i;
    hub_visit_t  visit;

    assert_int_equal(ask(1, &visit), HUB_ADMITTED);
    assert_int_equal(ask(2, NULL), HUB_ADMITTED);

    for (i = 0; i < 5; i++) {
        later(HUB_VISIT_MS - 2000);
        sweep();

        if (i % 3 == 0) {
            assert_int_equal(ask(1, NULL), HUB_ADMITTED);
        } else if (i % 3 == 1) {
            assert_null(hub_visit_leaves(&visit));
        } else {
            hub_visit_sent(&visit, 1);
        }

        check(i == 0 ? 2 : 1);
    }

    assert_int_equal(h->header->admitted[HUB_HLS], 2);

    later(AWAY_MS);
    sweep();
    check(0);
    assert_non_null(hub_visit_leaves(&visit));

    assert_int_equal(ask(1, NULL), HUB_ADMITTED);
    assert_int_equal(h->header->admitted[HUB_HLS], 3);
    assert_non_null(hub_visit_leaves(&visit));       /* of the session before */
    check(1);
}


/* A request that found its row just before a sweep freed it marks a row that is not a
 * visitor's. */
static void
test_a_late_mark_does_no_harm(void **state)
{
    hub_client_t    c;
    hub_visit_t     visit;
    hub_identity_t  who;

    assert_int_equal(ask(1, &visit), HUB_ADMITTED);
    later(AWAY_MS);
    sweep();
    h->visitors[visit.row - h->sessions].seen_ms = ngx_current_msec;

    rig_identity(&who, HUB_EVENTS);
    who.asked_ms = 1;
    assert_int_equal(hub_session_open(h, &c, &who, NULL, NULL, NULL), HUB_ADMITTED);
    assert_ptr_equal(c.session, visit.row);
    assert_int_equal(ask(2, NULL), HUB_ADMITTED);
    check(1);

    later(AWAY_MS);
    sweep();
    check(0);
    assert_int_not_equal(c.session->id, 0);
    hub_session_close(h, &c);
    check(0);
}


/* --- limits --- */

static void
test_limits_and_shares(void **state)
{
    hub_visit_t  visit;

    h->viewers_max = 2;
    assert_int_equal(ask_as(7, 1, &visit), HUB_ADMITTED);
    assert_int_equal(ask_as(7, 2, NULL), HUB_ADMITTED);
    assert_int_equal(ask_as(8, 3, NULL), HUB_VIEWERS_TOTAL);
    assert_int_equal(ask_as(7, 1, NULL), HUB_ADMITTED);
    assert_int_equal(h->header->refused[HUB_VIEWERS_TOTAL], 1);
    check(2);

    assert_int_equal(hub_kick(h, visit.id), 1);      /* frees a place at once */
    assert_int_equal(ask_as(8, 3, NULL), HUB_ADMITTED);
    check(2);

    h->viewers_max = 100;
    h->user_share.percent = 3;
    assert_int_equal(ask_as(7, 4, NULL), HUB_ADMITTED);
    assert_int_equal(ask_as(7, 5, NULL), HUB_ADMITTED);
    assert_int_equal(ask_as(7, 6, NULL), HUB_USER_SHARE);
    assert_int_equal(ask_as(8, 6, NULL), HUB_ADMITTED);

    h->stream_viewers_max = 5;
    assert_int_equal(ask_as(8, 7, NULL), HUB_VIEWERS_STREAM);
    check(5);
}


static void
test_a_worker_without_a_slot_admits_nobody_new(void **state)
{
    uint32_t  slot = h->worker;

    assert_int_equal(ask(1, NULL), HUB_ADMITTED);
    h->worker = HUB_NO_SLOT;
    assert_int_equal(ask(2, NULL), HUB_NO_WORKER);
    assert_int_equal(ask(1, NULL), HUB_ADMITTED);
    h->worker = slot;
    check(1);
}


/* --- kick, revocation, end of the stream --- */

static void
test_a_kicked_viewer_is_refused_until_it_stays_away(void **state)
{
    int           i;
    uint64_t      sent;
    snapshot_t   *s;
    hub_visit_t   visit;

    assert_int_equal(ask(1, &visit), HUB_ADMITTED);
    hub_visit_sent(&visit, 1000);
    assert_int_equal(hub_kick(h, visit.id), 1);
    check(0);
    assert_string_equal(hub_visit_leaves(&visit), "kicked by an administrator");
    assert_int_equal(hub_counts_of(h, HUB_COUNT_USER, 7, NULL).rows, 0);

    s = snapshot_take(h, SNAPSHOT_SESSIONS);
    assert_int_equal(s->nsessions, 1);               /* the publisher */
    assert_int_equal(s->by[HUB_HLS], 0);
    sent = s->bytes_out;
    assert_int_equal(sent, 1000);                    /* a total never falls */
    snapshot_free(s);

    for (i = 0; i < 5; i++) {
        later(HUB_VISIT_MS - 2000);
        sweep();
        assert_int_equal(ask(1, NULL), HUB_IS_KICKED);
        check(0);
    }

    assert_int_equal(h->header->refused[HUB_IS_KICKED], 5);
    assert_int_equal(ask(2, NULL), HUB_ADMITTED);

    later(AWAY_MS);
    sweep();
    assert_int_equal(ask(1, NULL), HUB_ADMITTED);
    check(1);
}


static void
test_a_revocation_ends_the_rows_that_it_names(void **state)
{
    uint32_t          ended;
    hub_visit_t       a, b;
    hub_revocation_t  r = { .at = ngx_time() + 5, .uid = 17 };
    hub_revocation_t  key = { .at = ngx_time() + 5, .key = 1 };

    assert_int_equal(ask_as(17, 1, &a), HUB_ADMITTED);
    assert_int_equal(ask_as(18, 2, &b), HUB_ADMITTED);
    assert_int_equal(hub_revoke(h, &r, NULL, &ended, &rig_log), NGX_OK);

    assert_string_equal(hub_visit_leaves(&a), "access was revoked");
    assert_null(hub_visit_leaves(&b));
    assert_int_equal(ask_as(17, 1, NULL), HUB_IS_REVOKED);
    assert_int_equal(ask_as(18, 2, NULL), HUB_ADMITTED);
    assert_int_equal(ask_as(18, 1, &a), HUB_IS_REVOKED);  /* the visitor's hash */

    later(HUB_VISIT_MS - 2000);
    assert_int_equal(ask_as(17, 1, NULL), HUB_IS_REVOKED);    /* does not keep the row */
    assert_int_equal(ask_as(18, 2, &b), HUB_ADMITTED);
    later(4000);
    sweep();
    assert_int_equal(ask_as(17, 1, NULL), HUB_IS_REVOKED);

    /* a visitor's hash is no publishing key */
    assert_int_equal(ask_as(19, 1, &a), HUB_ADMITTED);
    assert_int_equal(hub_revoke(h, &key, NULL, &ended, &rig_log), NGX_OK);
    assert_int_equal(ended, 1);                      /* the publisher's */
    assert_null(hub_visit_leaves(&a));
}


static void
test_the_rows_of_an_ended_stream_end(void **state)
{
    uint32_t     lost;
    hub_visit_t  visit;

    assert_int_equal(ask(1, &visit), HUB_ADMITTED);
    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, publisher.writer.ref.stream);
    ngx_shmtx_unlock(&h->pool->mutex);
    hub_close(h, &publisher.client, &publisher.writer);

    later(2000);
    sweep();
    assert_int_equal(h->header->viewers, 0);
    assert_non_null(hub_visit_leaves(&visit));
    assert_null(rig_wrong(h, &lost));

    assert_int_equal(rig_publish(h, &publisher, "live/mine", 1), HUB_ADMITTED);
    assert_int_equal(ask(1, &visit), HUB_ADMITTED);
    check(1);
}


/* --- bytes, names --- */

#define BYTES_TURNS  20000

static void
act_send(void)
{
    int          i;
    hub_visit_t  visit;

    for (i = 0; i < BYTES_TURNS; i++) {
        if (ask(1, &visit) != HUB_ADMITTED) {
            _exit(1);
        }
        hub_visit_sent(&visit, 3);
    }
}


static void
test_all_workers_add_bytes(void **state)
{
    int          i, status;
    pid_t        pid[2];
    hub_visit_t  visit;

    assert_int_equal(ask(1, &visit), HUB_ADMITTED);

    for (i = 0; i < 2; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            rig_worker(h);
            tick();
            act_send();
            hub_worker_stop(h);
            _exit(0);
        }
    }

    for (i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }

    assert_int_equal(visit.row->bytes, 2 * BYTES_TURNS * 3);
    later(AWAY_MS);
    sweep();
    hub_visit_sent(&visit, 10);                      /* after its end */
    assert_int_equal(h->header->bytes_out, 2 * BYTES_TURNS * 3 + 10);
    assert_int_equal(visit.row->id, 0);
}


static void
test_kind_and_protocol_are_unique(void **state)
{
    int  i, j;

    for (i = 0; i < HUB_PROTOCOLS; i++) {
        for (j = 0; j < i; j++) {
            assert_true(strcmp(hub_protocol_name(i), hub_protocol_name(j))
                        || strcmp(hub_protocol_kind(i), hub_protocol_kind(j)));
        }
    }

    assert_string_equal(hub_protocol_name(HUB_HLS), "hls");
    assert_string_equal(hub_protocol_kind(HUB_HLS), "view");
    assert_int_equal(sizeof(hub_session_t), 128);
}


/* --- many visitors --- */

static uint64_t
cpu_ns(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


/* ns of a request: the first one of N visitors after OLD ones, and a later one. */
static void
time_requests(uint32_t old, uint32_t n, double *first, double *known)
{
    uint32_t     i, turn;
    uint64_t     at = cpu_ns(), key;
    hub_visit_t  visit;

    for (turn = 0; turn < 6; turn++) {
        for (i = old; i < n; i++) {
            key = hub_name_hash((u_char *) &i, sizeof(i));
            assert_int_equal(ask_as(i + 1, key, &visit), HUB_ADMITTED);
        }

        if (turn == 0) {
            *first = (double) (cpu_ns() - at) / (n - old);
            at = cpu_ns();
        }
    }

    *known = (double) (cpu_ns() - at) / (5 * (n - old));
}


static void
test_many_visitors_cost_no_more_each(void **state)
{
    uint64_t  at;
    double    first[2], known[2];

    ngx_memzero(shared, sizeof(shared_t));
    h = rig_zone(MANY_ZONE);
    rig_worker(h);
    assert_int_equal(rig_publish(h, &publisher, "live/mine", 1), HUB_ADMITTED);

    time_requests(0, KNOWN, &first[0], &known[0]);
    time_requests(KNOWN, MANY, &first[1], &known[1]);
    assert_int_equal(h->header->viewers, MANY);

    print_message("# first request: %.0f ns with %d visitors, %.0f ns with %d\n",
                  first[0], KNOWN, first[1], MANY);
    print_message("# known request: %.0f ns with %d visitors, %.0f ns with %d\n",
                  known[0], KNOWN, known[1], MANY);

    later(2000);
    at = cpu_ns();
    sweep();
    print_message("# sweep of %d visitors: %.0f us\n", MANY,
                  (double) (cpu_ns() - at) / 1000);
    assert_int_equal(h->header->viewers, MANY);

    later(AWAY_MS);
    at = cpu_ns();
    sweep();
    print_message("# end of %d visitors: %.0f us\n", MANY,
                  (double) (cpu_ns() - at) / 1000);
    assert_int_equal(h->header->viewers, 0);
    assert_int_equal(h->header->visit_end, 0);

    assert_true(first[1] < TIMES * first[0] || first[1] < CACHE_NS);
    assert_true(known[1] < TIMES * known[0] || known[1] < CACHE_NS);
}


/* --- random actions, and workers killed at any instruction --- */

static uint64_t  chance;


static uint32_t
roll(uint32_t sides)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;

    return (uint32_t) (chance % sides);
}


static void
arm_timer(void)
{
    struct itimerval  t = { { 0, 0 }, { 0, 50 + roll(400) } };

    (void) setitimer(ITIMER_REAL, &t, NULL);
}


static void
interrupted(int signo)
{
    if (roll(60) == 0) {
        (void) raise(SIGKILL);
    }

    (void) usleep(roll(200));
    arm_timer();
}


static void
act_revoke(uint32_t user)
{
    uint32_t          ended;
    hub_revocation_t  r = { .uid = user + 1, .at = hub_load(&shared->issued[user]) };

    (void) hub_revoke(h, &r, NULL, &ended, &rig_log);
    (void) hub_add(&shared->issued[user], 1);
    (void) hub_add(&shared->revoked, 1);
}


/* Comes to stream "live/a" or "live/b", if it is there, as one of the visitors who come
 * at this time. */
static void
act_visit(hub_visit_t *visit)
{
    uint32_t        visitor, user;
    hub_stream_t   *s = stream_of(roll(2) ? "live/a" : "live/b");
    hub_identity_t  who;

    visitor = (uint32_t) (ngx_current_msec / 1000 + roll(VISITORS / 4)) % VISITORS;
    user = visitor % USERS;
    visit->row = NULL;

    if (s == NULL) {
        return;
    }

    rig_identity(&who, HUB_HLS);
    who.uid = user + 1;
    who.issued = hub_load(&shared->issued[user]);

    if (hub_visit(h, &who, s, visitor + VISITORS * (uint64_t) who.issued, visit)
        == HUB_ADMITTED)
    {
        (void) hub_add(&shared->visits, 1);
    } else {
        (void) hub_add(&shared->refused, 1);
        visit->row = NULL;
    }
}


static void
act_at_random(hub_visit_t *visit)
{
    switch (roll(10000)) {
    case 0:
        act_revoke(roll(USERS));
        break;
    case 1:
    case 2:
        if (visit->row) {
            (void) hub_add(&shared->kicks, hub_kick(h, visit->id));
        }
        break;
    case 3:
        hub_sweep(h, &rig_log);
        break;
    default:
        act_visit(visit);

        if (visit->row) {
            hub_visit_sent(visit, roll(1000));
            (void) hub_add(&shared->left, hub_visit_leaves(visit) != NULL);
        }
    }
}


static pid_t
start_worker(uint64_t seed)
{
    pid_t        pid = fork();
    hub_visit_t  visit = { NULL, NULL, 0, 0 };

    if (pid == 0) {
        chance = seed;
        rig_worker(h);
        (void) signal(SIGALRM, interrupted);
        arm_timer();

        for ( ;; ) {
            tick();
            act_at_random(&visit);
        }
    }

    return pid;
}


/* Ends stream NAME and publishes it again. */
static void
turn_over(rig_publisher_t *p, const char *name)
{
    if (p->writer.ref.stream) {
        ngx_shmtx_lock(&h->pool->mutex);
        hub_stream_end(h, p->writer.ref.stream);
        ngx_shmtx_unlock(&h->pool->mutex);
        hub_close(h, &p->client, &p->writer);
    }

    if (rig_publish(h, p, name, 1) != HUB_ADMITTED) {
        _exit(1);
    }
}


/* A worker that is not interrupted publishes both streams, and ends them at times. */
static pid_t
start_publisher(uint64_t seed)
{
    uint32_t         i;
    pid_t            pid = fork();
    rig_publisher_t  p[2];

    if (pid == 0) {
        chance = seed;
        rig_worker(h);
        ngx_memzero(p, sizeof(p));

        for (i = 0; ; i++) {
            tick();

            if (i < 2 || roll(40) == 0) {
                turn_over(&p[i % 2], i % 2 ? "live/b" : "live/a");
            }

            hub_sweep(h, &rig_log);
            (void) usleep(10000);
        }
    }

    return pid;
}


static void
check_at_rest(void)
{
    uint32_t     lost;
    const char  *wrong;

    sweep();
    wrong = rig_wrong(h, &lost);

    if (wrong) {
        fail_msg("%s", wrong);
    }
}


/* The parent takes no lock while workers run: it must release those of dead ones. */
static void
test_counts_are_right_after_random_actions_and_kills(void **state)
{
    int       i, k, status;
    pid_t     pid[WORKERS + 1], over;
    uint64_t  seed = rig_us(), kills = 0;

    if (getenv("SEED")) {
        seed = strtoull(getenv("SEED"), NULL, 10);
    }

    print_message("# SEED=%lu\n", seed);
    chance = seed | 1;

    for (i = 0; i < USERS; i++) {
        shared->issued[i] = ngx_time();
    }

    h->viewers_max = VISITORS_MOST;
    h->user_share.percent = 50;
    pid[WORKERS] = start_publisher(chance);

    for (k = 0; k < WORKERS; k++) {
        pid[k] = start_worker(chance + (uint64_t) k + 1);
    }

    for (i = 0; i < TURNS; i++) {
        (void) usleep(10000);
        later(roll(400));
        over = waitpid(-1, &status, WNOHANG);

        for (k = 0; over > 0 && k < WORKERS; k++) {
            if (pid[k] == over) {
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                kills++;
                rig_unlock(h, over);
                pid[k] = start_worker(chance + kills * 1000);
            }
        }

        assert_int_not_equal(over, pid[WORKERS]);
        assert_true(hub_load(&h->header->viewers) <= VISITORS_MOST);
    }

    for (k = 0; k <= WORKERS; k++) {
        (void) kill(pid[k], SIGKILL);
        (void) waitpid(pid[k], NULL, 0);
        rig_unlock(h, pid[k]);
    }

    check_at_rest();
    print_message("# %lu visits, %lu refused, %lu kicks, %lu revocations, %lu held "
                  "ones ended, %lu workers killed\n", shared->visits, shared->refused,
                  shared->kicks, shared->revoked, shared->left, kills);
    for (i = 1; i < HUB_REFUSALS; i++) {
        if (h->header->refused[i]) {
            print_message("# refused: %s %lu\n", hub_refusal_name(i),
                          h->header->refused[i]);
        }
    }

    assert_true(kills > 0 && shared->kicks > 0 && shared->revoked > 0);

    later(AWAY_MS);
    check_at_rest();
    assert_int_equal(h->header->viewers, 0);
    assert_int_equal(h->header->visit_end, 0);
    assert_int_equal(h->header->sessions, h->header->publishing);
}


static void
test_a_visitor_is_no_viewer_of_the_stream_that_got_the_slot(void **state)
{
    hub_visit_t      visit;
    hub_identity_t   who;
    hub_stream_t    *s = stream_of("live/mine");

    rig_identity(&who, HUB_HLS);
    who.name_hash = s->name_hash + 1;          /* the stream that it found has ended */

    assert_int_equal(hub_visit(h, &who, s, 5, &visit), HUB_ADMITTED);
    assert_null(visit.row);
    assert_int_equal(s->viewers, 0);
    assert_int_equal(h->header->viewers, 0);

    who.name_hash = s->name_hash;
    assert_int_equal(hub_visit(h, &who, s, 5, &visit), HUB_ADMITTED);
    assert_non_null(visit.row);
    assert_int_equal(s->viewers, 1);
}


#define TEST(name)  cmocka_unit_test_setup_teardown(test_##name, begin, end)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(one_viewer_of_two_workers_is_one_row),
        TEST(a_row_stays_when_its_worker_drains_or_dies),
        TEST(a_request_keeps_the_row),
        TEST(a_late_mark_does_no_harm),
        TEST(limits_and_shares),
        TEST(a_worker_without_a_slot_admits_nobody_new),
        TEST(a_kicked_viewer_is_refused_until_it_stays_away),
        TEST(a_revocation_ends_the_rows_that_it_names),
        TEST(the_rows_of_an_ended_stream_end),
        TEST(a_visitor_is_no_viewer_of_the_stream_that_got_the_slot),
        TEST(all_workers_add_bytes),
        TEST(kind_and_protocol_are_unique),
        TEST(counts_are_right_after_random_actions_and_kills),
        cmocka_unit_test_teardown(test_many_visitors_cost_no_more_each, end),
    };

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return shared == MAP_FAILED
           || cmocka_run_group_tests_name("hub_visit", tests, NULL, NULL);
}
