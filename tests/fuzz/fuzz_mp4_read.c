/* mp4_read_init() and mp4_read_fragment(): accepted boxes lie in the input and
 * their sizes add up; the parsers refuse the same boxes with the end cut off. */

#include <assert.h>

#include "mp4_read.h"

#define SAMPLES  64


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_init(const uint8_t *data, size_t size)
{
    int                 i;
    mp4_init_t          init, again;
    const mp4_track_t  *track;

    if (mp4_read_init(data, size, &init) != 0) {
        return;
    }

    assert(init.size <= size && init.duration_at + 8 <= init.size);
    assert(mp4_read_init(data, init.size, &again) == 0);
    assert(mp4_read_init(data, init.size - 1, &again) == 1);

    for (i = 0; i < 2; i++) {
        track = &init.tracks[i];

        if (track->codec != FLV_CODEC_NONE) {
            assert(track->timescale > 0 && track->config_size > 0);
            assert(track->config > data
                   && track->config + track->config_size <= data + init.size);
        }
    }
}

static void read_fragment(const uint8_t *data, size_t size)
{
    uint32_t         i, n = 0;
    uint64_t         all = 0;
    mp4_sample_t     sample[SAMPLES];
    mp4_fragment_t   fragment, again;
    const mp4_run_t *run;

    if (mp4_read_fragment(data, size, &fragment, sample, SAMPLES) != 0) {
        return;
    }

    for (run = fragment.runs; run < fragment.runs + 2; run++) {
        for (i = 0; i < run->n; i++) {
            assert(run->samples + i == sample + n);
            all += run->samples[i].size;
            n++;
        }
    }

    assert(n <= SAMPLES && all == fragment.data);
    assert(mp4_read_fragment(data, size - 1, &again, sample, SAMPLES) == -1);
    assert(n == 0 || mp4_read_fragment(data, size, &again, sample, n - 1) == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int        rc;
    mp4_box_t  box;

    rc = mp4_read_box(data, size, &box);
    assert(rc == 0 || rc == -1 || rc == 1);
    assert(rc != 0 || (box.size >= box.head && box.head <= size));

    read_init(data, size);
    read_fragment(data, size);

    return 0;
}
