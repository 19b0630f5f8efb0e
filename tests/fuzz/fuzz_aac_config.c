/* aac_parse_config(): an accepted config has a valid rate and number of channels. */

#include <assert.h>

#include "aac.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aac_config_t  config;

    if (aac_parse_config(data, size, &config) != 0) {
        assert(config.rate == 0 && config.channels == 0 && config.object == 0);
        return 0;
    }

    assert(size >= 2);
    assert(config.rate >= 4000 && config.rate <= 192000);
    assert(config.channels <= 2 * 45 + 3);
    assert(config.object >= 1 && config.object <= 95);

    return 0;
}
