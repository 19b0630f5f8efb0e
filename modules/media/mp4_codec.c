#include "mp4_codec.h"

#include <stdio.h>

#include "aac.h"

#define AVCC_LEAST  4                /* up to the level */
#define HVCC_LEAST  13               /* likewise */


/* 14496-15, E.3, and its form of the compatibility flags: the first flag is the
 * lowest bit. */
static size_t
hevc_name(char *out, const uint8_t *p)
{
    static const char  *spaces[] = { "", "A", "B", "C" };
    int                 n;
    unsigned            i, last;
    uint32_t            flags = 0;

    for (i = 0; i < 32; i++) {
        flags |= (uint32_t) (p[2 + i / 8] >> (7 - i % 8) & 1) << i;
    }

    n = snprintf(out, MP4_CODEC_MAX, "hvc1.%s%u.%X.%c%u", spaces[p[1] >> 6],
                 p[1] & 0x1fu, (unsigned) flags, p[1] & 0x20 ? 'H' : 'L', p[12]);

    for (last = 12; last > 6 && p[last - 1] == 0; last--) { /* void */ }

    for (i = 6; i < last; i++) {     /* constraints, without the zeros at the end */
        n += snprintf(out + n, MP4_CODEC_MAX - (size_t) n, ".%X", p[i]);
    }

    return (size_t) n;
}


size_t
mp4_codec_name(char out[MP4_CODEC_MAX], const mp4_track_t *track)
{
    aac_config_t    aac;
    const uint8_t  *p = track->config;

    out[0] = '\0';

    switch (track->codec) {

    case FLV_CODEC_H264:
        if (track->config_size < AVCC_LEAST) {
            return 0;
        }
        return (size_t) snprintf(out, MP4_CODEC_MAX, "avc1.%02x%02x%02x", p[1],
                                 p[2], p[3]);

    case FLV_CODEC_HEVC:
        return track->config_size < HVCC_LEAST ? 0 : hevc_name(out, p);

    case FLV_CODEC_AAC:
        if (aac_parse_config(p, track->config_size, &aac) != 0) {
            return 0;
        }
        return (size_t) snprintf(out, MP4_CODEC_MAX, "mp4a.40.%u", aac.outer);

    case FLV_CODEC_NONE:
        break;
    }

    return 0;
}
