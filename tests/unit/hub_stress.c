/*
 * Real processes on a real zone: workers take streams from one another and end
 * them, and a timer stops and kills them at random instructions, while readers check
 * a sum in every frame.  Another test stops a worker in an append.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "hub_rig.h"

#define ZONE      (8 * 1024 * 1024)
#define WORKERS   4
#define READERS   2
#define SECONDS   8
#define BODY      3000
#define NAMES     2

static const char  *names[NAMES] = { "live/a", "live/b" };

typedef struct {
    uint64_t  opened, ended, frames, checked, segments, broken, stuck;
    uint64_t  gap_us;            /* longest time between two appends of bystander() */
    uint32_t  stop;
} counts_t;

static hub_t     *h;
static counts_t  *counts;
static uint64_t   chance = 1;


static uint32_t
roll(uint32_t sides)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;

    return (uint32_t) (chance % sides);
}


static uint64_t
sum_of(const u_char *p, size_t size)
{
    return hub_name_hash(p, size);
}


/* Makes a body that begins with its stream's number and ends with its own sum. */
static size_t
body_make(u_char *body, uint32_t name)
{
    size_t    i, size = 16 + roll(BODY - 32);
    uint64_t  sum;

    body[0] = (u_char) name;
    for (i = 1; i < size; i++) {
        body[i] = (u_char) (chance >> (i & 31));
    }

    sum = sum_of(body, size);
    ngx_memcpy(body + size, &sum, sizeof(sum));

    return size + sizeof(sum);
}


static int
tags_are_whole(const u_char *p, size_t size, uint32_t name)
{
    size_t    len;
    uint64_t  sum;

    while (size) {
        len = size > FLV_TAG_OVERHEAD
              ? ((size_t) p[1] << 16) + ((size_t) p[2] << 8) + p[3] : size;

        if (len + FLV_TAG_OVERHEAD > size || len < 16 || p[0] != FLV_VIDEO) {
            return 0;
        }

        ngx_memcpy(&sum, p + FLV_TAG_HEADER_SIZE + len - 8, sizeof(sum));

        if (sum != sum_of(p + FLV_TAG_HEADER_SIZE, len - 8)
            || p[FLV_TAG_HEADER_SIZE] != name)
        {
            return 0;
        }

        (void) hub_add(&counts->checked, 1);
        p += len + FLV_TAG_OVERHEAD;
        size -= len + FLV_TAG_OVERHEAD;
    }

    return 1;
}


/* --- a worker --- */

static void
arm_timer(void)
{
    struct itimerval  t = { { 0, 0 }, { 0, 50 + roll(400) } };

    (void) setitimer(ITIMER_REAL, &t, NULL);
}


/* Runs at any instruction.  Mostly it pauses, as on a busy machine. */
static void
interrupted(int signo)
{
    uint32_t  number = roll(600);

    if (number == 0) {
        (void) raise(SIGKILL);
    } else if (number < 4) {
        (void) raise(SIGSTOP);
    } else {
        (void) usleep(roll(200));
    }

    arm_timer();
}


static void
end_stream(const char *name)
{
    hub_stream_t  *s;

    ngx_shmtx_lock(&h->pool->mutex);
    s = hub_find(h, (const u_char *) name, ngx_strlen(name));
    if (s) {
        hub_stream_end(h, s);
        (void) hub_add(&counts->ended, 1);
    }
    ngx_shmtx_unlock(&h->pool->mutex);
}


static void
work(uint64_t seed)
{
    u_char            body[BODY];
    uint32_t          name, n;
    enum hub_refusal  reason;
    rig_publisher_t   p;

    chance = seed;
    rig_worker(h);
    (void) signal(SIGALRM, interrupted);
    arm_timer();

    while (!hub_load(&counts->stop)) {
        name = roll(NAMES);
        reason = rig_publish(h, &p, names[name], 1);

        if (reason == HUB_ADMITTED) {
            (void) hub_add(&counts->opened, 1);

            for (n = roll(20); n; n--) {
                if (rig_append(h, &p, n % 4 == 0, body, body_make(body, name))
                    == NGX_DONE)
                {
                    break;
                }
                (void) hub_add(&counts->frames, 1);
            }
            hub_close(h, &p.client, &p.writer);

        } else if (reason == HUB_STUCK) {
            (void) hub_add(&counts->stuck, 1);
        }

        if (roll(50) == 0) {
            end_stream(names[roll(NAMES)]);
        }

        if (roll(20) == 0) {
            hub_sweep(h, &rig_log);
        }
    }

    _exit(0);
}


/* Is the newest segment's record wrong about its first entry? */
static int
segment_is_broken(const hub_reader_t *r)
{
    hub_entry_t    e;
    hub_reader_t   at = *r;
    hub_segment_t  newest;

    if (hub_segment_newest(h, r, &newest) != NGX_OK) {
        return 0;
    }

    at.index = newest.index;

    switch (hub_reader_entry(h, &at, &e)) {

    case NGX_OK:
        (void) hub_add(&counts->segments, 1);
        return !(e.flags & HUB_SEGMENT) || e.offset != newest.bytes;

    case NGX_DECLINED:
        return 0;                            /* the entry has left the window */

    default:                                 /* not there yet, or another stream's row */
        return hub_reader_has_row(&at);
    }
}


static void
reading(uint32_t name)
{
    int           i, n;
    size_t        size, at;
    hub_reader_t  r;
    struct iovec  iov[64];

    static u_char  bytes[1024 * 1024];

    hub = h;

    while (!hub_load(&counts->stop)) {
        ngx_time_update();

        if (hub_reader_open(h, (const u_char *) names[name],
                            ngx_strlen(names[name]), &r) != NGX_OK
            || hub_reader_join(&r) != NGX_OK)
        {
            continue;
        }

        while (hub_reader_alive(&r)
               && hub_reader_batch(&r, sizeof(bytes) / 2, 60000) == NGX_OK)
        {
            n = hub_reader_iov(h, &r, iov, 64, &size);

            for (i = 0, at = 0; i < n && at + iov[i].iov_len <= sizeof(bytes);
                 i++)
            {
                ngx_memcpy(bytes + at, iov[i].iov_base, iov[i].iov_len);
                at += iov[i].iov_len;
            }

            if (at == r.end - r.pos && hub_stream_holds(&r, r.pos)
                && !tags_are_whole(bytes, at, name))
            {
                (void) hub_add(&counts->broken, 1);
            }

            (void) hub_add(&counts->broken, (uint64_t) segment_is_broken(&r));
            r.pos = r.end;
        }
    }

    _exit(0);
}


static pid_t
start(int worker, uint64_t seed)
{
    pid_t  pid = fork();

    if (pid == 0) {
        if (worker) {
            work(seed);
        }
        reading((uint32_t) seed);
    }

    return pid;
}


static int
begin(void **state)
{
    h = rig_zone(ZONE);
    counts = mmap(NULL, sizeof(counts_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return counts == MAP_FAILED;
}


static void
test_every_frame_is_whole_whatever_is_killed(void **state)
{
    int          status, alive = WORKERS + READERS, i;
    pid_t        pid, readers[READERS];
    uint32_t     lost, kills = 0, stops = 0;
    const char  *given = getenv("HUB_SEED");
    uint64_t     seed = given ? strtoull(given, NULL, 10) : rig_us() | 1;
    uint64_t     until = rig_us() + SECONDS * 1000000ull;
    const char  *wrong;

    print_message("# HUB_SEED=%lu\n", seed);
    chance = seed;

    for (i = 0; i < READERS; i++) {
        readers[i] = start(0, i % NAMES);
    }

    for (i = 0; i < WORKERS; i++) {
        (void) start(1, seed + 7919 * (uint64_t) (i + 1));
    }

    while (alive) {
        if (rig_us() > until) {
            hub_store(&counts->stop, 1);
        }

        pid = waitpid(-1, &status, WUNTRACED|WNOHANG);

        if (pid <= 0) {
            (void) usleep(200);
            continue;
        }

        if (WIFSTOPPED(status)) {
            stops++;
            (void) usleep(roll(3000));
            (void) kill(pid, SIGCONT);
            continue;
        }

        rig_unlock(h, pid);
        alive--;

        if (WIFSIGNALED(status)) {
            for (i = 0; i < READERS; i++) {
                assert_int_not_equal(pid, readers[i]);
            }
            assert_int_equal(WTERMSIG(status), SIGKILL);
            kills++;

            if (!hub_load(&counts->stop)) {
                (void) start(1, seed + 104729 * (uint64_t) kills);
                alive++;
            }
        }
    }

    print_message("# %lu publishes (%lu a second), %lu ends, %u kills, "
                  "%u stops, %lu stuck; %lu frames, %lu and %lu segments checked, "
                  "%lu broken\n",
                  counts->opened, counts->opened / SECONDS, counts->ended,
                  kills, stops, counts->stuck, counts->frames, counts->checked,
                  counts->segments, counts->broken);

    assert_int_equal(counts->broken, 0);
    assert_true(counts->checked > 0);
    assert_true(counts->segments > 0);
    assert_true(kills > 0);

    rig_worker(h);
    hub_sweep(h, &rig_log);
    wrong = rig_wrong(h, &lost);

    if (wrong) {
        fail_msg("after the last sweep: %s", wrong);
    }
    assert_in_range(lost, 0, 2 * kills);
}


/* --- a worker that is stopped in an append --- */

static u_char  *frozen_page;


static void
freeze(int signo)
{
    (void) raise(SIGSTOP);
    (void) mprotect(frozen_page, (size_t) sysconf(_SC_PAGESIZE),
                    PROT_READ|PROT_WRITE);
}


/* Appends a frame from a page that it cannot read: the SIGSEGV stops it. */
static void
frozen_worker(void)
{
    rig_publisher_t  p;

    frozen_page = mmap(NULL, (size_t) sysconf(_SC_PAGESIZE), PROT_NONE,
                       MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
    (void) signal(SIGSEGV, freeze);
    rig_worker(h);

    if (rig_publish(h, &p, "live/a", 1) != HUB_ADMITTED
        || rig_append(h, &p, 1, frozen_page, 1000) != NGX_OK
        || rig_append(h, &p, 1, frozen_page, 1000) != NGX_DONE)
    {
        _exit(1);
    }

    hub_close(h, &p.client, &p.writer);
    _exit(0);
}


static void
bystander(void)
{
    u_char           body[1000] = { 0 };
    uint64_t         last, now;
    rig_publisher_t  p;

    rig_worker(h);
    (void) rig_publish(h, &p, "live/b", 2);
    last = rig_us();

    while (!hub_load(&counts->stop)) {
        (void) rig_append(h, &p, 1, body, sizeof(body));
        now = rig_us();
        hub_store(&counts->gap_us, ngx_max(counts->gap_us, now - last));
        (void) hub_add(&counts->frames, 1);
        last = now;
        (void) usleep(1000);
    }

    hub_close(h, &p.client, &p.writer);
    _exit(0);
}


static void
test_nobody_waits_for_a_stopped_writer(void **state)
{
    int              status, i;
    pid_t            frozen, other;
    uint32_t         lost;
    uint64_t         began, took = 0;
    rig_publisher_t  p;

    rig_worker(h);
    frozen = fork();
    if (frozen == 0) {
        frozen_worker();
    }

    assert_int_equal(waitpid(frozen, &status, WUNTRACED), frozen);
    assert_true(WIFSTOPPED(status));

    other = fork();
    if (other == 0) {
        bystander();
    }
    while (hub_load(&counts->frames) < 10) {
        (void) usleep(1000);
    }

    /* the publisher returns ten times in vain, until somebody ends the stream */
    for (i = 0; i < 10; i++) {
        began = rig_us();
        assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_STUCK);
        took = ngx_max(took, rig_us() - began);
        hub_sweep(h, &rig_log);
    }

    began = rig_us();
    end_stream("live/a");
    print_message("# a takeover gave up after %lu us at most, an end took %lu us;"
                  " the largest gap of another stream's frames was %lu us\n",
                  took, rig_us() - began, hub_load(&counts->gap_us));

    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    hub_sweep(h, &rig_log);
    assert_null(rig_wrong(h, &lost));
    assert_true(took < 5000000);

    (void) kill(frozen, SIGCONT);
    assert_int_equal(waitpid(frozen, &status, 0), frozen);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    hub_store(&counts->stop, 1);
    assert_int_equal(waitpid(other, &status, 0), other);
    hub_sweep(h, &rig_log);
    assert_null(rig_wrong(h, &lost));
    assert_int_equal(lost, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_nobody_waits_for_a_stopped_writer, begin),
        cmocka_unit_test_setup(test_every_frame_is_whole_whatever_is_killed,
                               begin),
    };

    return cmocka_run_group_tests_name("hub: processes", tests, NULL, NULL);
}
