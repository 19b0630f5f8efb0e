/* A clip of any fragments: its head fits into its buffer, both passes agree, and
 * nothing writes outside.
 *
 * Input: a list of records of 12 bytes, see feed(). */

#include <assert.h>
#include <stdlib.h>

#include "movie.h"

#define RECORD  12
#define MAX     8


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t number(const uint8_t *p, unsigned n)
{
    uint32_t  v = 0;

    while (n--) {
        v = v << 8 | *p++;
    }
    return v;
}

/* kind, count, size, key bits, 4 bytes of time, 2 of cts, duration */
static int feed(movie_t *m, const uint8_t *p, size_t size)
{
    int             kind;
    uint32_t        i;
    mp4_track_t     tracks[2] = { { 0 } };
    mp4_sample_t    sample[2][MAX];
    mp4_fragment_t  f;

    for (; size >= RECORD; p += RECORD, size -= RECORD) {
        f = (mp4_fragment_t) { 0 };

        if (p[0] & 0x80) {
            tracks[0] = (mp4_track_t) { p[0] & 1 ? FLV_CODEC_H264 : FLV_CODEC_NONE, p + 4, 3,
                                        1000, p[2], p[3], 0 };
            tracks[1] = (mp4_track_t) { p[0] & 2 ? FLV_CODEC_AAC : FLV_CODEC_NONE, p + 4, 2,
                                        number(p + 8, 4), 0, 0, 2 };
            if (movie_file(m, tracks) != 0) {
                return -1;
            }
            movie_join(m, (int8_t) p[1]);
            continue;
        }

        if (p[0] & 0x40) {
            movie_join(m, p[1]);
        }

        for (kind = 0; kind < 2; kind++) {
            f.runs[kind].dts = (uint64_t) number(p + 4, 4) << (p[0] & 4 ? 12 : 0);
            f.runs[kind].samples = sample[kind];
            f.runs[kind].n = (p[1] >> (4 * kind)) % MAX;

            for (i = 0; i < f.runs[kind].n; i++) {
                sample[kind][i] = (mp4_sample_t) {
                    p[2], number(p + 10, 2) << (p[0] & 8 ? 16 : 0),
                    kind ? 0 : (int16_t) number(p + 8, 2), p[3] >> i & 1
                };
            }
        }

        movie_fragment(m, &f, number(p + 4, 4));
    }

    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    max, head;
    uint8_t  *out;
    movie_t  *m = malloc(sizeof(movie_t));

    movie_init(m);

    if (feed(m, data, size) == 0 && movie_end(m) == 0) {
        max = movie_max(m);
        out = malloc(max);
        head = movie_begin(m, out, size & 1 ? (uint64_t) 1 << 33 : 12345);
        assert(head > 0 && head <= max);
        assert(feed(m, data, size) == 0);
        assert(movie_end(m) == 0);
        free(out);
    }

    free(m);

    return 0;
}
