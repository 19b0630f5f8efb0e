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
            /* unsigned, as a hostile delta would overflow a signed sum */
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


/* The fields of an SPS that its reader needs further down. */
typedef struct {
    uint32_t  chroma;            /* chroma_format_idc */
    uint32_t  separate;          /* separate_colour_plane_flag */
    uint32_t  luma_depth, chroma_depth;
    uint32_t  mbs_x, map_units;  /* width and height, minus one */
    uint32_t  frame_mbs_only;
    uint32_t  left, right, top, bottom;      /* cropped */
} sps_t;


static void
skip_scaling_matrix(bit_reader_t *r, unsigned lists)
{
    unsigned  i;

    for (i = 0; i < lists; i++) {
        if (read_bit(r)) {
            skip_scaling_list(r, i < 6 ? 16 : 64);
        }
    }
}


static void
read_chroma(bit_reader_t *r, sps_t *sps)
{
    sps->chroma = read_ue(r);
    if (sps->chroma == 3) {
        sps->separate = read_bit(r);
    }

    sps->luma_depth = read_ue(r);
    sps->chroma_depth = read_ue(r);
    read_bit(r);                                   /* qpprime_y_zero_... */

    if (read_bit(r)) {
        skip_scaling_matrix(r, sps->chroma == 3 ? 12 : 8);
    }
}


static void
skip_picture_order(bit_reader_t *r)
{
    uint32_t  cycle;

    switch (read_ue(r)) {                          /* pic_order_cnt_type */

    case 0:
        read_ue(r);
        break;

    case 1:
        read_bit(r);
        read_se(r);
        read_se(r);
        for (cycle = read_ue(r); cycle > 0 && !r->failed; cycle--) {
            read_se(r);
        }
        break;
    }
}


/* 7.3.2.1.1, up to the cropping. */
static void
read_sps(bit_reader_t *r, sps_t *sps)
{
    uint32_t  profile = read_bits(r, 8);

    *sps = (sps_t) { .chroma = 1 };

    read_bits(r, 16);                              /* constraints, level_idc */
    read_ue(r);                                    /* seq_parameter_set_id */

    if (has_chroma_fields(profile)) {
        read_chroma(r, sps);
    }

    read_ue(r);                                    /* log2_max_frame_num */
    skip_picture_order(r);
    read_ue(r);                                    /* max_num_ref_frames */
    read_bit(r);                                   /* gaps_in_frame_num_... */

    sps->mbs_x = read_ue(r);
    sps->map_units = read_ue(r);
    sps->frame_mbs_only = read_bit(r);
    if (!sps->frame_mbs_only) {
        read_bit(r);                               /* mb_adaptive_frame_... */
    }

    read_bit(r);                                   /* direct_8x8_inference */

    if (read_bit(r)) {
        sps->left = read_ue(r);
        sps->right = read_ue(r);
        sps->top = read_ue(r);
        sps->bottom = read_ue(r);
    }
}


/* Sets the size of the pictures, 7.4.2.1.1.  Returns 0, or -1 when a side exceeds
 * MAX_PIXELS or cropping leaves nothing. */
static int
picture_size(const sps_t *sps, avc_config_t *config)
{
    uint64_t  width, height, cropped_x, cropped_y;
    uint32_t  fields = 2 - sps->frame_mbs_only;    /* rows of a map unit */
    uint32_t  unit_x, unit_y;

    if (sps->mbs_x >= MAX_PIXELS / 16
        || sps->map_units >= MAX_PIXELS / 16 / fields)
    {
        return -1;
    }

    width = 16 * ((uint64_t) sps->mbs_x + 1);
    height = 16 * ((uint64_t) sps->map_units + 1) * fields;

    unit_x = sps->separate || sps->chroma == 0 || sps->chroma == 3 ? 1 : 2;
    unit_y = (sps->separate || sps->chroma != 1 ? 1 : 2) * fields;
    cropped_x = ((uint64_t) sps->left + sps->right) * unit_x;
    cropped_y = ((uint64_t) sps->top + sps->bottom) * unit_y;

    if (cropped_x >= width || cropped_y >= height) {
        return -1;
    }

    config->width = (uint32_t) (width - cropped_x);
    config->height = (uint32_t) (height - cropped_y);

    return 0;
}


static int
parse_sps(const uint8_t *nal, size_t size, avc_config_t *config)
{
    sps_t         sps;
    uint8_t       rbsp[MAX_SPS];
    bit_reader_t  r = { rbsp, 0, 0, 0 };

    if (size < 4 || (nal[0] & 0x1f) != NAL_SPS) {
        return -1;
    }

    r.bits = 8 * nal_unescape(nal + 1, size - 1 < MAX_SPS ? size - 1 : MAX_SPS,
                              rbsp);
    read_sps(&r, &sps);

    if (r.failed || sps.chroma > 3 || picture_size(&sps, config) != 0) {
        return -1;
    }

    config->chroma = (uint8_t) sps.chroma;
    config->luma_depth = sps.luma_depth & 7;
    config->chroma_depth = sps.chroma_depth & 7;

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
 * of two bytes, and counts them.  Returns the bytes written, 0 when MAX is too small
 * or there are more units than MOST. */
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
