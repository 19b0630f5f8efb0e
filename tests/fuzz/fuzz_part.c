/* part.c: whatever frames a part gets, it fits, mp4_read.c reads the head, and no part
 * begins before the end of the last one. */

#include <assert.h>
#include <string.h>

#include "mp4_read.h"
#include "part.h"

#define STEP  6                  /* bytes of input for a frame */

static part_t        p;
static mp4_sample_t  samples[PART_FRAMES];
static uint64_t      ends[2];


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_run(const mp4_run_t *run, uint64_t *run_end, int video)
{
    uint32_t  i;

    if (run->n == 0) {
        return;
    }

    assert(run->dts >= *run_end);
    *run_end = run->dts;

    for (i = 0; i < run->n; i++) {
        assert(run->samples[i].duration > 0);
        *run_end += run->samples[i].duration;
    }

    if (video) {                         /* its last picture's end may be a guess */
        *run_end -= run->samples[run->n - 1].duration;
        (*run_end)++;
    }
}

static void end_part(part_state_t *state, int64_t next, int picture)
{
    uint32_t        i;
    uint64_t        data = 0;
    size_t          whole;
    mp4_fragment_t  out;

    whole = part_end(&p, 1, next, picture, state);
    assert(whole >= p.head_size && p.head_size <= sizeof(p.head));

    if (p.n == 0) {
        assert(whole == p.head_size);
        return;
    }

    assert(mp4_read_fragment(p.head, p.head_size - 8, &out, samples, PART_FRAMES)
           == 0);
    assert(out.runs[0].n + out.runs[1].n == p.n);

    for (i = 0; i < p.n; i++) {
        assert(p.frames[i].at >= p.head_size
               && p.frames[i].at + p.frames[i].size <= whole);
        data += p.frames[i].size;
    }

    assert(data == out.data && p.head_size + data == whole);
    check_run(&out.runs[MP4_VIDEO], &ends[MP4_VIDEO], 1);
    check_run(&out.runs[MP4_AUDIO], &ends[MP4_AUDIO], 0);
}

/* The first byte tells the tracks; each frame has its kind, the part's end, a step of
 * dts (at times back), cts and size.  An input is repeated, to fill large parts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             i;
    size_t          at;
    int64_t         dts[2] = { 0, 0 };
    mp4_track_t     tracks[2];
    part_state_t    state;
    const uint8_t  *f;

    if (size < 1 + STEP) {
        return 0;
    }

    memset(tracks, 0, sizeof(tracks));
    memset(ends, 0, sizeof(ends));

    if (data[0] & 1) {
        tracks[MP4_VIDEO].codec = FLV_CODEC_H264;
        tracks[MP4_VIDEO].timescale = MP4_VIDEO_TIMESCALE;
    }
    if (data[0] & 2) {
        tracks[MP4_AUDIO].codec = FLV_CODEC_AAC;
        tracks[MP4_AUDIO].timescale = data[0] & 4 ? 44100 : 48000;
    }

    part_state_init(&state, 0, 0, 0, 0);
    part_begin(&p, tracks, &state);

    for (i = 0; i < 4; i++) {
        for (at = 1; at + STEP <= size; at += STEP) {
            f = data + at;
            dts[f[0] & 1] += f[1] - (f[0] & 8 ? 128 : 0);

            if (f[0] & 2) {
                end_part(&state, f[0] & 16 ? -1 : dts[f[0] & 1], !(f[0] & 1));
                part_begin(&p, tracks, &state);
            }

            (void) part_add(&p, f[0] & 1 ? MP4_AUDIO : MP4_VIDEO, dts[f[0] & 1],
                            (int8_t) f[2], f[0] & 4,
                            (uint32_t) f[3] << 8 | f[4], f[5]);
        }
    }

    end_part(&state, -1, 0);

    return 0;
}
