/*
 * aac.c: rate and channels of AudioSpecificConfigs.
 *
 * Encoders made the records named ffmpeg, fdk and phone; the others were written by
 * hand after ISO/IEC 14496-3, 1.6.2.1.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aac.h"
#include "record.h"

typedef struct {
    const char  *what;
    const char  *hex;
    uint8_t      object;
    uint32_t     rate, channels;         /* rate 0: refused */
} config_case_t;

static const config_case_t  cases[] = {
    { "ffmpeg, 44.1 kHz stereo", "121056e500", 2, 44100, 2 },
    { "ffmpeg, 44.1 kHz mono", "120856e500", 2, 44100, 1 },
    { "ffmpeg, 48 kHz, 5.1", "11b056e500", 2, 48000, 6 },
    { "phone, 44.1 kHz stereo", "1210", 2, 44100, 2 },
    { "main profile, 7.35 kHz", "0e08", 1, 7350, 1 },
    { "96 kHz, 7.1", "1038", 2, 96000, 8 },
    { "front centre to 6.1", "1258", 2, 44100, 7 },
    { "7.1 of the second kind", "1260", 2, 44100, 8 },
    { "22.2", "1268", 2, 44100, 24 },
    { "7.1 of the third kind", "1270", 2, 44100, 8 },

    /* object 5: rate of the core, then SBR's, then object 2 */
    { "fdk, HE-AAC 22.05 to 44.1 kHz", "2b920800", 2, 22050, 2 },
    { "HE-AAC of a core of 24 kHz", "2b118800", 2, 24000, 2 },
    { "fdk, HE-AAC v2: mono is heard as stereo", "eb8a0800", 2, 22050, 2 },

    { "a rate in 24 bits, 44100", "178056221000", 2, 44100, 2 },
    { "a rate in 24 bits, 12345", "1780181c8800", 2, 12345, 1 },
    { "a rate in 24 bits, 192000", "1781770010", 2, 192000, 2 },
    { "a rate in 24 bits, 192001", "1781770090", 0, 0, 0 },
    { "a rate in 24 bits, 3999", "178007cf90", 0, 0, 0 },
    { "a rate in 24 bits, 0", "1780000010", 0, 0, 0 },
    { "an escaped object: 39, low delay", "f8e85000", 39, 44100, 2 },

    { "object 0", "0210", 0, 0, 0 },
    { "SBR of object 0", "2b920000", 0, 0, 0 },
    { "reserved rate 13", "1690", 0, 0, 0 },
    { "reserved rate 14", "1710", 0, 0, 0 },
    { "SBR to a reserved rate", "2b968800", 0, 0, 0 },
    { "reserved arrangement 8", "1240", 0, 0, 0 },
    { "reserved arrangement 10", "1250", 0, 0, 0 },
    { "reserved arrangement 15", "1278", 0, 0, 0 },
    { "no bytes", "", 0, 0, 0 },
    { "one byte", "12", 0, 0, 0 },
};


static int parse(const uint8_t *record, size_t size, aac_config_t *config)
{
    int       result;
    uint8_t  *memory, *copy = exact_copy(record, size, &memory);

    memset(config, 0xff, sizeof(*config));
    result = aac_parse_config(copy, size, config);
    free(memory);

    return result;
}


static void test_configs(void **state)
{
    int           rc;
    size_t        i, size;
    uint8_t       record[RECORD_MAX];
    aac_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const config_case_t  *c = &cases[i];

        size = from_hex(c->hex, record);
        rc = parse(record, size, &config);

        if (rc != (c->rate ? 0 : -1) || config.object != c->object
            || config.rate != c->rate || config.channels != c->channels)
        {
            fail_msg("%s: %d, object %u, %u Hz, %u channels", c->what, rc,
                     config.object, config.rate, config.channels);
        }
    }
}


static void test_each_rate(void **state)
{
    static const uint32_t  rates[16] = {
        96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000,
        11025, 8000, 7350, 0, 0, 0
    };
    uint32_t      i;
    aac_config_t  config;

    (void) state;

    for (i = 0; i < 16; i++) {
        const uint8_t  record[] = { (uint8_t) (2 << 3 | i >> 1),
                                    (uint8_t) (i << 7 | 2 << 3) };

        assert_int_equal(parse(record, 2, &config), rates[i] ? 0 : -1);
        assert_int_equal(config.rate, rates[i]);
    }
}


/* 4.4.1.1: three single and pair elements and an LFE */
static void put_program(record_writer_t *w, int mixdowns)
{
    put_bits(w, 2, 5);
    put_bits(w, 3, 4);                   /* 48 kHz */
    put_bits(w, 0, 4);                   /* laid out below */

    put_bits(w, 0, 1);
    put_bits(w, mixdowns, 1);            /* depends on a core coder */
    put_bits(w, 0, mixdowns ? 14 : 0);
    put_bits(w, 0, 1);

    put_bits(w, 0, 4 + 2 + 4);
    put_bits(w, 2, 4);                   /* front */
    put_bits(w, 0, 4);
    put_bits(w, 1, 4);                   /* back */
    put_bits(w, 1, 2);                   /* lfe */
    put_bits(w, 1, 3);                   /* data */
    put_bits(w, 1, 4);                   /* coupling */
    put_bits(w, mixdowns, 1);
    put_bits(w, 0, mixdowns ? 4 : 0);
    put_bits(w, mixdowns, 1);
    put_bits(w, 0, mixdowns ? 4 : 0);
    put_bits(w, mixdowns, 1);
    put_bits(w, 0, mixdowns ? 3 : 0);

    put_bits(w, 0, 5);                   /* front centre */
    put_bits(w, 0x10, 5);                /* front pair */
    put_bits(w, 0x11, 5);                /* back pair */
    put_bits(w, 0, 4);                   /* lfe */
    put_bits(w, 0, 4);                   /* data */
    put_bits(w, 0, 5);                   /* coupling */
}


static void test_channels_laid_out(void **state)
{
    int           mixdowns;
    size_t        n, size;
    aac_config_t  config;

    (void) state;

    for (mixdowns = 0; mixdowns < 2; mixdowns++) {
        record_writer_t  w = { { 0 }, 0 };

        put_program(&w, mixdowns);
        size = (w.bits + 7) / 8;

        assert_int_equal(parse(w.data, size, &config), 0);
        assert_int_equal(config.rate, 48000);
        assert_int_equal(config.channels, 6);

        for (n = 0; n < size; n++) {
            assert_int_equal(parse(w.data, n, &config), -1);
            assert_int_equal(config.rate, 0);
        }
    }
}


/* 1.A.3.2: heads that ffmpeg wrote, and the same ones damaged */
static void test_adts(void **state)
{
    static const struct {
        const char  *what, *hex;
        size_t       head, size;               /* 0: refused */
        uint32_t     rate;
        const char  *record;
    }  cases[] = {
        { "44.1 kHz stereo", "fff15080" "01bffc21", 7, 13, 44100, "1210" },
        { "48 kHz mono", "fff14c40" "2e7ffc21", 7, 371, 48000, "1188" },
        { "MPEG-2", "fff95080" "01bffc21", 7, 13, 44100, "1210" },
        { "with a checksum", "fff05080" "02bffcabcd21", 9, 21, 44100, "1210" },
        { "7.35 kHz, main profile, 7.1", "fff131c0" "01bffc21", 7, 13, 7350, "0e38" },
        { "the largest", "fff15083" "fffffc21", 7, 8191, 44100, "1210" },
        { "two blocks", "fff15080" "01bffd21", 0, 0, 0, "" },
        { "a frame of nothing", "fff15080" "00fffc", 0, 0, 0, "" },
        { "shorter than its head", "fff15080" "001ffc", 0, 0, 0, "" },
        { "no room for the checksum", "fff05080" "011ffc", 0, 0, 0, "" },
        { "reserved rate", "fff17480" "01bffc21", 0, 0, 0, "" },
        { "channels that are laid out", "fff15000" "01bffc21", 0, 0, 0, "" },
        { "layer 3", "fffb5080" "01bffc21", 0, 0, 0, "" },
        { "a bare frame", "211004608c1c00", 0, 0, 0, "" },
        { "six bytes", "fff1508001bf", 0, 0, 0, "" },
        { "no bytes", "", 0, 0, 0, "" },
    };

    int         rc;
    size_t      i, size;
    uint8_t     data[RECORD_MAX], record[RECORD_MAX], *memory;
    aac_adts_t  adts;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size = from_hex(cases[i].hex, data);
        rc = aac_parse_adts(exact_copy(data, size, &memory), size, &adts);
        free(memory);

        if (rc != (cases[i].size ? 0 : -1)) {
            fail_msg("%s: %d", cases[i].what, rc);
        }

        if (rc == 0) {
            (void) from_hex(cases[i].record, record);
            if (adts.head != cases[i].head || adts.size != cases[i].size
                || adts.rate != cases[i].rate || memcmp(adts.record, record, 2) != 0)
            {
                fail_msg("%s: %zu of %zu bytes, %u Hz, record %02x%02x", cases[i].what, adts.head,
                         adts.size, adts.rate, adts.record[0], adts.record[1]);
            }
        }
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_adts),
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_each_rate),
        cmocka_unit_test(test_channels_laid_out),
    };

    return cmocka_run_group_tests_name("media_aac", tests, NULL, NULL);
}
