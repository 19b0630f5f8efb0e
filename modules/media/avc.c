#include "avc.h"
#include "bits.h"
#include "nal.h"

#include <string.h>

#define MAX_PIXELS  16384
#define MAX_SPS     512

/* H.264, table 7-1 */
enum { NAL_SLICE = 1, NAL_IDR = 5, NAL_SPS = 7, NAL_PPS = 8 };


/* H.264 7.3.2.1.1.1 */
static void
skip_scaling_list(bit_reader_t *r, unsigned size)
{
    int32_t   last = 8, next = 8;
    unsigned  i;

    for (i = 0; i < size && !r->failed; i++) {
        if (next != 0) {
            /* unsigned: a hostile delta may not overflow the sum */
            next = (int32_t) (((uint32_t) last + (uint32_t) read_se(r)) & 0xff);
        }
        if (next != 0) {
            last = next;
        }
    }
}


static int
has_chroma_fields(uint32_t profile)
{
    switch (profile) {
    case 100: case 110: case 122: case 244: case 44: case 83:
    case 86: case 118: case 128: case 138: case 139: case 134: case 135:
        return 1;
    default:
        return 0;
    }
}


static int
parse_sps(const uint8_t *nal, size_t size, avc_config_t *config)
{
    uint8_t       rbsp[MAX_SPS];
    bit_reader_t  r;
    uint32_t      profile, chroma = 1, separate = 0, frame_mbs_only, cycle;
    uint32_t      luma_depth = 0, chroma_depth = 0;
    uint32_t      mbs_x, map_units, crop[4] = { 0 }, unit_x, unit_y;
    uint64_t      width, height;
    unsigned      i;

    if (size < 4 || (nal[0] & 0x1f) != NAL_SPS) {
        return -1;
    }

    r = (bit_reader_t) { rbsp, 0, 0, 0 };
    r.bits = 8 * nal_unescape(nal + 1, size - 1 < MAX_SPS ? size - 1 : MAX_SPS,
                              rbsp);

    profile = read_bits(&r, 8);
    read_bits(&r, 16);
    read_ue(&r);                                   /* seq_parameter_set_id */

    if (has_chroma_fields(profile)) {
        chroma = read_ue(&r);
        if (chroma == 3) {
            separate = read_bit(&r);
        }
        luma_depth = read_ue(&r);
        chroma_depth = read_ue(&r);
        read_bit(&r);
        if (read_bit(&r)) {
            for (i = 0; i < (chroma == 3 ? 12u : 8u); i++) {
                if (read_bit(&r)) {
                    skip_scaling_list(&r, i < 6 ? 16 : 64);
                }
            }
        }
    }

    read_ue(&r);                                   /* log2_max_frame_num */
    switch (read_ue(&r)) {                         /* pic_order_cnt_type */
    case 0:
        read_ue(&r);
        break;
    case 1:
        read_bit(&r);
        read_se(&r);
        read_se(&r);
        for (cycle = read_ue(&r); cycle > 0 && !r.failed; cycle--) {
            read_se(&r);
        }
        break;
    }

    read_ue(&r);                                   /* max_num_ref_frames */
    read_bit(&r);
    mbs_x = read_ue(&r);
    map_units = read_ue(&r);
    frame_mbs_only = read_bit(&r);
    if (!frame_mbs_only) {
        read_bit(&r);
    }
    read_bit(&r);
    if (read_bit(&r)) {
        for (i = 0; i < 4; i++) {
            crop[i] = read_ue(&r);
        }
    }

    /* an interlaced picture has two rows of macroblocks per map unit */
    if (r.failed || chroma > 3 || mbs_x >= MAX_PIXELS / 16
        || map_units >= MAX_PIXELS / 16 / (2 - frame_mbs_only))
    {
        return -1;
    }

    unit_x = separate || chroma == 0 || chroma == 3 ? 1 : 2;
    unit_y = (separate || chroma != 1 ? 1 : 2) * (2 - frame_mbs_only);
    width = (uint64_t) (crop[0] + (uint64_t) crop[1]) * unit_x;
    height = (uint64_t) (crop[2] + (uint64_t) crop[3]) * unit_y;

    if (width >= 16 * ((uint64_t) mbs_x + 1)
        || height >= 16 * ((uint64_t) map_units + 1) * (2 - frame_mbs_only))
    {
        return -1;
    }

    config->chroma = (uint8_t) chroma;
    config->luma_depth = luma_depth & 7;
    config->chroma_depth = chroma_depth & 7;
    config->width = (uint32_t) (16 * ((uint64_t) mbs_x + 1) - width);
    config->height = (uint32_t) (16 * ((uint64_t) map_units + 1)
                                 * (2 - frame_mbs_only) - height);

    return 0;
}


int
avc_parse_config(const uint8_t *record, size_t size, avc_config_t *config)
{
    size_t  length;

    *config = (avc_config_t) { 0 };

    if (size < 8 || record[0] != 1 || (record[5] & 0x1f) == 0) {
        return -1;
    }

    config->profile = record[1];
    config->level = record[3];
    config->prefix = (record[4] & 3) + 1;
    length = (size_t) record[6] << 8 | record[7];

    if (length > size - 8) {
        return -1;
    }

    return parse_sps(record + 8, length, config);
}


size_t
avc_parameter_sets(const uint8_t *record, size_t size, uint8_t *out, size_t max)
{
    size_t    at = 6, kind, length, used = 0;
    uint8_t   count;
    unsigned  prefix;

    if (size < 7) {
        return 0;
    }

    prefix = (record[4] & 3) + 1;
    count = record[5] & 0x1f;                      /* SPS, then PPS */

    for (kind = 0; kind < 2; kind++) {
        for ( ; count > 0; count--) {
            if (size - at < 2) {
                return 0;
            }

            length = (size_t) record[at] << 8 | record[at + 1];
            at += 2;

            if (length > size - at || prefix + length > max - used
                || (prefix == 1 && length > 255))
            {
                return 0;
            }

            used += nal_write_length(out + used, prefix, length);
            memcpy(out + used, record + at, length);
            used += length;
            at += length;
        }

        if (kind == 0) {
            if (size == at) {
                return 0;
            }

            count = record[at++];
        }
    }

    return used;
}


static int
is_slice(const uint8_t *unit)
{
    return (unit[0] & 0x1f) >= NAL_SLICE && (unit[0] & 0x1f) <= NAL_IDR;
}


/* Writes the units of TYPE in front of the first slice, each behind a length
 * of two bytes, and counts them.  Returns the bytes, 0 when there is no room or
 * there are more than MOST. */
static size_t
copy_sets(const uint8_t *data, size_t size, unsigned prefix, unsigned type,
    unsigned most, uint8_t *out, size_t max, unsigned *count)
{
    size_t          length, used = 0;
    nal_row_t       row = { data, size, 0, prefix, 0 };
    const uint8_t  *unit;

    *count = 0;

    while ((unit = nal_next(&row, &length)) != NULL && !is_slice(unit)) {
        if ((unit[0] & 0x1f) != type || row.cut) {
            continue;
        }

        if (++*count > most || length > 0xffff || max - used < length + 2) {
            return 0;
        }

        used += nal_write_length(out + used, 2, length);
        memcpy(out + used, unit, length);
        used += length;
    }

    return used;
}


size_t
avc_make_config(const uint8_t *row, size_t size, unsigned prefix, uint8_t *out,
    size_t max)
{
    size_t        used = 6, n;
    unsigned      count;
    avc_config_t  config;

    if (max < 6 + 1 + 4) {
        return 0;
    }

    n = copy_sets(row, size, prefix, NAL_SPS, 31, out + used, max - used,
                  &count);
    if (n < 2 + 4) {
        return 0;
    }

    out[0] = 1;
    out[1] = out[used + 3];                        /* behind length and type */
    out[2] = out[used + 4];
    out[3] = out[used + 5];
    out[4] = 0xfc | 3;
    out[5] = (uint8_t) (0xe0 | count);
    used += n;

    if (avc_parse_config(out, used, &config) != 0 || max - used < 1 + 4) {
        return 0;
    }

    n = copy_sets(row, size, prefix, NAL_PPS, 255, out + used + 1,
                  max - used - 1 - 4, &count);
    if (n == 0) {
        return 0;
    }

    out[used] = (uint8_t) count;
    used += 1 + n;

    if (has_chroma_fields(config.profile)) {
        out[used++] = 0xfc | config.chroma;
        out[used++] = 0xf8 | config.luma_depth;
        out[used++] = 0xf8 | config.chroma_depth;
        out[used++] = 0;                           /* SPS extensions */
    }

    return used;
}


int
avc_has_idr(const uint8_t *data, size_t size, unsigned prefix)
{
    size_t          length;
    nal_row_t       row = { data, size, 0, prefix, 0 };
    const uint8_t  *unit;

    while ((unit = nal_next(&row, &length)) != NULL) {
        if (is_slice(unit)) {
            return (unit[0] & 0x1f) == NAL_IDR;
        }
    }

    return 0;
}
