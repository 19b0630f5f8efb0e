/* flv_parse_video(): any body is answered, and what is said of it is true. */

#include <assert.h>

#include "flv.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flv_frame_t  frame, again;
    int          result = flv_parse_video(data, size, &frame);

    assert(result == FLV_OK || result == FLV_SHORT || result == FLV_UNSUPPORTED);
    assert(size > 0 || result == FLV_SHORT);

    if (result == FLV_OK) {
        assert(frame.payload <= size);
        assert(frame.codec == FLV_CODEC_H264 || frame.codec == FLV_CODEC_HEVC
               || (frame.codec == FLV_CODEC_NONE && frame.empty));
        assert(!(frame.config && frame.empty));
        assert(frame.cts >= -0x800000 && frame.cts <= 0x7fffff);

        /* ingest shows it 16 bytes of a body: the answer may not change */
        assert(flv_parse_video(data, size < 16 ? size : 16, &again) == FLV_OK);
        assert(again.codec == frame.codec && again.key == frame.key
               && again.config == frame.config && again.cts == frame.cts);
    }

    return 0;
}
