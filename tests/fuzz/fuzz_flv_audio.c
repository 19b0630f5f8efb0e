/* flv_parse_audio(): any body is answered, and what is said of it is true. */

#include <assert.h>

#include "flv.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flv_frame_t  frame;
    int          result = flv_parse_audio(data, size, &frame);

    assert(result == FLV_OK || result == FLV_SHORT || result == FLV_UNSUPPORTED);
    assert(size > 0 || result == FLV_SHORT);

    if (result == FLV_OK) {
        assert(frame.codec == FLV_CODEC_AAC && frame.codec_id == 10);
        assert(frame.payload == 2 && frame.payload <= size);
        assert(!frame.key && !frame.empty && frame.cts == 0);
    }

    return 0;
}
