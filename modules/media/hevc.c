#include "hevc.h"
#include "bits.h"

#define MAX_PIXELS    16384
#define MAX_SPS       512

#define RECORD_HEAD   23         /* up to the arrays of NAL units */
#define NAL_SPS       33
#define PROFILE_BITS  88         /* of a layer; its level has 8 */


/* H.265 7.3.3 with profilePresentFlag 1 */
static void
skip_profile_tier_level(bit_reader_t *r, unsigned sub_layers)
{
    unsigned  i, profiles, levels;

    skip_bits(r, PROFILE_BITS + 8);

    if (sub_layers == 0) {
        return;
    }

    profiles = levels = 0;

    for (i = 0; i < 8; i++) {                        /* two bits each, 8 in all */
        profiles += read_bit(r) && i < sub_layers;
        levels += read_bit(r) && i < sub_layers;
    }

    skip_bits(r, (size_t) profiles * PROFILE_BITS + (size_t) levels * 8);
}


static int
parse_sps(const uint8_t *nal, size_t size, hevc_config_t *config)
{
    uint8_t       rbsp[MAX_SPS];
    uint32_t      sub_layers, chroma, separate = 0, width, height, i;
    uint32_t      crop[4] = { 0 };
    uint64_t      crop_x, crop_y;
    bit_reader_t  r = { rbsp, 0, 0, 0 };

    r.bits = 8 * nal_unescape(nal + 2, size - 2 < MAX_SPS ? size - 2 : MAX_SPS,
                              rbsp);

    read_bits(&r, 4);                                /* of the VPS */
    sub_layers = read_bits(&r, 3);                   /* minus 1 */
    read_bit(&r);
    skip_profile_tier_level(&r, sub_layers);

    read_ue(&r);                                     /* seq_parameter_set_id */
    chroma = read_ue(&r);
    if (chroma == 3) {
        separate = read_bit(&r);
    }
    width = read_ue(&r);
    height = read_ue(&r);

    if (read_bit(&r)) {
        for (i = 0; i < 4; i++) {
            crop[i] = read_ue(&r);
        }
    }

    if (r.failed || sub_layers > 6 || chroma > 3
        || width > MAX_PIXELS || height > MAX_PIXELS)
    {
        return -1;
    }

    /* the window counts in samples of chroma */
    crop_x = ((uint64_t) crop[0] + crop[1])
             * (!separate && (chroma == 1 || chroma == 2) ? 2 : 1);
    crop_y = ((uint64_t) crop[2] + crop[3])
             * (!separate && chroma == 1 ? 2 : 1);

    if (crop_x >= width || crop_y >= height) {
        return -1;
    }

    config->width = width - (uint32_t) crop_x;
    config->height = height - (uint32_t) crop_y;

    return 0;
}


/* An SPS of the base layer: others have another form (annex F). */
static int
is_base_sps(const uint8_t *nal, size_t size)
{
    return size >= 2 && (nal[0] >> 1 & 0x3f) == NAL_SPS
           && ((nal[0] & 1) << 5 | nal[1] >> 3) == 0;
}


int
hevc_parse_config(const uint8_t *record, size_t size, hevc_config_t *config)
{
    size_t    at = RECORD_HEAD, length;
    unsigned  arrays, nals;

    *config = (hevc_config_t) { 0 };

    if (size < RECORD_HEAD || record[0] != 1) {
        return -1;
    }

    config->profile = record[1] & 0x1f;
    config->level = record[12];

    for (arrays = record[RECORD_HEAD - 1]; arrays > 0; arrays--) {
        if (size - at < 3) {
            return -1;
        }

        nals = (unsigned) record[at + 1] << 8 | record[at + 2];
        at += 3;

        for ( ; nals > 0; nals--) {
            if (size - at < 2) {
                return -1;
            }

            length = (size_t) record[at] << 8 | record[at + 1];
            at += 2;

            if (length > size - at) {
                return -1;
            }

            if (is_base_sps(record + at, length)) {
                return parse_sps(record + at, length, config);
            }

            at += length;
        }
    }

    return -1;
}
