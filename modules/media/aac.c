#include "aac.h"
#include "bits.h"

#define RATE_LOWEST    4000        /* of rates that are written as a number */
#define RATE_HIGHEST   192000
#define RATE_GIVEN     15

/* 14496-3, table 1.17 */
enum { OBJECT_SBR = 5, OBJECT_PS = 29, OBJECT_BSAC = 22, OBJECT_ESCAPE = 31 };


static uint32_t
read_object(bit_reader_t *r)
{
    uint32_t  object = read_bits(r, 5);

    return object == OBJECT_ESCAPE ? 32 + read_bits(r, 6) : object;
}


/* Returns 0 for a rate that is reserved or out of range. */
static uint32_t
read_rate(bit_reader_t *r)
{
    static const uint32_t  rates[RATE_GIVEN] = {
        96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000,
        11025, 8000, 7350, 0, 0
    };
    uint32_t  index = read_bits(r, 4), rate;

    if (index < RATE_GIVEN) {
        return rates[index];
    }

    rate = read_bits(r, 24);

    return rate >= RATE_LOWEST && rate <= RATE_HIGHEST ? rate : 0;
}


/* Does GASpecificConfig() follow an object of this type? */
static int
is_general_audio(uint32_t object)
{
    switch (object) {
    case 1: case 2: case 3: case 4: case 6: case 7:
    case 17: case 19: case 20: case 21: case 22: case 23:
        return 1;
    default:
        return 0;
    }
}


/* 4.4.1.1: the channels of N elements; a bit marks each pair */
static uint32_t
read_elements(bit_reader_t *r, uint32_t n)
{
    uint32_t  channels = 0;

    while (n--) {
        channels += 1 + read_bit(r);
        read_bits(r, 4);
    }

    return channels;
}


/* 4.4.1.1: program_config_element, which lists channels one by one */
static uint32_t
read_program(bit_reader_t *r)
{
    uint32_t  front, side, back, lfe, data, coupling;
    uint32_t  channels;

    read_bits(r, 1);                                 /* frame length */
    if (read_bit(r)) {
        read_bits(r, 14);                            /* core coder's delay */
    }
    read_bit(r);

    read_bits(r, 4 + 2 + 4);                         /* tag, object, rate */
    front = read_bits(r, 4);
    side = read_bits(r, 4);
    back = read_bits(r, 4);
    lfe = read_bits(r, 2);
    data = read_bits(r, 3);
    coupling = read_bits(r, 4);
    if (read_bit(r)) {
        read_bits(r, 4);                             /* mono mixdown */
    }
    if (read_bit(r)) {
        read_bits(r, 4);                             /* stereo mixdown */
    }
    if (read_bit(r)) {
        read_bits(r, 3);                             /* matrix mixdown */
    }

    channels = read_elements(r, front + side + back) + lfe;
    skip_bits(r, 4 * (size_t) (lfe + data) + 5 * (size_t) coupling);

    return channels;
}


int
aac_parse_config(const uint8_t *record, size_t size, aac_config_t *config)
{
    static const uint8_t  arrangements[16] = {
        0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0
    };
    int           parametric, ok;
    uint32_t      object, outer, rate, arrangement, channels;
    bit_reader_t  r = { record, 0, 0, 0 };

    *config = (aac_config_t) { 0 };

    if (size > SIZE_MAX / 8) {
        return -1;
    }

    r.bits = 8 * size;

    object = outer = read_object(&r);
    rate = read_rate(&r);
    arrangement = read_bits(&r, 4);
    channels = arrangements[arrangement];
    parametric = object == OBJECT_PS;
    ok = object != 0 && rate != 0 && (arrangement == 0 || channels != 0);

    if (object == OBJECT_SBR || object == OBJECT_PS) {
        ok = ok && read_rate(&r) != 0;               /* with SBR */
        object = read_object(&r);
        if (object == OBJECT_BSAC) {
            read_bits(&r, 4);
        }
    }

    if (arrangement == 0 && is_general_audio(object)) {
        channels = read_program(&r);
        ok = ok && channels != 0;
    }

    if (!ok || r.failed || object == 0) {
        return -1;
    }

    config->object = (uint8_t) object;
    config->outer = (uint8_t) outer;
    config->rate = rate;
    config->channels = parametric && channels == 1 ? 2 : channels;

    return 0;
}


int
aac_parse_adts(const uint8_t *data, size_t size, aac_adts_t *adts)
{
    uint32_t      profile, rate, channels;
    aac_config_t  config;

    *adts = (aac_adts_t) { 0 };

    /* syncword, and layer 0 */
    if (size < 7 || data[0] != 0xff || (data[1] & 0xf6) != 0xf0) {
        return -1;
    }

    profile = data[2] >> 6;
    rate = data[2] >> 2 & 15;
    channels = (uint32_t) (data[2] & 1) << 2 | data[3] >> 6;

    adts->head = data[1] & 1 ? 7 : 9;              /* with a checksum */
    adts->size = (size_t) (data[3] & 3) << 11 | (size_t) data[4] << 3
                 | data[5] >> 5;
    adts->record[0] = (uint8_t) ((profile + 1) << 3 | rate >> 1);
    adts->record[1] = (uint8_t) (rate << 7 | channels << 3);

    if (adts->size <= adts->head || (data[6] & 3) != 0
        || aac_parse_config(adts->record, sizeof(adts->record), &config) != 0)
    {
        return -1;
    }

    adts->rate = config.rate;

    return 0;
}
