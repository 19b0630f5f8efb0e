#include "hevc.h"
#include "bits.h"
#include "nal.h"

#include <string.h>

#define MAX_PIXELS    16384
#define MAX_SPS       512

#define RECORD_HEAD   23         /* up to the arrays of NAL units */
#define PROFILE_BITS  88         /* of a layer; its level has 8 */

/* H.265, table 7-1: slices have types up to 31, those of IRAP pictures 16 to 21 */
enum { NAL_BLA = 16, NAL_CRA = 21, NAL_LAST_SLICE = 31,
       NAL_VPS = 32, NAL_SPS = 33, NAL_PPS = 34 };


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
    uint32_t      sub_layers, chroma, separate = 0, width, height, i, nested;
    uint32_t      crop[4] = { 0 };
    uint64_t      crop_x, crop_y;
    bit_reader_t  r = { rbsp, 0, 0, 0 };

    r.bits = 8 * nal_unescape(nal + 2, size - 2 < MAX_SPS ? size - 2 : MAX_SPS,
                              rbsp);

    read_bits(&r, 4);                                /* of the VPS */
    sub_layers = read_bits(&r, 3);                   /* minus 1 */
    nested = read_bit(&r);
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

    /* the conformance window is in samples of chroma */
    crop_x = ((uint64_t) crop[0] + crop[1])
             * (!separate && (chroma == 1 || chroma == 2) ? 2 : 1);
    crop_y = ((uint64_t) crop[2] + crop[3])
             * (!separate && chroma == 1 ? 2 : 1);

    if (crop_x >= width || crop_y >= height) {
        return -1;
    }

    memcpy(config->general, rbsp + 1, sizeof(config->general));
    config->layers = (uint8_t) (sub_layers + 1);
    config->nested = (uint8_t) nested;
    config->luma_depth = read_ue(&r) & 7;
    config->chroma_depth = read_ue(&r) & 7;
    config->chroma = (uint8_t) chroma;
    config->width = width - (uint32_t) crop_x;
    config->height = height - (uint32_t) crop_y;

    return 0;
}


static unsigned
nal_type(const uint8_t *nal)
{
    return nal[0] >> 1 & 0x3f;
}


/* Does the SPS belong to the base layer?  Others have another form (annex F). */
static int
is_base_sps(const uint8_t *nal, size_t size)
{
    return size >= 2 && nal_type(nal) == NAL_SPS
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
    config->prefix = (record[21] & 3) + 1;

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


/* Where the array of units at offset AT of a record ends; 0: it is truncated. */
static size_t
array_end(const uint8_t *record, size_t size, size_t at)
{
    size_t    length;
    unsigned  nals;

    if (size - at < 3) {
        return 0;
    }

    nals = (unsigned) record[at + 1] << 8 | record[at + 2];

    for (at += 3; nals > 0; nals--, at += 2 + length) {
        if (size - at < 2) {
            return 0;
        }

        length = (size_t) record[at] << 8 | record[at + 1];

        if (length > size - at - 2) {
            return 0;
        }
    }

    return at;
}


size_t
hevc_trim_config(const uint8_t *record, size_t size, uint8_t *out, size_t max)
{
    size_t    at = RECORD_HEAD, end, used = RECORD_HEAD;
    unsigned  arrays, type;

    if (size < RECORD_HEAD || max < RECORD_HEAD) {
        return 0;
    }

    memcpy(out, record, RECORD_HEAD);
    out[RECORD_HEAD - 1] = 0;

    for (arrays = record[RECORD_HEAD - 1]; arrays > 0; arrays--, at = end) {
        end = array_end(record, size, at);
        if (end == 0) {
            return 0;
        }

        type = record[at] & 0x3f;
        if (type < NAL_VPS || type > NAL_PPS) {
            continue;
        }

        if (end - at > max - used) {
            return 0;
        }

        memcpy(out + used, record + at, end - at);
        used += end - at;
        out[RECORD_HEAD - 1]++;
    }

    return used;
}


/* Writes an array of the units of TYPE in front of the first slice.  Returns
 * its bytes, 0 when there is no such unit or MAX is too small. */
static size_t
write_array(const uint8_t *data, size_t size, unsigned prefix, unsigned type,
    uint8_t *out, size_t max)
{
    size_t          length, used = 3, count = 0;
    nal_row_t       row = { data, size, 0, prefix, 0 };
    const uint8_t  *unit;

    while ((unit = nal_next(&row, &length)) != NULL
           && nal_type(unit) > NAL_LAST_SLICE)
    {
        if (nal_type(unit) != type || row.cut || length < 2) {
            continue;
        }

        if (length > 0xffff || max < used || max - used < length + 2) {
            return 0;
        }

        used += nal_write_length(out + used, 2, length);
        memcpy(out + used, unit, length);
        used += length;
        count++;
    }

    if (count == 0) {
        return 0;
    }

    out[0] = (uint8_t) (0x80 | type);              /* all of them are here */
    out[1] = (uint8_t) (count >> 8);
    out[2] = (uint8_t) count;

    return used;
}


/* 14496-15, 8.3.3.1.2, up to the arrays */
static void
write_head(uint8_t *out, const hevc_config_t *config)
{
    memset(out, 0, RECORD_HEAD);
    out[0] = 1;
    memcpy(out + 1, config->general, sizeof(config->general));
    out[13] = 0xf0;                                /* spatial segmentation: 0 */
    out[15] = 0xfc;                                /* parallelism: not known */
    out[16] = 0xfc | config->chroma;
    out[17] = 0xf8 | config->luma_depth;
    out[18] = 0xf8 | config->chroma_depth;
    out[21] = (uint8_t) (config->layers << 3 | config->nested << 2 | 3);
    out[22] = 3;
}


size_t
hevc_make_config(const uint8_t *row, size_t size, unsigned prefix,
    uint8_t *out, size_t max)
{
    size_t         n, used = RECORD_HEAD;
    unsigned       type;
    hevc_config_t  config = { 0 };

    if (max < RECORD_HEAD) {
        return 0;
    }

    write_head(out, &config);

    for (type = NAL_VPS; type <= NAL_PPS; type++) {
        n = write_array(row, size, prefix, type, out + used, max - used);
        if (n == 0) {
            return 0;
        }

        used += n;
    }

    if (hevc_parse_config(out, used, &config) != 0) {
        return 0;
    }

    write_head(out, &config);

    return used;
}


int
hevc_has_irap(const uint8_t *data, size_t size, unsigned prefix)
{
    size_t          length;
    nal_row_t       row = { data, size, 0, prefix, 0 };
    const uint8_t  *unit;

    while ((unit = nal_next(&row, &length)) != NULL) {
        if (nal_type(unit) <= NAL_LAST_SLICE) {
            return nal_type(unit) >= NAL_BLA && nal_type(unit) <= NAL_CRA;
        }
    }

    return 0;
}
