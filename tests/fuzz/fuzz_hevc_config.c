/* hevc_parse_config(): an accepted config has a picture size within the limits.
 * hevc_trim_config(): a trimmed record has nothing to trim. */

#include <assert.h>
#include <string.h>

#include "hevc.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         trimmed;
    hevc_config_t  config;

    static uint8_t  out[4096], again[4096];

    trimmed = hevc_trim_config(data, size, out, sizeof(out));
    assert(trimmed <= size);
    assert(hevc_trim_config(out, trimmed, again, sizeof(again)) == trimmed);
    assert(memcmp(out, again, trimmed) == 0);

    if (hevc_parse_config(data, size, &config) != 0) {
        assert(config.width == 0 && config.height == 0);
        return 0;
    }

    assert(config.width >= 1 && config.width <= 16384);
    assert(config.height >= 1 && config.height <= 16384);
    assert(config.profile == (data[1] & 0x1f) && config.level == data[12]);

    return 0;
}
