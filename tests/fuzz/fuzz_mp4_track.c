/* mp4_track(): an accepted track reads the same after writing. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mp4_read.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           kind;
    size_t        max, written, at;
    uint8_t      *out;
    mp4_init_t    init;
    mp4_track_t   tracks[2], *track;

    if (size == 0) {
        return 0;
    }

    memset(tracks, 0, sizeof(tracks));
    kind = data[0] % 4 == FLV_CODEC_AAC ? MP4_AUDIO : MP4_VIDEO;
    track = &tracks[kind];

    if (mp4_track(track, (enum flv_codec) (data[0] % 4), data + 1, size - 1) != 0) {
        assert(track->codec == FLV_CODEC_NONE && track->config == NULL);
        return 0;
    }

    max = MP4_INIT_MAX(size - 1);
    out = malloc(max);
    assert(out != NULL);
    written = mp4_write_init(out, max, tracks, &at);
    assert(written > 0);
    assert(mp4_read_init(out, written, &init) == 0);
    assert(init.size == written && init.duration_at == at);
    assert(init.tracks[kind].codec == track->codec);
    assert(init.tracks[kind].timescale == track->timescale);
    assert(init.tracks[kind].config_size == size - 1);
    assert(memcmp(init.tracks[kind].config, data + 1, size - 1) == 0);
    free(out);

    return 0;
}
