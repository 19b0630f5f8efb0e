/* flv_parse_video(): it answers for any body, and its answer is consistent. */

#include <assert.h>

#include "flv.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flv_frame_t  frame, again;
    size_t       n;
    uint8_t      plain[FLV_PLAIN_MAX];
    int          tracks = flv_has_tracks(FLV_VIDEO, data, size);
    int          result = flv_parse_video(data, size, &frame);

    assert(result == FLV_OK || result == FLV_SHORT || result == FLV_UNSUPPORTED
           || result == FLV_OTHER_TRACK);
    assert(size > 0 || result == FLV_SHORT);
    assert(tracks || (result != FLV_OTHER_TRACK && frame.end == 0 && frame.other == 0));
    (void) flv_packet_name(FLV_VIDEO, &frame);

    if (result == FLV_OK) {
        assert(frame.payload <= size);
        assert(frame.end == 0 || (frame.payload <= frame.end && frame.end <= size));
        assert(frame.codec == FLV_CODEC_H264 || frame.codec == FLV_CODEC_HEVC
               || (frame.codec == FLV_CODEC_NONE && frame.empty));
        assert(!(frame.config && frame.empty));
        assert(frame.cts >= -0x800000 && frame.cts <= 0x7fffff);

        /* ingest passes only the beginning of a body: the answer must be the same */
        if (!tracks && !frame.empty) {
            assert(flv_parse_video(data, frame.payload, &again) == FLV_OK);
            assert(again.codec == frame.codec && again.key == frame.key
                   && again.config == frame.config && again.cts == frame.cts);
        }

        if (!frame.empty) {
            n = flv_write_plain(plain, &frame);
            assert(flv_parse_video(plain, n, &again) == FLV_OK);
            assert(again.codec == frame.codec && again.key == frame.key && !again.fancy
                   && again.config == frame.config && again.payload == n
                   && (frame.config || again.cts == frame.cts));
        }
    }

    return 0;
}
