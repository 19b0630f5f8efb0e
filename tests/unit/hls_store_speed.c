/* Prints how fast the store of HLS makes parts, and what a tick costs; not sanitized. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "hls_store_rig.h"


static double
cpu_s(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


/* Prints how fast the parts of pictures of SIZE bytes are made. */
static void
measure(size_t size)
{
    int            i, round;
    double         began, bytes = 0, took;
    uint64_t       n, before = h->header->hls_parts, made;
    uint32_t       part;
    hls_bytes_t   *one;
    hls_stream_t  *st;
    static u_char  body[5 + 40000] = { 0x27, 1 };
    static int64_t ts;

    for (i = 0; i < 600; i++, ts += PICTURE) {   /* 24 s */
        body[0] = i % 50 ? 0x27 : 0x17;
        append(FLV_VIDEO, i % 50 == 0, 0, ts, body, 5 + size);
        sound(ts);
        sound(ts + 20);
    }

    st = opened();
    hls_bytes_limit(1 << 20);                    /* so that they are made again */

    for (began = cpu_s(), round = 0; round < 50; round++) {
        for (n = st->first; n < st->end; n++) {
            for (part = 0; part < hls_segment(st, n)->nparts; part++) {
                assert_int_equal(hls_store_part(st, n, part, &one), NGX_OK);
                bytes += (double) one->size;
                hls_bytes_give(one);
            }
        }
    }

    took = cpu_s() - began;
    made = h->header->hls_parts - before;
    assert_true(made > 1000);
    print_message("# %zu kbps: %.1f GB/s of media, %.1f us a part of %.0f KB\n",
                  size * 8 / PICTURE, bytes / took / 1e9, took * 1e6 / (double) made,
                  bytes / (double) made / 1000);
}


/* ... and what a tick without news costs. */
static void
test_the_packagers_speed(void **state)
{
    int            i;
    double         began;
    hls_stream_t  *st;

    measure(5000);
    measure(20000);

    st = opened();

    for (began = cpu_s(), i = 0; i < 1000000; i++) {
        assert_true(hls_store_read(st) == NGX_AGAIN);
    }

    print_message("# a tick without news: %.0f ns\n", (cpu_s() - began) * 1e3);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        store_test(test_the_packagers_speed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
