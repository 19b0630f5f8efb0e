/* The index of a recording. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rec_index.h"

#define FILE_NAME  "14-00-00.123.mp4"
#define START      1795442400123LL

static const rec_head_t  head = { "live/demo", 1795403212345, 812, START };

/* The example in rec_index.h. */
static const char  sample[] =
    "#EXTM3U\n"
    "#EXT-X-VERSION:7\n"
    "#EXT-X-TARGETDURATION:30\n"
    "#EXT-X-PLAYLIST-TYPE:EVENT\n"
    "#EXT-X-DUOLU-RECORDING:STREAM=\"live/demo\",SESSION=1795403212345\n"
    "#EXT-X-MAP:URI=\"14-00-00.123.mp4\",BYTERANGE=\"812@0\"\n"
    "#EXT-X-PROGRAM-DATE-TIME:2026-11-23T14:00:00.123Z\n"
    "#EXTINF:2.000,\n"
    "#EXT-X-BYTERANGE:250000@812\n"
    "14-00-00.123.mp4\n"
    "#EXTINF:30.000,\n"
    "#EXT-X-BYTERANGE:3750000@250812\n"
    "14-00-00.123.mp4\n"
    "#EXT-X-DUOLU-DEPENDENT\n"
    "#EXTINF:0.040,\n"
    "#EXT-X-BYTERANGE:1@4000812\n"
    "14-00-00.123.mp4\n"
    "#EXT-X-DISCONTINUITY\n"
    "#EXT-X-PROGRAM-DATE-TIME:2026-11-23T14:00:40.001Z\n"
    "#EXTINF:1.001,\n"
    "#EXT-X-BYTERANGE:77@4000813\n"
    "14-00-00.123.mp4\n"
    "#EXT-X-DUOLU-INTERRUPTED\n"
    "#EXT-X-ENDLIST\n";

static const rec_segment_t  segments[] = {
    { START, 2000, 812, 250000, 0, 0 },
    { START + 2000, 30000, 250812, 3750000, 0, 0 },
    { START + 32000, 40, 4000812, 1, 0, 1 },
    { 1795442440001, 1001, 4000813, 77, 1, 0 },
};

#define SEGMENTS  (sizeof(segments) / sizeof(segments[0]))


static void same_segment(const rec_segment_t *a, const rec_segment_t *b)
{
    assert_int_equal(a->utc, b->utc);
    assert_int_equal(a->duration, b->duration);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->gap, b->gap);
    assert_int_equal(a->dependent, b->dependent);
}


static void test_written(void **state)
{
    char    text[4096];
    size_t  i, n;

    (void) state;

    n = rec_index_head(text, &head, FILE_NAME);
    for (i = 0; i < SEGMENTS; i++) {
        n += rec_index_segment(text + n, &segments[i], FILE_NAME);
    }
    n += rec_index_end(text + n, 1);

    assert_string_equal(text, sample);
    assert_int_equal(n, sizeof(sample) - 1);

    assert_int_equal(rec_index_end(text, 0), 15);
    assert_string_equal(text, "#EXT-X-ENDLIST\n");
}


/* The longest texts fit REC_HEAD_MAX and REC_LINES_MAX. */
static void test_room(void **state)
{
    char           text[REC_HEAD_MAX + 1];
    rec_head_t     long_head = { "", UINT64_MAX, UINT64_MAX, 253402300799999 };
    rec_segment_t  segment = { 253402300799999, UINT32_MAX, UINT64_MAX, UINT64_MAX, 1, 1 };

    (void) state;

    memset(long_head.stream, 's', REC_STREAM_MAX);
    assert_in_range(rec_index_head(text, &long_head, FILE_NAME FILE_NAME), 1, REC_HEAD_MAX - 1);
    assert_in_range(rec_index_segment(text, &segment, FILE_NAME FILE_NAME), 1, REC_LINES_MAX - 1);
    assert_in_range(rec_index_end(text, 1), 1, REC_LINES_MAX - 1);
}


static const rec_live_t  live = { 95403213, 1795403212345, 812, 250000, 2000, START, -1200, 480000,
                                  576000, 3, 13, 1 };
static const char  live_line[] =
    "#EXT-X-DUOLU-LIVE:NUMBER=95403213,STREAM=1795403212345,BYTES=250000@812,MS=2000,"
    "UTC=1795442400123,SHIFT=-1200,SOUND=480000,UNTIL=576000,HEADERS=3,BREAKS=13,ANEW=1\n";


static void same_live(const rec_live_t *a, const rec_live_t *b)
{
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->stream, b->stream);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->ms, b->ms);
    assert_int_equal(a->utc, b->utc);
    assert_int_equal(a->shift, b->shift);
    assert_int_equal(a->sound, b->sound);
    assert_int_equal(a->sound_end, b->sound_end);
    assert_int_equal(a->headers, b->headers);
    assert_int_equal(a->breaks, b->breaks);
    assert_int_equal(a->anew, b->anew);
}


static void test_live_written(void **state)
{
    char        text[REC_LIVE_MAX + 1];
    rec_live_t  longest = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, INT64_MIN,
                            INT64_MIN, INT64_MIN, INT64_MIN, UINT32_MAX, UINT32_MAX, 1 };

    (void) state;

    assert_int_equal(rec_index_live(text, &live), sizeof(live_line) - 1);
    assert_string_equal(text, live_line);
    assert_in_range(rec_index_live(text, &longest), 1, REC_LIVE_MAX - 1);
}


/* Lines of live segments may stand anywhere, and who reads the index's own segments
 * does not see them. */
static void test_live_read(void **state)
{
    char           text[8192];
    size_t         i, n, head_size = (size_t) (strstr(sample, "#EXTINF") - sample);
    rec_live_t     found;
    const char    *p;
    rec_reader_t   r;
    rec_segment_t  s;

    (void) state;

    memcpy(text, sample, head_size);
    n = head_size;
    for (i = 0; i < SEGMENTS; i++) {
        n += rec_index_live(text + n, &live);
        n += rec_index_segment(text + n, &segments[i], FILE_NAME);
    }

    assert_int_equal(rec_index_open(&r, text, n), 0);
    for (i = 0; i < SEGMENTS; i++) {
        assert_int_equal(rec_index_next(&r, &s), 1);
        same_segment(&s, &segments[i]);
    }
    assert_int_equal(rec_index_next(&r, &s), 0);

    p = text + 3;                            /* within a line */
    for (i = 0; i < SEGMENTS; i++) {
        assert_int_equal(rec_index_next_live(&p, text + n, &found), 1);
        same_live(&found, &live);
    }
    assert_int_equal(rec_index_next_live(&p, text + n, &found), 0);
}


static void test_live_wrong(void **state)
{
    char         text[REC_LIVE_MAX + 8];
    size_t       i, n = sizeof(live_line) - 1;
    rec_live_t   found;
    const char  *p;

    (void) state;

    for (i = 0; i < n; i++) {                /* torn anywhere */
        p = live_line;
        assert_int_equal(rec_index_next_live(&p, live_line + i, &found), 0);
        p = live_line;
        assert_int_equal(rec_index_at_live(&p, live_line + i, &found), 0);
        assert_ptr_equal(p, live_line);
    }

    for (i = 0; i < n - 1; i++) {            /* any byte is another one */
        memcpy(text, live_line, n);
        text[i] = '~';
        p = text;
        assert_int_equal(rec_index_next_live(&p, text + n, &found), 0);
        p = text;
        assert_int_equal(rec_index_at_live(&p, text + n, &found), 0);
    }

    /* with a zero in front, a reader takes it, but it is not the writer's */
    (void) snprintf(text, sizeof(text), "%.*s0%s", 25, live_line, live_line + 25);
    p = text;
    assert_int_equal(rec_index_at_live(&p, text + n + 1, &found), 0);
    assert_int_equal(rec_index_next_live(&p, text + n + 1, &found), 1);
    same_live(&found, &live);

    p = live_line;
    assert_int_equal(rec_index_at_live(&p, live_line + n, &found), 1);
    assert_ptr_equal(p, live_line + n);
    same_live(&found, &live);
}


static void test_read(void **state)
{
    size_t         i;
    rec_reader_t   r;
    rec_segment_t  s;

    (void) state;

    assert_int_equal(rec_index_open(&r, sample, sizeof(sample) - 1), 0);
    assert_string_equal(r.head.stream, "live/demo");
    assert_int_equal(r.head.session, 1795403212345);
    assert_int_equal(r.head.init_size, 812);
    assert_int_equal(r.head.utc, START);

    for (i = 0; i < SEGMENTS; i++) {
        assert_int_equal(rec_index_next(&r, &s), 1);
        same_segment(&s, &segments[i]);
        assert_int_equal(r.ended, 0);
    }

    assert_int_equal(rec_index_next(&r, &s), 0);
    assert_int_equal(r.ended, 1);
    assert_int_equal(r.interrupted, 1);
    assert_ptr_equal(r.whole, sample + sizeof(sample) - 1);
    assert_int_equal(rec_index_next(&r, &s), 0);
}


/* Reads the first LAST bytes of the sample, and checks the segments found. */
static void read_cut(size_t last, size_t head_size)
{
    char          *copy = malloc(last ? last : 1);
    size_t         n = 0;
    rec_reader_t   r;
    rec_segment_t  s;

    assert_non_null(copy);
    memcpy(copy, sample, last);

    if (rec_index_open(&r, copy, last) != 0) {
        assert_true(last < head_size);
        free(copy);
        return;
    }

    assert_true(last >= head_size);

    while (rec_index_next(&r, &s) == 1) {
        same_segment(&s, &segments[n++]);
        assert_ptr_equal(r.whole, r.p);
    }

    /* a recovery cuts the file to `whole` and the recorder appends there */
    assert_true(r.whole <= copy + last);
    assert_true(r.whole == copy || r.whole[-1] == '\n');
    assert_int_equal(r.ended, last == sizeof(sample) - 1);
    assert_true(strncmp(sample + (r.whole - copy), "#EXTINF", 7) == 0
                || sample[r.whole - copy] != '1');

    free(copy);
}


static void test_cut_at_every_byte(void **state)
{
    size_t  last, head_size = (size_t) (strstr(sample, "#EXTINF") - sample);

    (void) state;

    for (last = 0; last < sizeof(sample); last++) {
        read_cut(last, head_size);
    }
}


/* A writer appends to an index that was cut to `whole`.  The result reads as if it had
 * never been cut, except that a tag may occur twice. */
static void test_goes_on_after_a_cut(void **state)
{
    char           text[8192];
    size_t         last, n, k, head_size = (size_t) (strstr(sample, "#EXTINF") - sample);
    rec_reader_t   r;
    rec_segment_t  s;

    (void) state;

    for (last = head_size; last < sizeof(sample) - 41; last++) {
        assert_int_equal(rec_index_open(&r, sample, last), 0);
        for (k = 0; rec_index_next(&r, &s) == 1; k++) { /* void */ }

        n = (size_t) (r.whole - sample);
        memcpy(text, sample, n);
        while (k < SEGMENTS) {
            n += rec_index_segment(text + n, &segments[k++], FILE_NAME);
        }
        n += rec_index_end(text + n, 0);

        assert_int_equal(rec_index_open(&r, text, n), 0);
        for (k = 0; rec_index_next(&r, &s) == 1; k++) {
            same_segment(&s, &segments[k]);
        }
        assert_int_equal(k, SEGMENTS);
        assert_int_equal(r.ended, 1);
        assert_int_equal(r.interrupted, 0);
    }
}


static void test_unknown_tags(void **state)
{
    char           text[4096];
    int            n;
    rec_reader_t   r;
    rec_segment_t  s;

    (void) state;

    n = snprintf(text, sizeof(text), "%.*s#EXT-X-NEW:1\n\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n"
                 "# a comment\n#EXTINF:1.000,\n#EXT-X-OTHER\n#EXT-X-BYTERANGE:5@812\nx.mp4\n",
                 (int) (strstr(sample, "#EXTINF") - sample), sample);

    assert_int_equal(rec_index_open(&r, text, (size_t) n), 0);
    assert_int_equal(rec_index_next(&r, &s), 1);
    same_segment(&s, &(rec_segment_t) { START, 1000, 812, 5, 0, 0 });
    assert_int_equal(rec_index_next(&r, &s), 0);
}


/* OPEN or NEXT is the result of the first call that differs from the sample's. */
static void test_wrong(void **state)
{
    static const struct {
        const char  *from, *to;
        int          open, next;
    }  cases[] = {
        { "#EXTM3U\n", "#EXTM3U8\n", -1, 0 },
        { "#EXTM3U\n", "", -1, 0 },
        { "STREAM=\"live/demo\"", "STREAM=\"\"", -1, 0 },
        { "STREAM=\"live/demo\"", "STREAM=\"live/demo", -1, 0 },
        { "SESSION=1795403212345", "SESSION=", -1, 0 },
        { "SESSION=1795403212345", "SESSION=99999999999999999999", -1, 0 },
        { "SESSION=1795403212345", "SESSION=1795403212345x", -1, 0 },
        { "#EXT-X-DUOLU-RECORDING:", "#EXT-X-OTHER:", -1, 0 },
        { "BYTERANGE=\"812@0\"", "BYTERANGE=\"0@0\"", -1, 0 },
        { "BYTERANGE=\"812@0\"", "BYTERANGE=\"812@1\"", -1, 0 },
        { "BYTERANGE=\"812@0\"", "BYTERANGE=\"812\"", -1, 0 },
        { "#EXT-X-MAP:", "#EXT-X-OTHER:", -1, 0 },
        { "14:00:00.123Z\n", "14:00:00.123\n", -1, 0 },
        { "#EXT-X-VERSION:7\n", "x.mp4\n", -1, 0 },
        { "#EXTINF:2.000,", "#EXTINF:2,", 0, -1 },
        { "#EXTINF:2.000,", "#EXTINF:2.0,", 0, -1 },
        { "#EXTINF:2.000,", "#EXTINF:-2.000,", 0, -1 },
        { "#EXTINF:2.000,", "#EXTINF:2.000", 0, -1 },
        { "#EXTINF:2.000,", "#EXTINF:86401.000,", 0, -1 },
        { "#EXTINF:2.000,\n", "", 0, -1 },
        { "#EXTINF:2.000,\n", "#EXTINF:2.000,\n#EXTINF:2.000,\n", 0, -1 },
        { "#EXT-X-BYTERANGE:250000@812", "#EXT-X-BYTERANGE:250000", 0, -1 },
        { "#EXT-X-BYTERANGE:250000@812", "#EXT-X-BYTERANGE:0@812", 0, -1 },
        { "#EXT-X-BYTERANGE:250000@812", "#EXT-X-BYTERANGE:250000@812 ", 0, -1 },
        { "#EXT-X-BYTERANGE:250000@812", "#EXT-X-BYTERANGE:9999999999999999999@812", 0, -1 },
        { "#EXT-X-BYTERANGE:250000@812\n", "", 0, -1 },
        { "#EXTINF:2.000,", "#EXT-X-PROGRAM-DATE-TIME:soon\n#EXTINF:2.000,", 0, -1 },
    };

    char           text[4096], *at, *copy;
    size_t         i, n;
    rec_reader_t   r;
    rec_segment_t  s;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        at = strstr(sample, cases[i].from);
        assert_non_null(at);
        n = (size_t) snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - sample), sample,
                              cases[i].to, at + strlen(cases[i].from));
        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, text, n);

        if (rec_index_open(&r, copy, n) != cases[i].open
            || (cases[i].open == 0 && rec_index_next(&r, &s) != cases[i].next))
        {
            fail_msg("%s: not refused", cases[i].to);
        }
        free(copy);
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_live_written),
        cmocka_unit_test(test_live_read),
        cmocka_unit_test(test_live_wrong),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_goes_on_after_a_cut),
        cmocka_unit_test(test_unknown_tags),
        cmocka_unit_test(test_wrong),
    };

    return cmocka_run_group_tests_name("media_rec_index", tests, NULL, NULL);
}
