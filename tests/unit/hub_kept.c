/*
 * The file of hub_revocations: workers add to it and compact it, and are killed
 * while they do so.
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "hub_rig.h"

#define ZONE      (4 * 1024 * 1024)
#define USERS     400
#define WORKERS   4
#define SECONDS   3
#define SPARE     256                /* lines beyond twice the entries */
#define TOLD      (4 * USERS + SPARE)  /* the file is compacted by then */

typedef struct {
    uint64_t  at;                    /* the last one told */
    uint64_t  kept[USERS + 1];       /* answered as kept */
    uint64_t  told, refused;
    uint32_t  stop;
} shared_t;

static hub_t     *h;
static shared_t  *shared;
static char       folder[64], path[128], fresh[128];


/* In memory, where there is such a folder: a disk would be what is waited for. */
static int
make_folder(void)
{
    size_t  i;

    static const char  *const  in[] = { "/dev/shm", "/tmp" };

    for (i = 0; i < 2; i++) {
        (void) snprintf(folder, sizeof(folder), "%s/hub_kept.XXXXXX", in[i]);

        if (mkdtemp(folder)) {
            (void) snprintf(path, sizeof(path), "%s/revocations", folder);
            (void) snprintf(fresh, sizeof(fresh), "%s/revocations.new", folder);
            return 1;
        }
    }

    return 0;
}


/* Stands for the cycle: each worker inherits its descriptor. */
static void
open_file(hub_t *to)
{
    ngx_open_file_t  *file = calloc(1, sizeof(ngx_open_file_t));

    file->name.data = (u_char *) path;
    file->name.len = ngx_strlen(path);
    file->fd = open(path, O_WRONLY|O_APPEND|O_CREAT, 0644);
    assert_true(file->fd >= 0);
    to->revocations = file;
}


static int
begin(void **state)
{
    (void) unlink(path);
    (void) unlink(fresh);
    h = rig_zone(ZONE);
    ngx_memzero(shared, sizeof(shared_t));
    shared->at = 1000;
    open_file(h);
    rig_worker(h);

    return hub_revocations_read(h, &rig_log) != NGX_OK;
}


static ngx_int_t
tell(uint64_t user)
{
    uint32_t          ended;
    ngx_int_t         rc;
    hub_revocation_t  r = { .at = (int64_t) hub_add(&shared->at, 1),
                            .uid = user };

    (void) hub_add(&shared->told, 1);
    rc = hub_revoke(h, &r, NULL, &ended, &rig_log);

    if (rc == NGX_OK) {
        hub_raise(&shared->kept[user], (uint64_t) r.at);
    } else {
        (void) hub_add(&shared->refused, 1);
    }

    return rc;
}


/* Reads the file as a start does: newest[] of each user.  Returns its lines. */
static uint32_t
read_back(uint64_t newest[USERS + 1])
{
    char           line[512];
    FILE          *f = fopen(path, "r");
    uint32_t       n = 0;
    uint64_t       everybody = 0, i;
    unsigned long  at, user;

    assert_non_null(f);
    ngx_memzero(newest, (USERS + 1) * sizeof(uint64_t));

    while (fgets(line, sizeof(line), f)) {
        n++;

        if (sscanf(line, "%lu user=%lu\n", &at, &user) == 2 && user <= USERS
            && line[ngx_strlen(line) - 1] == '\n')
        {
            newest[user] = ngx_max(newest[user], at);
        } else if (ngx_strstr(line, "everybody")) {
            everybody = at;
        }
    }

    (void) fclose(f);

    for (i = 0; i <= USERS; i++) {
        newest[i] = ngx_max(newest[i], everybody);
    }

    return n;
}


/* The file has what was answered as kept, and no more lines than it may. */
static const char *
wrong(uint32_t most)
{
    uint64_t  user, newest[USERS + 1], kept[USERS + 1];

    for (user = 1; user <= USERS; user++) {
        kept[user] = hub_load(&shared->kept[user]);
    }

    if (read_back(newest) > most) {
        return "it has more lines than it may";
    }

    for (user = 1; user <= USERS; user++) {
        if (newest[user] < kept[user]) {
            return "a revocation that was kept is lost";
        }
    }

    return NULL;
}


static void
test_the_file_grows_no_further_than_the_table(void **state)
{
    int  i;

    for (i = 0; i < 2000; i++) {
        assert_int_equal(tell(1 + i % 3), NGX_OK);
        assert_null(wrong(2 * 4 + SPARE));
    }

    assert_int_equal(access(fresh, F_OK), -1);
}


/* --- workers that are killed --- */

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
interrupted(int signo)
{
    struct itimerval  t = { { 0, 0 }, { 0, 200 + roll(3000) } };

    if (roll(30) == 0) {
        (void) raise(SIGKILL);
    }

    (void) setitimer(ITIMER_REAL, &t, NULL);
}


static pid_t
start(uint64_t seed)
{
    pid_t  pid = fork();

    if (pid == 0) {
        chance = seed;
        rig_worker(h);
        (void) signal(SIGALRM, interrupted);
        interrupted(0);

        while (!hub_load(&shared->stop)) {
            (void) tell(1 + roll(USERS));
        }

        _exit(0);
    }

    return pid;
}


static void
test_what_is_kept_stays_whatever_is_killed(void **state)
{
    int          i, status, alive = WORKERS, kills = 0;
    pid_t        pid;
    uint32_t     most = 2 * (USERS + 1) + SPARE + WORKERS;
    const char  *given = getenv("HUB_SEED"), *said = NULL;
    uint64_t     seed = given ? strtoull(given, NULL, 10) : rig_us() | 1;
    uint64_t     until = rig_us() + SECONDS * 1000000ull;

    print_message("# HUB_SEED=%lu\n", seed);

    for (i = 0; i < WORKERS; i++) {
        (void) start(seed + 7919 * (uint64_t) (i + 1));
    }

    while (alive) {
        if (rig_us() > until && hub_load(&shared->told) > TOLD) {
            hub_store(&shared->stop, 1);
        }

        pid = waitpid(-1, &status, WNOHANG);

        if (pid <= 0) {
            if (said == NULL) {
                said = wrong(most + (uint32_t) kills);
            }
            continue;
        }

        rig_unlock(h, pid);
        alive--;

        if (WIFSIGNALED(status) && !hub_load(&shared->stop)) {
            assert_int_equal(WTERMSIG(status), SIGKILL);
            (void) start(seed + 104729 * (uint64_t) ++kills);
            alive++;
        }
    }

    print_message("# %lu told, %lu of them refused, %d kills\n", shared->told,
                  shared->refused, kills);
    assert_true(kills > 0);

    /* at most, a killed worker did not count its line */
    said = said ? said : wrong(most + (uint32_t) kills);

    if (said) {
        fail_msg("%s", said);
    }
}


/* At each call to the kernel of the one that compacts, the file is whole. */
static void
test_a_crash_leaves_the_old_file_or_the_new_one(void **state)
{
    int          status, i, stops = 0;
    pid_t        pid;
    struct stat  before, now;

    for (i = 0; h->header->lines + 1 < h->header->lines_most; i++) {
        assert_int_equal(tell(1 + i % USERS), NGX_OK);
    }

    assert_int_equal(stat(path, &before), 0);
    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) == -1) {
            _exit(77);
        }
        rig_worker(h);
        (void) raise(SIGSTOP);
        _exit(tell(1) != NGX_OK);
    }

    for (;;) {
        assert_int_equal(waitpid(pid, &status, 0), pid);

        if (WIFEXITED(status)) {
            break;
        }

        stops++;
        assert_null(wrong(3 * (USERS + 1) + SPARE));
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
    }

    if (WEXITSTATUS(status) == 77) {
        skip();                              /* a sandbox without ptrace */
    }

    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(stat(path, &now), 0);
    assert_true(now.st_ino != before.st_ino);
    assert_null(wrong(USERS + 1));
    print_message("# looked at in %d calls to the kernel\n", stops);

    assert_int_equal(tell(2), NGX_OK);       /* this process has the old one open */
    assert_null(wrong(USERS + 2));
}


/* --- a disk that is full --- */

static void
limit(rlim_t size)
{
    struct rlimit  most;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &most), 0);
    most.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &most), 0);
}


static void
test_a_full_disk_loses_no_line(void **state)
{
    struct stat  st;

    (void) signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(tell(1), NGX_OK);
    assert_int_equal(stat(path, &st), 0);

    limit((rlim_t) st.st_size + 6);          /* half a line has room */
    assert_int_equal(tell(2), NGX_ERROR);
    assert_int_equal(tell(2), NGX_ERROR);
    limit(RLIM_INFINITY);

    assert_int_equal(tell(3), NGX_OK);
    assert_int_equal(tell(2), NGX_OK);
    assert_null(wrong(5));
}


/* A start cannot end the half line either. */
static void
test_a_disk_that_is_full_over_a_restart_loses_no_line(void **state)
{
    struct stat  st;

    (void) signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(tell(1), NGX_OK);
    assert_int_equal(stat(path, &st), 0);

    limit((rlim_t) st.st_size + 6);
    assert_int_equal(tell(2), NGX_ERROR);

    h = rig_zone(ZONE);
    open_file(h);
    assert_int_equal(hub_revocations_read(h, &rig_log), NGX_OK);
    rig_worker(h);
    limit(RLIM_INFINITY);

    assert_int_equal(tell(3), NGX_OK);
    assert_null(wrong(5));
}


static void
test_without_room_for_a_new_file_the_old_one_goes_on(void **state)
{
    int  i;

    assert_int_equal(mkdir(fresh, 0700), 0);

    for (i = 0; i < 3 * SPARE; i++) {
        assert_int_equal(tell(1 + i % 2), NGX_OK);
    }

    assert_null(wrong(3 * SPARE));
    assert_int_equal(rmdir(fresh), 0);

    for (i = 0; i < SPARE; i++) {
        assert_int_equal(tell(1 + i % 2), NGX_OK);
    }

    assert_null(wrong(2 * 3 + SPARE));
}


/* --- two zones --- */

/* A reload with another hub_zone: its master reads the file, then starts workers, then
 * asks the old ones to go, which may be told of a revocation all the time. */
static void
test_a_zone_that_is_replaced_confirms_nothing_the_next_one_lacks(void **state)
{
    hub_t            *old = h, *next;
    ngx_open_file_t  *file = h->revocations;

    assert_int_equal(tell(1), NGX_OK);
    next = rig_zone(ZONE);
    open_file(next);
    assert_int_equal(hub_revocations_read(next, &rig_log), NGX_OK);
    next->worker = 0;

    assert_int_equal(tell(2), NGX_OK);       /* after the file was read */
    h->revocations = NULL;
    assert_int_equal(tell(3), NGX_OK);       /* nothing keeps it */
    h->revocations = file;

    hub_revocations_inherit(next, old);
    assert_true(hub_revoked(next, 1, 0, 0, (int64_t) shared->kept[1]));
    assert_true(hub_revoked(next, 2, 0, 0, (int64_t) shared->kept[2]));
    assert_true(hub_revoked(next, 3, 0, 0, (int64_t) shared->kept[3]));

    assert_int_equal(tell(4), NGX_AGAIN);
    assert_true(hub_revoked(old, 4, 0, 0, (int64_t) shared->at));
    assert_false(hub_revoked(next, 4, 0, 0, (int64_t) shared->at));

    h = next;
    assert_int_equal(tell(4), NGX_OK);
    shared->kept[3] = 0;                     /* by the zone alone */
    assert_null(wrong(10));
}


/* A compaction by one zone's workers keeps the lines that another zone's added. */
static void
test_compacting_keeps_what_another_zone_added(void **state)
{
    int     i;
    hub_t  *other = h, *mine;

    mine = rig_zone(ZONE);
    open_file(mine);
    assert_int_equal(hub_revocations_read(mine, &rig_log), NGX_OK);
    rig_worker(mine);

    for (i = 0; i < 3 * SPARE; i++) {
        h = i % 2 ? mine : other;
        assert_int_equal(tell(1 + i % 30), NGX_OK);
        assert_null(wrong(2 * (2 * 30 + SPARE)));    /* each counts its own */
    }
}


int
main(void)
{
    int                      failed;
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_the_file_grows_no_further_than_the_table,
                               begin),
        cmocka_unit_test_setup(test_what_is_kept_stays_whatever_is_killed, begin),
        cmocka_unit_test_setup(test_a_crash_leaves_the_old_file_or_the_new_one,
                               begin),
        cmocka_unit_test_setup(test_a_full_disk_loses_no_line, begin),
        cmocka_unit_test_setup(
            test_a_disk_that_is_full_over_a_restart_loses_no_line, begin),
        cmocka_unit_test_setup(
            test_without_room_for_a_new_file_the_old_one_goes_on, begin),
        cmocka_unit_test_setup(
            test_a_zone_that_is_replaced_confirms_nothing_the_next_one_lacks,
            begin),
        cmocka_unit_test_setup(test_compacting_keeps_what_another_zone_added,
                               begin),
    };

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED || !make_folder()) {
        return 1;
    }

    failed = cmocka_run_group_tests_name("hub: the file of revocations", tests,
                                         NULL, NULL);
    (void) unlink(path);
    (void) rmdir(folder);

    return failed;
}
