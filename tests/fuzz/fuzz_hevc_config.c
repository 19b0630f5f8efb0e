/* hevc_parse_config(): an accepted config has a picture size within the limits. */

#include <assert.h>

#include "hevc.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hevc_config_t  config;

    if (hevc_parse_config(data, size, &config) != 0) {
        assert(config.width == 0 && config.height == 0);
        return 0;
    }

    assert(config.width >= 1 && config.width <= 16384);
    assert(config.height >= 1 && config.height <= 16384);
    assert(config.profile == (data[1] & 0x1f) && config.level == data[12]);

    return 0;
}
