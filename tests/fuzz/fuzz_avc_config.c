/* avc_parse_config(): an accepted config has a picture size within the limits. */

#include <assert.h>

#include "avc.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        length;
    avc_config_t  config;

    if (avc_parse_config(data, size, &config) != 0) {
        assert(config.width == 0 && config.height == 0);
        return 0;
    }

    assert(config.width >= 1 && config.width <= 16384);
    assert(config.height >= 1 && config.height <= 16384);
    assert(config.profile == data[1] && config.level == data[3]);

    /* the parser ignores everything behind the first SPS */
    length = 8 + ((size_t) data[6] << 8 | data[7]);
    assert(length <= size);
    assert(avc_parse_config(data, length, &config) == 0);
    assert(length < 9 || avc_parse_config(data, length - 1, &config) == -1);

    return 0;
}
