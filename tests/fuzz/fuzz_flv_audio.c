/* flv_parse_audio(): it answers for any body, and its answer is consistent. */

#include <assert.h>

#include "flv.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flv_frame_t  frame, again;
    size_t       n;
    uint8_t      plain[FLV_PLAIN_MAX];
    int          tracks = flv_has_tracks(FLV_AUDIO, data, size);
    int          result = flv_parse_audio(data, size, &frame);

    assert(result == FLV_OK || result == FLV_SHORT || result == FLV_UNSUPPORTED
           || result == FLV_OTHER_TRACK);
    assert(size > 0 || result == FLV_SHORT);
    assert(tracks || (result != FLV_OTHER_TRACK && frame.end == 0 && frame.other == 0));
    (void) flv_packet_name(FLV_AUDIO, &frame);

    if (result == FLV_OK) {
        assert(frame.codec == FLV_CODEC_AAC);
        assert(frame.codec_id == 10 ? frame.payload == 2 : frame.fancy);
        assert(frame.payload <= size);
        assert(frame.end == 0 || (frame.payload <= frame.end && frame.end <= size));
        assert(!frame.key && frame.cts == 0);

        if (!frame.empty) {
            n = flv_write_plain(plain, &frame);
            assert(flv_parse_audio(plain, n, &again) == FLV_OK);
            assert(again.config == frame.config && again.payload == n && !again.fancy);
        }
    }

    return 0;
}
