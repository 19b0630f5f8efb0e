/* Rows of NAL units: the config made of any row parses, and replacing start codes
 * by lengths changes no unit.  The first byte chooses the form of the row. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "avc.h"
#include "hevc.h"
#include "nal.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* After nal_to_lengths() the row has the same units. */
static void check_lengths(const uint8_t *data, size_t size)
{
    size_t          max = NAL_LENGTHS_MAX(size), used, a, b;
    uint8_t        *out = malloc(max);
    nal_row_t       codes = { data, size, 0, NAL_START_CODES, 0 };
    nal_row_t       lengths = { out, 0, 0, 4, 0 };
    const uint8_t  *one, *other;

    used = nal_to_lengths(data, size, out, max);
    lengths.size = used;

    do {
        one = nal_next(&codes, &a);
        other = nal_next(&lengths, &b);
        assert((one == NULL) == (other == NULL));
        assert(one == NULL || (a == b && memcmp(one, other, a) == 0 && !lengths.cut));
    } while (one);

    free(out);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         n;
    uint8_t        out[512];
    unsigned       prefix;
    avc_config_t   avc;
    hevc_config_t  hevc;

    if (size == 0) {
        return 0;
    }

    prefix = *data++ % 5;
    size--;

    n = avc_make_config(data, size, prefix, out, sizeof(out));
    assert(n <= sizeof(out));
    assert(n == 0 || (avc_parse_config(out, n, &avc) == 0 && avc.prefix == 4));

    n = hevc_make_config(data, size, prefix, out, sizeof(out));
    assert(n <= sizeof(out));
    assert(n == 0 || (hevc_parse_config(out, n, &hevc) == 0 && hevc.prefix == 4));

    (void) avc_has_idr(data, size, prefix);
    (void) hevc_has_irap(data, size, prefix);
    check_lengths(data, size);

    return 0;
}
