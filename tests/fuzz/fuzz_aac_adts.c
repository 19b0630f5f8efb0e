/* aac_parse_adts(): the config made of an accepted header parses. */

#include <assert.h>

#include "aac.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aac_adts_t    adts;
    aac_config_t  config;

    if (aac_parse_adts(data, size, &adts) != 0) {
        return 0;
    }

    assert(size >= 7 && data[0] == 0xff);
    assert(adts.head == 7 || adts.head == AAC_ADTS_MAX);
    assert(adts.size > adts.head && adts.size <= 8191);
    assert(aac_parse_config(adts.record, sizeof(adts.record), &config) == 0);
    assert(config.rate == adts.rate && config.channels > 0);

    return 0;
}
