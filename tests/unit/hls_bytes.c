/* Bytes that requests share, and those that are a file. */

#define _GNU_SOURCE

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "hub_rig.h"
#include "../../modules/http/hls_bytes.h"

#define SIZE   50001                 /* no multiple of a page */
#define FILES  40


/* A file of SIZE bytes FILL, joined of two; NULL: there is none. */
static hls_bytes_t *
file_of(int fill)
{
    hls_bytes_t  *file, *two[] = { hls_bytes_new(SIZE - 10), hls_bytes_new(10) };

    if (two[0] == NULL || two[1] == NULL) {
        fail_msg("no room for what is to be joined");
    }

    memset(two[0]->data, fill, two[0]->size);
    memset(two[1]->data, fill + 1, two[1]->size);
    file = hls_bytes_join(two, 2);

    if (file) {
        assert_int_equal(file->size, SIZE);
        assert_int_equal(file->data[SIZE - 11], fill);
        assert_int_equal(file->data[SIZE - 10], fill + 1);
    }

    hls_bytes_give(two[0]);
    hls_bytes_give(two[1]);

    return file;
}


static void
a_file_has_the_bytes_and_is_closed_with_the_last_reference(void **state)
{
    int           fd;
    u_char        copy[SIZE];
    hls_bytes_t  *memory = hls_bytes_new(SIZE), *file = file_of('f');

    assert_null(memory->file);
    assert_non_null(file->file);
    assert_true(hls_bytes_held() >= 2 * SIZE);
    assert_true(hls_bytes_held() < 2 * SIZE + 8192);

    fd = file->file->fd;
    assert_int_equal(pread(fd, copy, SIZE, 0), SIZE);
    assert_memory_equal(copy, file->data, SIZE);

    (void) hls_bytes_keep(file);
    hls_bytes_give(file);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);

    hls_bytes_give(file);
    assert_int_equal(fcntl(fd, F_GETFD), -1);

    hls_bytes_give(memory);
    assert_int_equal(hls_bytes_held(), 0);
}


/* sendfile() gives the socket the pages themselves, which must stay as they are. */
static void
what_a_socket_has_to_send_outlives_the_file(void **state)
{
    int           i, pair[2];
    off_t         at = 0;
    ssize_t       n;
    u_char        copy[SIZE], want[SIZE];
    hls_bytes_t  *first = file_of('a'), *others[FILES];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    n = sendfile(pair[0], first->file->fd, &at, SIZE);
    assert_true(n > 4096);
    hls_bytes_give(first);

    for (i = 0; i < FILES; i++) {
        others[i] = file_of('x');
    }

    memset(want, 'a', SIZE - 10);
    memset(want + SIZE - 10, 'b', 10);
    assert_int_equal(recv(pair[1], copy, (size_t) n, MSG_WAITALL), n);
    assert_memory_equal(copy, want, (size_t) n);

    for (i = 0; i < FILES; i++) {
        hls_bytes_give(others[i]);
    }

    (void) close(pair[0]);
    (void) close(pair[1]);
}


static void
files_leave_descriptors_for_connections(void **state)
{
    int            i, files = 0;
    hls_bytes_t   *bytes[FILES];
    struct rlimit  before, few;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);

    for (i = 0; i < FILES; i++) {
        bytes[i] = file_of('c');
        files += bytes[i] != NULL;
    }

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(files, 1, 64 / 4);

    for (i = 0; i < FILES; i++) {
        hls_bytes_give(bytes[i]);
    }

    assert_int_equal(hls_bytes_held(), 0);
}


static void
files_count_within_the_limit(void **state)
{
    hls_bytes_t  *file;

    hls_bytes_limit(2 * SIZE);
    assert_null(file_of('d'));

    hls_bytes_limit(2 * SIZE + 8192);
    file = file_of('d');
    assert_non_null(file);
    assert_null(hls_bytes_new(SIZE + 8192));
    hls_bytes_give(file);
    hls_bytes_limit(0);
    assert_int_equal(hls_bytes_held(), 0);

    file = hls_bytes_new(100);
    assert_null(hls_bytes_join(&file, 1));      /* too few */
    hls_bytes_give(file);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_file_has_the_bytes_and_is_closed_with_the_last_reference),
        cmocka_unit_test(what_a_socket_has_to_send_outlives_the_file),
        cmocka_unit_test(files_leave_descriptors_for_connections),
        cmocka_unit_test(files_count_within_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
