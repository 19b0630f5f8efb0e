/*
 * Kills a worker at every instruction of a call.  ptrace single-steps it, and whenever
 * a part of the zone has changed that other workers read, another worker sweeps a copy
 * of the zone as if the first one had just died.
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
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "hub_rig.h"

#define ZONE       (4 * 1024 * 1024)
#define STREAMS    4                 /* slots in use here */
#define ROWS       16
#define FULL       (HUB_BLOCK_SIZE - FLV_TAG_OVERHEAD)   /* a tag of one block */
#define SMALL      1000
#define LOST_MOST  2                 /* blocks that one SIGKILL may leak */

static hub_t            *h;
static rig_publisher_t   mine;       /* of this process */
static u_char            body[FULL];


static uint64_t
digest(uint64_t sum, const void *p, size_t size)
{
    const u_char  *end = (const u_char *) p + size;
    const u_char  *c;

    for (c = p; c < end; c++) {
        sum = (sum ^ *c) * 1099511628211u;
    }

    return sum;
}


/* A digest of all that other workers read, without the content of free slots. */
static uint64_t
digest_zone(void)
{
    size_t         i;
    uint64_t       sum = 0;
    hub_stream_t  *s;

    sum = digest(sum, h->header, offsetof(hub_header_t, change));
    sum = digest(sum, h->workers, 4 * sizeof(hub_worker_t));
    sum = digest(sum, h->next, h->header->nblocks * sizeof(uint32_t));
    sum = digest(sum, h->slots, h->header->nstreams * sizeof(hub_slot_t));
    sum = digest(sum, h->counts, h->header->count_end * sizeof(hub_count_t));

    for (i = 0; i < h->header->count_end; i++) {
        sum = digest(sum, &h->counts[h->counts[i].key % h->header->ncounts],
                     sizeof(hub_count_t));
    }

    for (i = 0; i < ROWS; i++) {
        sum = digest(sum, &h->sessions[i], offsetof(hub_session_t, address));
    }

    sum = digest(sum, h->visitors, ROWS * sizeof(hub_visitor_t));

    for (i = 0; i < STREAMS; i++) {
        s = &h->streams[i];
        sum = digest(sum, &s->state, sizeof(s->state));

        if (s->state != HUB_FREE) {
            sum = digest(sum, s, offsetof(hub_stream_t, blocks));
            sum = digest(sum, s->blocks, 16 * sizeof(uint32_t));
        }
    }

    return sum;
}


/* Sweeps a copy of the zone as if worker PID had been killed just now. */
static void
check_kill(pid_t pid, pid_t dead, const char *act, uint64_t step)
{
    hub_t       *copy = rig_copy(h);
    uint32_t     i, lost;
    ngx_pid_t    me = ngx_pid;
    const char  *wrong;

    for (i = 0; i < copy->header->worker_end; i++) {
        if (copy->workers[i].pid == (uint32_t) pid) {
            copy->workers[i].pid = (uint32_t) dead;
        }
    }

    copy->worker = h->worker;
    hub_sweep(copy, &rig_log);
    wrong = rig_wrong(copy, &lost);

    if (wrong) {
        fail_msg("killed at instruction %lu of %s: %s", step, act, wrong);
    }

    if (lost > LOST_MOST) {
        fail_msg("killed at instruction %lu of %s: %u blocks are lost",
                 step, act, lost);
    }

    /* then the remaining streams end */
    for (i = 0; i < copy->header->nstreams; i++) {
        if (copy->streams[i].state == HUB_GRACE) {
            copy->streams[i].grace_until_ms = ngx_current_msec - 1;
            hub_due(copy, 0);
        }
    }

    hub_sweep(copy, &rig_log);
    wrong = rig_wrong(copy, &lost);

    if (wrong || lost > LOST_MOST) {
        fail_msg("killed at instruction %lu of %s, after its streams ended: "
                 "%s, %u blocks are lost", step, act,
                 wrong ? wrong : "nothing is wrong", lost);
    }

    ngx_pid = me;
}


/* Starts ACT in a separate worker, which stops at its first raise(SIGSTOP). */
static pid_t
start(void (*act)(void))
{
    int    status;
    pid_t  pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) == -1) {
            _exit(77);
        }
        rig_worker(h);
        act();
        (void) raise(SIGSTOP);
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("# why: no process can be traced here\n");
        skip();
    }

    assert_true(WIFSTOPPED(status));

    return pid;
}


/* Runs one instruction, or all that are left.  Returns 0 at the second SIGSTOP. */
static int
go_on(pid_t pid, int request)
{
    int  status;

    assert_int_equal(ptrace(request, pid, 0, 0), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));

    return WSTOPSIG(status) != SIGSTOP;
}


static void
end(pid_t pid)
{
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
    rig_unlock(h, pid);
}


/* Single-steps ACT between its two raise(SIGSTOP). */
static void
killed_everywhere(const char *name, void (*act)(void))
{
    pid_t     pid = start(act), dead = rig_dead();
    uint64_t  step = 0, kills = 0, now, before = 0;

    while (go_on(pid, PTRACE_SINGLESTEP)) {
        step++;
        now = digest_zone();

        if (now != before) {
            before = now;
            kills++;
            check_kill(pid, dead, name, step);
        }
    }

    print_message("# %s: %lu instructions, killed at %lu of them\n", name,
                  step, kills);
    assert_true(kills > 2);
    end(pid);
}


static int
begin(void **state)
{
    h = rig_zone(ZONE);
    rig_worker(h);
    assert_int_equal(rig_publish(h, &mine, "live/mine", 1), HUB_ADMITTED);
    assert_int_equal(rig_append(h, &mine, 1, body, FULL), NGX_OK);

    return 0;
}


static void
act_watch(void)
{
    hub_client_t    c;
    hub_identity_t  who;

    rig_identity(&who, HUB_FLV);
    (void) raise(SIGSTOP);
    (void) hub_session_open(h, &c, &who, &h->streams[0], NULL, NULL);
    hub_session_close(h, &c);
}


/* Two viewers come by requests; the first one is kicked, then both stay away. */
static void
act_visit(void)
{
    hub_visit_t     visit;
    hub_identity_t  who;

    rig_identity(&who, HUB_HLS);
    (void) raise(SIGSTOP);
    (void) hub_visit(h, &who, &h->streams[0], 5, &visit);
    (void) hub_kick(h, visit.id);
    (void) hub_visit(h, &who, &h->streams[0], h->header->nsessions + 5, &visit);
    hub_visit_sent(&visit, 1000);
    ngx_current_msec += 2 * HUB_VISIT_MS;
    hub_visit_sweep(h);
}


static void
act_publish(void)
{
    rig_publisher_t  p;

    (void) raise(SIGSTOP);
    (void) rig_publish(h, &p, "live/new", 2);
    (void) rig_append(h, &p, 1, body, SMALL);
    hub_close(h, &p.client, &p.writer);
}


/* Appends to a full window, so that old frames and their blocks leave it. */
static void
act_fill(void)
{
    int              i;
    rig_publisher_t  p;

    h->stream_max = 4 * HUB_BLOCK_SIZE;
    (void) rig_publish(h, &p, "live/new", 2);

    for (i = 0; i < 4; i++) {
        (void) rig_append(h, &p, 1, body, FULL);
    }

    (void) raise(SIGSTOP);
    (void) rig_append(h, &p, 1, body, SMALL);
}


/* Appends while the pool is empty, so that another stream loses a block. */
static void
act_rob(void)
{
    rig_publisher_t  p, q;

    h->stream_max = 512 * HUB_BLOCK_SIZE;
    (void) rig_publish(h, &p, "live/full", 2);

    while (h->header->free != HUB_NO_BLOCK) {
        (void) rig_append(h, &p, 1, body, FULL);
    }

    (void) raise(SIGSTOP);
    (void) rig_publish(h, &q, "live/new", 3);
    (void) rig_append(h, &q, 1, body, SMALL);
}


static void
act_take_over(void)
{
    rig_publisher_t  p;

    (void) raise(SIGSTOP);
    (void) rig_publish(h, &p, "live/mine", 1);
    (void) rig_append(h, &p, 1, body, SMALL);
}


static void
act_revoke(void)
{
    uint32_t          ended;
    hub_revocation_t  r = { .at = ngx_time() + 1, .uid = 7 };

    (void) raise(SIGSTOP);
    (void) hub_revoke(h, &r, NULL, &ended, &rig_log);
}


/* Sweeps after a worker died with a stream and a viewer, and after the grace of another
 * stream. */
static void
act_sweep(void)
{
    uint32_t         dead = (uint32_t) rig_dead(), own = h->worker;
    hub_client_t     c;
    rig_publisher_t  p, q;
    hub_identity_t   who;

    (void) rig_publish(h, &q, "live/over", 3);
    (void) rig_append(h, &q, 1, body, SMALL);
    h->grace = 0;
    hub_close(h, &q.client, &q.writer);
    h->grace = 60000;

    h->worker = 3;
    h->header->worker_end = 4;
    h->workers[3].pid = (uint32_t) ngx_pid;
    rig_identity(&who, HUB_FLV);
    (void) rig_publish(h, &p, "live/left", 4);
    (void) rig_append(h, &p, 1, body, SMALL);
    (void) hub_session_open(h, &c, &who, p.writer.ref.stream, NULL, NULL);
    h->workers[3].pid = dead;
    h->worker = own;

    ngx_time_update();
    (void) raise(SIGSTOP);
    hub_sweep(h, &rig_log);
}


/* Appends a frame that begins a segment of HLS, behind a hole of 3 s, with new headers. */
static void
act_segment(void)
{
    flv_frame_t      frame;
    rig_publisher_t  p;

    static const u_char  header[] = { 0x17, 0, 0, 0, 0, 1, 2, 3 };

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.codec = FLV_CODEC_H264;
    frame.config = 1;
    (void) rig_publish(h, &p, "live/new", 2);
    (void) rig_append(h, &p, 1, body, SMALL);
    (void) hub_configure(h, &p.writer, HUB_CONFIG_VIDEO, &frame, header,
                         sizeof(header));
    rig_now = rig_us() / 1000 + 3000;
    (void) raise(SIGSTOP);
    (void) rig_append(h, &p, 1, body, SMALL);
}


/* A tag that begins in the first block and ends in the second one. */
static void
act_append(void)
{
    (void) raise(SIGSTOP);
    (void) rig_append(h, &mine, 1, body, FULL);
}


/* Another worker needs a block, and the pool has none. */
static void
rob(void)
{
    uint32_t  block, free = h->header->free, nfree = h->header->nfree;

    ngx_shmtx_lock(&h->pool->mutex);
    h->header->free = HUB_NO_BLOCK;
    block = hub_block_take(h);
    h->header->free = free;
    h->header->nfree = nfree;

    if (block != HUB_NO_BLOCK) {
        hub_block_give(h, block);
    }

    ngx_shmtx_unlock(&h->pool->mutex);
}


/* Robs the stream when the append has changed something for the MOMENT-th time.
 * 0: it does not do so as often. */
static int
robbed_at(uint64_t moment)
{
    pid_t        pid;
    uint32_t     lost;
    uint64_t     changes = 0, now, before;
    const char  *wrong;

    h = rig_zone(ZONE);
    rig_worker(h);
    assert_int_equal(rig_publish(h, &mine, "live/mine", 1), HUB_ADMITTED);
    assert_int_equal(rig_append(h, &mine, 1, body, FULL / 2), NGX_OK);

    pid = start(act_append);
    before = digest_zone();

    while (changes < moment && go_on(pid, PTRACE_SINGLESTEP)) {
        now = digest_zone();
        changes += now != before;
        before = now;
    }

    if (changes == moment && *h->pool->mutex.lock == 0) {
        rob();
        (void) go_on(pid, PTRACE_CONT);
    } else if (changes == moment) {
        (void) go_on(pid, PTRACE_CONT);      /* the other one waits for it */
    }

    wrong = rig_wrong(h, &lost);
    end(pid);
    (void) munmap(h->shm_zone->shm.addr, ZONE);

    if (wrong) {
        fail_msg("robbed after change %lu of an append: %s", moment, wrong);
    }

    return changes == moment;
}


static void
test_robbed_at_every_change_of_an_append(void **state)
{
    uint64_t  moment = 1;

    while (robbed_at(moment)) {
        moment++;
    }

    print_message("# append: robbed after each of %lu changes\n", moment - 1);
    assert_true(moment > 5);
}


#define CASE(name)                                                           \
    static void                                                              \
    test_killed_in_##name(void **state)                                      \
    {                                                                        \
        killed_everywhere(#name, act_##name);                                 \
    }

CASE(watch)
CASE(visit)
CASE(publish)
CASE(fill)
CASE(segment)
CASE(rob)
CASE(take_over)
CASE(revoke)
CASE(sweep)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_killed_in_watch, begin),
        cmocka_unit_test_setup(test_killed_in_visit, begin),
        cmocka_unit_test_setup(test_killed_in_publish, begin),
        cmocka_unit_test_setup(test_killed_in_fill, begin),
        cmocka_unit_test_setup(test_killed_in_segment, begin),
        cmocka_unit_test_setup(test_killed_in_rob, begin),
        cmocka_unit_test_setup(test_killed_in_take_over, begin),
        cmocka_unit_test_setup(test_killed_in_revoke, begin),
        cmocka_unit_test_setup(test_killed_in_sweep, begin),
        cmocka_unit_test(test_robbed_at_every_change_of_an_append),
    };

    return cmocka_run_group_tests_name("hub: killed at every instruction",
                                       tests, NULL, NULL);
}
