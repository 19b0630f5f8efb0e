/*
 * HLS playlists in full (cases/hls/NAME.m3u8), and requests that wait for the next one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hls_rig.h"

#define LIST_MAX  65536


/* --- comparison --- */

static void check_text(const char *name, text_t *t)
{
    char          path[512] = __FILE__, want[LIST_MAX];
    FILE         *file;
    size_t        n;
    const char   *text = text_of(t);

    snprintf(strrchr(path, '/'), 128, "/cases/hls/%s.m3u8", name);
    file = fopen(path, "r");
    n = file ? fread(want, 1, sizeof(want) - 1, file) : 0;
    want[n] = '\0';

    if (file) {
        fclose(file);
    }

    if (strcmp(text, want) != 0) {
        fail_msg("%s is another list:\n%s", path, text);
    }
    text_free(t);
}


static void check(const char *name, enum hls_form form)
{
    text_t  t = { 0 };

    hls_playlist_write(&t, hub_list(), form);
    check_text(name, &t);
}


/* Does the list have LINE? */
static int has_line(enum hls_form form, const char *line)
{
    int      found;
    char     whole[256];
    text_t   t = { 0 };

    hls_playlist_write(&t, hub_list(), form);
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    found = strstr(text_of(&t), whole) != NULL;
    text_free(&t);

    return found;
}


static void expect(enum hls_verdict want, int64_t msn, int64_t part)
{
    char         why[HLS_WHY_MAX];
    hls_query_t  q = { .has_msn = msn != -1, .has_part = part != -1 };

    q.msn = msn == -1 ? 0 : (uint64_t) msn;
    q.part = part == -1 ? 0 : (uint64_t) part;

    if (hls_playlist_ready(&st, &q, why) != want) {
        fail_msg("_HLS_msn=%lld, _HLS_part=%lld: not %d: %s", (long long) msn,
                 (long long) part, want, why);
    }
    assert_int_equal(why[0] != '\0', want == HLS_REFUSED);
}


/* --- the media playlist --- */

static void test_start(void **state)
{
    (void) state;

    new_stream(2, 500);
    (void) begin_segment();
    add_parts(2, 500);
    check("start", HLS_FULL);
}


static void test_steady(void **state)
{
    (void) state;

    new_stream(2, 500);
    add_segments(5, 4, 500);
    check("segment-just-ended", HLS_FULL);

    add_parts(1, 480);
    check("steady", HLS_FULL);
}


/* A GOP that is longer than a segment. */
static void test_long_gop(void **state)
{
    (void) state;

    new_stream(3, 1000);
    (void) begin_segment();
    add_parts(3, 1000);
    begin_segment()->key = 0;
    add_parts(2, 1000);
    add_part(900, 1);                        /* a key frame that came too early to cut */
    (void) begin_segment();
    add_parts(1, 1000);
    check("long-gop", HLS_FULL);
}


/* Pictures without sound that are slower than parts, from the first one on. */
static void test_no_parts(void **state)
{
    (void) state;

    new_stream(2, 334);
    st.parts = HUB_PARTS_UNKNOWN;
    add_segments(3, 2, 1000);
    add_parts(1, 1000);
    expect(HLS_WAIT, -1, -1);                /* the head of the list is not known */
    expect(HLS_WAIT, FIRST, 0);

    st.parts = HUB_PARTS_NONE;
    check("no-parts", HLS_FULL);
    expect(HLS_READY, -1, -1);
    expect(HLS_READY, FIRST + 2, 0);
    expect(HLS_WAIT, FIRST + 3, -1);
    expect(HLS_WAIT, FIRST + 3, 0);          /* it exists, but a list does not name it */
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 1), HLS_REFUSED);
}


/* They become so slow, and quick again. */
static void test_no_parts_for_a_while(void **state)
{
    (void) state;

    new_stream(2, 1000);
    add_segments(2, 2, 1000);
    segment(st.end - 1)->record.whole = 1;
    add_parts(1, 1000);
    check("slow", HLS_FULL);
    expect(HLS_WAIT, FIRST + 2, 0);
    assert_int_equal(hls_part_ready(&st, FIRST + 2, 1), HLS_REFUSED);

    add_part(1000, 0);
    (void) begin_segment();
    add_parts(1, 1000);
    check("slow-before", HLS_FULL);
    expect(HLS_READY, FIRST + 3, 0);
    expect(HLS_WAIT, FIRST + 3, 1);
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 1), HLS_WAIT);
}


static void test_headers(void **state)
{
    hub_segment_t  *r;

    (void) state;

    new_stream(2, 1000);
    add_segments(1, 2, 1000);
    add_parts(1, 700);
    r = begin_segment();
    r->anew = 1;
    r->init = 1;
    add_segments(1, 2, 1000);
    add_parts(1, 1000);
    check("headers", HLS_FULL);
}


static void test_hole(void **state)
{
    (void) state;

    new_stream(2, 1000);
    add_segments(1, 2, 1000);
    segment(st.end - 1)->record.utc += 17500;    /* 17.5 s of frames are missing */
    add_segments(1, 2, 1000);
    check("hole", HLS_FULL);
}


static void test_ended(void **state)
{
    (void) state;

    new_stream(2, 1000);
    add_segments(2, 2, 1000);
    add_parts(1, 340);
    end_stream();
    check("ended", HLS_FULL);

    new_stream(2, 1000);
    add_segments(2, 2, 1000);
    end_stream();
    check("ended-with-segment", HLS_FULL);
}


static void test_delta(void **state)
{
    hls_query_t  q = { .skip = 1 }, plain = { 0 };

    (void) state;

    new_stream(2, 1000);
    add_segments(6, 2, 1000);
    assert_int_equal(hls_playlist_form(hub_list(), &q), HLS_FULL);      /* nothing to skip */

    add_segments(2, 2, 1000);
    segment(FIRST + 7)->record.anew = 1;
    segment(FIRST + 7)->record.init = segment(FIRST + 8)->record.init = 1;
    add_parts(1, 1000);
    assert_int_equal(hls_playlist_form(hub_list(), &plain), HLS_FULL);
    assert_int_equal(hls_playlist_form(hub_list(), &q), HLS_DELTA);
    check("full", HLS_FULL);
    check("delta", HLS_DELTA);

    end_stream();
    assert_int_equal(hls_playlist_form(hub_list(), &q), HLS_FULL);
}


/* Each delta update continues the part of the full list that it skips. */
static void test_delta_continues(void **state)
{
    int          i, deltas = 0;
    text_t       full = { 0 }, delta = { 0 };
    uint64_t     n, skipped;
    const char  *f, *d;
    hls_query_t  q = { .skip = 1 };

    (void) state;

    new_stream(2, 400);
    add_segments(1, 4, 400);

    for (i = 0; i < 300; i++) {
        if (i % 7 == 6) {
            (void) begin_segment();
            segment(st.end - 1)->record.key = i % 2;
            st.first += st.end - st.first > 20;
            st.oldest = st.first;
        }
        add_parts(1, 300 + (uint32_t) (i * 37 % 100));

        if (hls_playlist_form(hub_list(), &q) == HLS_FULL) {
            continue;
        }

        deltas++;
        memset(&full, 0, sizeof(full));
        memset(&delta, 0, sizeof(delta));
        hls_playlist_write(&full, hub_list(), HLS_FULL);
        hls_playlist_write(&delta, hub_list(), HLS_DELTA);
        f = text_of(&full);
        d = strstr(text_of(&delta), "#EXT-X-SKIP:SKIPPED-SEGMENTS=");
        assert_non_null(d);
        skipped = strtoull(strchr(d, '=') + 1, NULL, 10);
        assert_true(skipped > 0);
        d = strchr(d, '\n') + 1;

        for (n = 0; n < skipped; n++) {
            f = strstr(f, "#EXTINF:");
            f = strchr(strchr(f, '\n') + 1, '\n') + 1;
        }
        assert_string_equal(f, d);
        text_free(&full);
        text_free(&delta);
    }
    assert_true(deltas > 50);
}


/* The rows of the segments [FROM, st.first), as the recorder describes them. */
static hls_past_t record(uint64_t from)
{
    uint64_t              n;
    hls_row_t            *row;
    const hub_segment_t  *r;

    static hls_row_t      rows[HUB_SEGMENTS];
    hls_past_t            past = { .first = from, .rows = rows };

    for (n = from; n < st.first; n++) {
        r = &segment(n)->record;
        row = &rows[past.n++];
        memset(row, 0, sizeof(hls_row_t));
        row->ms = segment(n)->ms;
        row->utc = r->utc;
        row->headers = r->init;
        row->breaks = r->breaks;
        row->anew = r->anew & 1;
    }

    return past;
}


/* The lists of windows are what the hub would write if it still had their segments: with
 * other headers and holes anywhere, and the border between hub and recording anywhere: also
 * before the hub's list, where rows come late. */
static void test_window(void **state)
{
    int           i, kind, deltas = 0;
    text_t        whole = { 0 }, joined = { 0 };
    uint64_t      border;
    hls_past_t    past;
    hls_list_t    list = { &st, &past, FIRST, FIRST };
    hls_query_t   q = { .skip = 1 };

    (void) state;

    new_stream(2, 1000);

    for (i = 0; i < 20; i++) {
        add_segments(1, 2, 1000);
        segment(st.end - 1)->record.anew = i % 5 == 3;
        segment(st.end - 1)->record.init += i % 5 == 3;
        segment(st.end - 1)->record.utc += i % 7 == 2 ? 17500 : 0;
    }

    add_parts(1, 500);

    for (border = FIRST; border < st.end - 4; border++) {     /* older ones have no parts */

        for (kind = HLS_FULL; kind <= HLS_DELTA; kind++) {
            st.first = FIRST;
            hls_playlist_write(&whole, hub_list(), kind);
            st.first = border;
            past = record(FIRST);

            for (list.hub = FIRST; list.hub <= border; list.hub++) {
                past.n = list.hub - FIRST;
                assert_int_equal(hls_playlist_form(&list, &q), HLS_DELTA);
                hls_playlist_write(&joined, &list, kind);
                deltas += strstr(text_of(&joined), "#EXT-X-SKIP:SKIPPED-SEGMENTS=") != NULL;
                assert_string_equal(text_of(&joined), text_of(&whole));
                text_free(&joined);
            }

            text_free(&whole);
        }
    }

    assert_true(deltas > 10);

    /* a list that begins within the rows */
    list.from = FIRST + 4;
    st.first = FIRST + 4;
    hls_playlist_write(&whole, hub_list(), HLS_FULL);
    st.first = list.hub = FIRST + 9;
    past = record(FIRST);
    hls_playlist_write(&joined, &list, HLS_FULL);
    assert_string_equal(text_of(&joined), text_of(&whole));
    text_free(&whole);
    text_free(&joined);

    end_stream();
    assert_int_equal(hls_playlist_form(&list, &q), HLS_FULL);
}


/* Numbers stay with their segments when older segments leave the list. */
static void test_removal(void **state)
{
    int       i;
    char      line[64];
    uint32_t  breaks;

    (void) state;

    new_stream(2, 1000);

    for (i = 0; i < 100; i++) {
        add_segments(1, 2, 1000);
        segment(st.end - 1)->record.anew = i % 3 == 2;

        if (st.end - st.first > 5) {
            st.first++;
        }
        st.oldest = st.first;

        snprintf(line, sizeof(line), "#EXT-X-MEDIA-SEQUENCE:%llu",
                 (unsigned long long) st.first);
        assert_true(has_line(HLS_FULL, line));

        /* the segments 3, 6, 9 ... of the stream have EXT-X-DISCONTINUITY; that of
         * the first one listed is in the list, so it does not count */
        breaks = st.first > FIRST ? (uint32_t) (st.first - FIRST - 1) / 3 : 0;
        snprintf(line, sizeof(line), "#EXT-X-DISCONTINUITY-SEQUENCE:%u", FIRST + breaks);
        assert_true(has_line(HLS_FULL, line));
    }
}


/* --- the multivariant playlist --- */

static void test_index(void **state)
{
    int              i;
    uint64_t         n;
    char             want[64];
    text_t           t = { 0 };
    hls_rendition_t  r = { "avc1.64001f,mp4a.40.2", 1280, 720, 29912, 1500 };

    static const struct {
        uint32_t     milli;
        const char  *rate;
    }  rates[] = {
        { 1, "1.000" }, { 400, "1.000" }, { 9960, "10.000" }, { 15020, "15.000" },
        { 23970, "23.976" }, { 23999, "24.000" }, { 25100, "25.000" }, { 27300, "27.000" },
        { 29940, "29.970" }, { 30250, "30.000" }, { 59960, "59.940" }, { 60100, "60.000" },
        { 143900, "144.000" },
    };

    (void) state;

    new_stream(2, 1000);
    (void) begin_segment();
    add_parts(1, 1000);
    hls_playlist_index(&t, &st, &r, 0);
    check_text("index-start", &t);

    add_parts(1, 1000);
    (void) begin_segment();
    add_parts(2, 1000);
    begin_segment()->bytes += 200 * 1000;    /* a segment of 1.8 Mbps */
    add_segments(2, 2, 1000);
    hls_playlist_index(&t, &st, &r, 0);
    check_text("index", &t);

    r.codecs = "mp4a.40.2";
    r.width = r.height = r.fps_milli = 0;
    hls_playlist_index(&t, &st, &r, 0);
    check_text("index-sound", &t);

    r.codecs = NULL;
    r.width = 16;
    r.height = 9;

    for (i = 0; i < (int) (sizeof(rates) / sizeof(rates[0])); i++) {
        r.fps_milli = rates[i].milli;
        snprintf(want, sizeof(want), ",RESOLUTION=16x9,FRAME-RATE=%s\n", rates[i].rate);
        hls_playlist_index(&t, &st, &r, 0);
        if (strstr(text_of(&t), want) == NULL) {
            fail_msg("%u: %s", rates[i].milli, t.start);
        }
        text_free(&t);
    }

    /* bursts on the way do not change the rate: pictures of segments tell it */
    for (n = st.first; n < st.end; n++) {
        st.segments[n % HUB_SEGMENTS].pictures = st.segments[n % HUB_SEGMENTS].ms * 3 / 100;
    }

    r.fps_milli = 33000;
    hls_playlist_index(&t, &st, &r, 0);
    assert_non_null(strstr(text_of(&t), ",FRAME-RATE=30.000\n"));
    text_free(&t);

    hls_playlist_index(&t, &st, &r, 3600);
    assert_non_null(strstr(text_of(&t), "\nlive.m3u8?window=3600\n"));
    text_free(&t);
}


/* --- requests that wait --- */

static void test_waiting(void **state)
{
    enum { LAST = FIRST + 1, GROWS = FIRST + 2 };

    (void) state;

    new_stream(2, 333);
    expect(HLS_WAIT, -1, -1);
    expect(HLS_WAIT, 7, 7);

    (void) begin_segment();
    add_parts(3, 333);
    expect(HLS_WAIT, -1, -1);                /* plain players need a segment */
    expect(HLS_READY, FIRST, 2);
    expect(HLS_WAIT, FIRST, 3);
    expect(HLS_WAIT, FIRST, -1);
    expect(HLS_WAIT, FIRST + 1, -1);
    expect(HLS_REFUSED, FIRST + 2, -1);

    new_stream(2, 333);
    add_segments(2, 6, 333);
    expect(HLS_READY, -1, -1);
    expect(HLS_READY, LAST, -1);
    expect(HLS_READY, LAST, 5);
    expect(HLS_WAIT, LAST, 6);               /* the same as part 0 of the next one */
    expect(HLS_WAIT, LAST, 14);
    expect(HLS_REFUSED, LAST, 15);           /* or one list would have endless names */
    expect(HLS_REFUSED, LAST, INT64_MAX);
    expect(HLS_READY, LAST - 1, 6);
    expect(HLS_READY, LAST - 1, 14);
    expect(HLS_REFUSED, LAST - 1, 15);
    expect(HLS_WAIT, GROWS, 0);
    expect(HLS_WAIT, GROWS, 8);
    expect(HLS_REFUSED, GROWS, 9);           /* 3 / 0.333 parts behind the last one */
    add_parts(2, 333);
    expect(HLS_READY, LAST, 6);
    expect(HLS_READY, GROWS, 1);
    expect(HLS_WAIT, GROWS, 2);
    expect(HLS_WAIT, GROWS, 10);
    expect(HLS_REFUSED, GROWS, 11);
    expect(HLS_REFUSED, GROWS, INT64_MAX);
    expect(HLS_WAIT, GROWS, -1);
    expect(HLS_WAIT, LAST + 2, -1);
    expect(HLS_WAIT, LAST + 2, 0);
    expect(HLS_REFUSED, LAST + 2, 9);
    expect(HLS_REFUSED, LAST + 3, -1);
    expect(HLS_REFUSED, LAST + 3, 0);
    expect(HLS_REFUSED, INT64_MAX, INT64_MAX);
    expect(HLS_READY, 0, 0);                 /* gone long ago: the present list */
    expect(HLS_READY, 0, INT64_MAX);

    st.first = st.oldest = FIRST + 1;
    expect(HLS_READY, FIRST, 0);
    expect(HLS_READY, FIRST, INT64_MAX);

    st.part_ms = 1500;
    expect(HLS_WAIT, GROWS, 4);
    expect(HLS_REFUSED, GROWS, 5);

    end_stream();
    expect(HLS_READY, INT64_MAX, INT64_MAX);
    expect(HLS_READY, -1, -1);
}


static void test_reason(void **state)
{
    char         why[HLS_WHY_MAX];
    hls_query_t  q = { .has_msn = 1, .msn = FIRST + 9 };

    (void) state;

    new_stream(2, 333);
    add_segments(2, 6, 333);
    assert_int_equal(hls_playlist_ready(&st, &q, why), HLS_REFUSED);
    assert_string_equal(why, "_HLS_msn is 95442409, expected at most 95442403 now");

    q.msn = FIRST + 2;
    q.has_part = 1;
    q.part = 99;
    assert_int_equal(hls_playlist_ready(&st, &q, why), HLS_REFUSED);
    assert_string_equal(why, "_HLS_part is 99, expected at most 8 for segment 95442402 now");
}


/* Whatever was to wait is answered sooner or later, and never refused later. */
static void test_waiting_ends(void **state)
{
    int               i, turn;
    char              why[HLS_WHY_MAX];
    hls_query_t       q = { .has_msn = 1, .has_part = 1 };
    enum hls_verdict  v;

    (void) state;

    for (i = 0; i < 4 * 12; i++) {
        new_stream(2, 500);
        add_segments(3, 4, 500);
        q.msn = FIRST + 2 + (uint64_t) i / 12;
        q.part = (uint64_t) i % 12;
        v = hls_playlist_ready(&st, &q, why);

        for (turn = 0; v == HLS_WAIT; turn++) {
            assert_true(turn < 16);
            if (turn % 4 == 3) {
                (void) begin_segment();
            }
            add_parts(1, 500);
            v = hls_playlist_ready(&st, &q, why);
            assert_int_not_equal(v, HLS_REFUSED);
        }
    }
}


static void test_parts(void **state)
{
    (void) state;

    new_stream(2, 500);
    assert_int_equal(hls_part_ready(&st, FIRST, 0), HLS_REFUSED);
    add_segments(3, 4, 500);
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 0), HLS_WAIT);
    add_parts(1, 500);

    assert_int_equal(hls_part_ready(&st, FIRST + 3, 0), HLS_READY);
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 1), HLS_WAIT);
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 2), HLS_REFUSED);
    assert_int_equal(hls_part_ready(&st, FIRST + 4, 0), HLS_REFUSED);
    assert_int_equal(hls_part_ready(&st, FIRST + 2, 3), HLS_READY);
    assert_int_equal(hls_part_ready(&st, FIRST + 2, 4), HLS_REFUSED);

    st.first = FIRST + 2;                    /* still served, but not listed */
    st.oldest = FIRST + 1;
    assert_int_equal(hls_part_ready(&st, FIRST + 1, 3), HLS_READY);
    assert_int_equal(hls_part_ready(&st, FIRST, 3), HLS_REFUSED);

    end_stream();
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 0), HLS_READY);
    assert_int_equal(hls_part_ready(&st, FIRST + 3, 1), HLS_REFUSED);
    assert_int_equal(hls_part_ready(&st, FIRST + 4, 0), HLS_REFUSED);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_long_gop),
        cmocka_unit_test(test_no_parts),
        cmocka_unit_test(test_no_parts_for_a_while),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_hole),
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_delta),
        cmocka_unit_test(test_delta_continues),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_removal),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_waiting_ends),
        cmocka_unit_test(test_parts),
    };

    return cmocka_run_group_tests_name("http_hls_playlist", tests, NULL, NULL);
}
