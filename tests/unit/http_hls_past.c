/*
 * Rows of recorded segments, read from indexes on the disk (modules/http/hls_past.c).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../modules/http/hls_past.h"

#define NOON     1795435200000               /* 2026-11-23T12:00:00Z */
#define SESSION  (NOON + 1)
#define FIRST    95435200u
#define HOUR_MS  3600000

static char      root[] = "/tmp/duolu-past-XXXXXX";
static uint32_t  row_ms = 2000;


/* --- recordings --- */

static char *path_of(int64_t utc, const char *ext)
{
    char         file[REC_FILE_MAX];
    static char  path[256];

    (void) rec_path_file(file, utc, ext);
    snprintf(path, sizeof(path), "%s/live/demo/%s", root, file);

    return path;
}


static void write_text(int64_t utc, const char *mode, const char *text, size_t len)
{
    FILE  *file = fopen(path_of(utc, "m3u8"), mode);

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}


static void begin_file(int64_t utc)
{
    char        text[REC_HEAD_MAX];
    rec_head_t  head = { "live/demo", NOON, 800, utc };

    write_text(utc, "w", text, rec_index_head(text, &head, "12-00-00.000.mp4"));
}


static size_t live_line(char *text, uint64_t session, uint64_t number)
{
    rec_live_t  live = { .number = number, .stream = session, .size = 1000, .ms = row_ms };

    live.offset = 800 + 1000 * (number - FIRST);
    live.utc = SESSION + 2000 * (int64_t) (number - FIRST);
    live.shift = -5;
    live.sound = -1;
    live.sound_end = 96000;
    live.headers = (uint32_t) (number - FIRST) / 10;
    live.breaks = 7;
    live.anew = number % 2;

    return rec_index_live(text, &live);
}


/* Adds the lines of segments [FROM, TO) to the index of UTC, between other lines. */
static void add_lines(int64_t utc, uint64_t session, uint64_t from, uint64_t to)
{
    char    *text = malloc((to - from) * (REC_LIVE_MAX + REC_LINES_MAX) + 1), *p = text;

    static const rec_segment_t  segment = { NOON, 2000, 800, 1000, 0, 0 };

    for ( ; from < to; from++) {
        p += rec_index_segment(p, &segment, "12-00-00.000.mp4");
        p += live_line(p, session, from);
    }

    write_text(utc, "a", text, (size_t) (p - text));
    free(text);
}


static void end_file(int64_t utc)
{
    char  text[REC_LINES_MAX];

    write_text(utc, "a", text, rec_index_end(text, 0));
}


/* --- reading --- */

static hls_past_read_t  q;

static void forget_rows(void)
{
    free(q.past.rows);
    history_find_free(&q.history);
    free(q.history.root);
    memset(&q.history, 0, sizeof(q.history));
    memset(&q.past, 0, sizeof(q.past));
    q.whole = 0;
}


/* Reads on, NOW ms after the stream's start, and expects the rows [FROM, FROM + N). */
static void expect_rows(int whole, int64_t now, uint64_t from, size_t n)
{
    ngx_str_t  at = ngx_null_string, name = ngx_string("live/demo");

    at.data = (u_char *) root;
    at.len = strlen(root);
    forget_rows();
    q.session = SESSION;
    assert_int_equal(history_locate(&q.history, &at, &name), 0);
    q.history.now = SESSION + now;
    hls_past_read(&q);

    if (q.history.status != NGX_HTTP_OK) {
        fail_msg("%s", q.history.why);
    }
    assert_int_equal(q.whole, whole);
    assert_int_equal(q.past.n, n);
    assert_true(n == 0 || q.past.first == from);
}


static int setup(void **state)
{
    char  command[192];

    (void) state;

    snprintf(command, sizeof(command), "rm -rf %s/live; "
             "mkdir -p %s/live/demo/2026-11-23 %s/live/demo/2026-11-24", root, root, root);
    forget_rows();
    memset(&q, 0, sizeof(q));

    return system(command);
}


static int teardown(void **state)
{
    (void) state;

    forget_rows();

    return 0;
}


/* --- tests --- */

static void test_fields(void **state)
{
    const hls_row_t  *row;

    (void) state;

    begin_file(NOON);
    add_lines(NOON, SESSION, FIRST, FIRST + 25);
    expect_rows(1, HOUR_MS, FIRST, 25);

    row = hls_past_row(&q.past, FIRST + 21);
    assert_int_equal(row->file, NOON);
    assert_int_equal(row->init_size, 800);
    assert_int_equal(row->offset, 800 + 21 * 1000);
    assert_int_equal(row->size, 1000);
    assert_int_equal(row->ms, 2000);
    assert_int_equal(row->utc, SESSION + 42000);
    assert_int_equal(row->shift, -5);
    assert_int_equal(row->sound, -1);
    assert_int_equal(row->sound_end, 96000);
    assert_int_equal(row->headers, 2);
    assert_int_equal(row->breaks, 7);
    assert_int_equal(row->anew, (FIRST + 21) % 2);
    assert_null(hls_past_row(&q.past, FIRST - 1));
    assert_null(hls_past_row(&q.past, FIRST + 25));
}


/* Several files, an FLV, an empty index, and those of other sessions. */
static void test_files(void **state)
{
    (void) state;

    expect_rows(1, HOUR_MS, 0, 0);           /* nothing is recorded */

    begin_file(NOON - 1000);                 /* the end of the stream before it */
    add_lines(NOON - 1000, NOON - HOUR_MS, FIRST - 5, FIRST);
    begin_file(NOON);
    add_lines(NOON, SESSION, FIRST, FIRST + 10);
    end_file(NOON);
    fclose(fopen(path_of(NOON + 20000, "flv"), "w"));
    begin_file(NOON + 25000);
    add_lines(NOON + 25000, SESSION, FIRST + 10, FIRST + 15);
    add_lines(NOON + 25000, SESSION + 7, FIRST + 15, FIRST + 20);
    begin_file(NOON + 40000);
    write_text(NOON + 50000, "w", "", 0);
    expect_rows(1, HOUR_MS, FIRST, 15);

    begin_file(NOON + 60000);                /* segment 15 is in no file */
    add_lines(NOON + 60000, SESSION, FIRST + 16, FIRST + 19);
    expect_rows(0, HOUR_MS, FIRST + 16, 3);
    q.end.file = 0;
    expect_rows(1, HOUR_MS, FIRST + 16, 3);
}


/* Reads only what is new; a torn line when it is whole. */
static void test_growing(void **state)
{
    char    line[REC_LIVE_MAX];
    size_t  n;

    (void) state;

    begin_file(NOON);
    add_lines(NOON, SESSION, FIRST, FIRST + 10);
    expect_rows(1, HOUR_MS, FIRST, 10);
    expect_rows(0, HOUR_MS, 0, 0);

    add_lines(NOON, SESSION, FIRST + 10, FIRST + 12);
    n = live_line(line, SESSION, FIRST + 12);
    write_text(NOON, "a", line, 60);
    expect_rows(0, HOUR_MS, FIRST + 10, 2);
    assert_int_equal(q.past.rows[1].init_size, 800);
    write_text(NOON, "a", line + 60, n - 60);
    expect_rows(0, HOUR_MS, FIRST + 12, 1);

    end_file(NOON);
    begin_file(NOON + 26000);
    add_lines(NOON + 26000, SESSION, FIRST + 13, FIRST + 15);
    expect_rows(0, HOUR_MS, FIRST + 13, 2);
    add_lines(NOON + 26000, SESSION, FIRST + 15, FIRST + 16);
    expect_rows(0, HOUR_MS, FIRST + 15, 1);

    begin_file(NOON + 52000);                /* the worker of the one before died */
    expect_rows(0, HOUR_MS, 0, 0);
    add_lines(NOON + 52000, SESSION, FIRST + 16, FIRST + 17);
    expect_rows(0, HOUR_MS, FIRST + 16, 1);
}


/* A file that was deleted, or written anew, takes its rows and all before them along. */
static void test_deleted(void **state)
{
    int  i;

    (void) state;

    for (i = 0; i < 3; i++) {
        begin_file(NOON + i * 20000);
        add_lines(NOON + i * 20000, SESSION, FIRST + 10 * i, FIRST + 10 * i + 10);
    }

    expect_rows(1, HOUR_MS, FIRST, 30);
    assert_int_equal(unlink(path_of(NOON + 20000, "m3u8")), 0);
    q.end.file = 0;
    expect_rows(1, HOUR_MS, FIRST + 20, 10);

    begin_file(NOON + 40000);                /* shorter than it was */
    add_lines(NOON + 40000, SESSION, FIRST + 25, FIRST + 27);
    expect_rows(1, HOUR_MS, FIRST + 25, 2);

    assert_int_equal(unlink(path_of(NOON + 40000, "m3u8")), 0);
    expect_rows(1, HOUR_MS, FIRST, 10);
}


/* A recovery may leave a segment in two files; the later one counts. */
static void test_overlap(void **state)
{
    (void) state;

    begin_file(NOON);
    add_lines(NOON, SESSION, FIRST, FIRST + 12);
    begin_file(NOON + 20000);
    add_lines(NOON + 20000, SESSION, FIRST + 10, FIRST + 14);
    expect_rows(1, HOUR_MS, FIRST, 14);
    assert_int_equal(hls_past_row(&q.past, FIRST + 9)->file, NOON);
    assert_int_equal(hls_past_row(&q.past, FIRST + 10)->file, NOON + 20000);
}


static void test_bounds(void **state)
{
    int  i;

    (void) state;

    begin_file(NOON);
    add_lines(NOON, SESSION, FIRST, FIRST + 30000);
    expect_rows(1, HOUR_MS, FIRST + 30000 - HLS_PAST_ROWS, HLS_PAST_ROWS);
    assert_int_equal(q.past.rows[0].offset, 800 + 1000 * (30000 - HLS_PAST_ROWS));
    assert_int_equal(setup(NULL), 0);

    row_ms = 4000;

    for (i = 0; i < 8; i++) {                /* eight hours, in files of one */
        begin_file(NOON + i * HOUR_MS);
        add_lines(NOON + i * HOUR_MS, SESSION, FIRST + 900 * i, FIRST + 900 * (i + 1));
    }

    /* the newest rows are of the hub's segments */
    expect_rows(1, 8 * HOUR_MS, FIRST + 3 * 900, 5 * 900);
    row_ms = 2000;
}


static int64_t  find_now = SESSION + HOUR_MS;


static int find(uint64_t session, uint64_t number, int headers, hls_row_t *row)
{
    int        found;
    history_t  h = { .now = find_now };
    ngx_str_t  at = { strlen(root), (u_char *) root }, name = ngx_string("live/demo");

    assert_int_equal(history_locate(&h, &at, &name), 0);
    found = hls_past_find(&h, session, number, headers, row);
    assert_int_equal(h.status, NGX_HTTP_OK);
    history_find_free(&h);
    free(h.root);

    return found;
}


static void test_find(void **state)
{
    hls_row_t  row;

    (void) state;

    begin_file(NOON);
    add_lines(NOON, SESSION, FIRST, FIRST + 20);
    begin_file(NOON + 40000);
    add_lines(NOON + 40000, SESSION, FIRST + 20, FIRST + 40);

    assert_true(find(SESSION, FIRST + 3, 0, &row));
    assert_int_equal(row.file, NOON);
    assert_int_equal(row.offset, 800 + 3000);
    assert_true(find(SESSION, FIRST + 39, 0, &row));
    assert_int_equal(row.file, NOON + 40000);
    assert_true(find(SESSION, 1, 1, &row));
    assert_int_equal(row.file, NOON);
    assert_true(find(SESSION, 3, 1, &row));
    assert_int_equal(row.file, NOON + 40000);

    assert_false(find(SESSION, FIRST + 40, 0, &row));
    assert_false(find(SESSION, 4, 1, &row));
    assert_false(find(SESSION + 1, FIRST + 3, 0, &row));
    assert_false(find(INT64_MAX, FIRST + 3, 0, &row));
    assert_false(find(0, FIRST + 3, 0, &row));
}


/* 33 hours in files of one: anybody may ask for segments that never were, so little is
 * read for them. */
static void test_find_in_many(void **state)
{
    int        i;
    clock_t    all, few;
    uint64_t   number;
    hls_row_t  row;

    (void) state;

    for (i = 0; i < 33; i++) {
        begin_file(NOON + (int64_t) i * HOUR_MS);

        if (i % 10 < 8) {                    /* some have no live segment */
            add_lines(NOON + (int64_t) i * HOUR_MS, i < 32 ? SESSION : SESSION + 1,
                      FIRST + 1800 * (uint64_t) i, FIRST + 1800 * (uint64_t) (i + 1));
        }
    }

    find_now = SESSION + (int64_t) 32 * HOUR_MS;
    all = clock();

    for (i = 0; i < 32; i++) {
        number = FIRST + 1800 * (uint64_t) i + 1799;
        assert_int_equal(find(SESSION, number, 0, &row), i % 10 < 8);

        if (i % 10 < 8) {
            assert_int_equal(row.file, NOON + (int64_t) i * HOUR_MS);
            assert_int_equal(row.offset, 800 + 1000 * (number - FIRST));
        }
    }

    few = clock();
    all = few - all;

    assert_false(find(SESSION, 1, 0, &row));
    assert_false(find(SESSION, INT64_MAX, 0, &row));
    assert_false(find(SESSION + 2, 1, 0, &row));
    assert_false(find(0, FIRST, 0, &row));
    few = clock() - few;
    assert_true(few < all);

    assert_true(find(SESSION, 1800 * 30 / 10 + 179, 1, &row));
    assert_int_equal(row.file, NOON + (int64_t) 30 * HOUR_MS);
    assert_true(find(SESSION + 1, FIRST + 32 * 1800, 0, &row));
    find_now = SESSION + HOUR_MS;
}


int main(void)
{
    int   rc;
    char  command[64];

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find_in_many, setup, teardown),
    };

    if (mkdtemp(root) == NULL) {
        return 1;
    }

    rc = cmocka_run_group_tests_name("hls_past", tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf %s", root);

    return system(command) ? 1 : rc;
}
