/* Codes of authenticator apps against RFC 6238, appendix B, and recovery codes. */

#include "totp.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "12345678901234567890" */
static const char  rfc_secret[] = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/* The RFC has eight digits; six are the last ones. */
static const struct {
    int64_t      time;
    const char  *code;
} rfc_codes[] = {
    { 59, "287082" }, { 1111111109, "081804" }, { 1111111111, "050471" },
    { 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" },
};


static void codes_are_those_of_the_rfc(void **state)
{
    char    code[TOTP_CODE_SIZE];
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(rfc_codes) / sizeof(rfc_codes[0]); i++) {
        assert_true(totp_code(rfc_secret, (uint64_t) rfc_codes[i].time / TOTP_STEP_S, code));
        assert_string_equal(code, rfc_codes[i].code);
    }
}


static void a_code_is_taken_one_step_early_or_late(void **state)
{
    int       shift;
    uint64_t  step;

    (void) state;

    for (shift = -3; shift <= 3; shift++) {
        step = 0;
        assert_int_equal(totp_check(rfc_secret, "081804", 1111111109 + shift * TOTP_STEP_S, &step),
                         shift >= -1 && shift <= 1);
        assert_int_equal(step, shift >= -1 && shift <= 1 ? 1111111109 / TOTP_STEP_S : 0);
    }
}


static void other_texts_are_no_codes(void **state)
{
    static const char *const  texts[] = { "", "81804", "0818040", "081805", "08180 ", "abcdef" };

    size_t    i;
    uint64_t  step;

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(totp_check(rfc_secret, texts[i], 1111111109, &step));
    }
    /* an account without a secret has no code at all */
    assert_false(totp_check("", "081804", 1111111109, &step));
    assert_false(totp_check("gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "081804", 1111111109, &step));
}


static void secrets_and_recovery_codes_are_random_and_readable(void **state)
{
    char  one[TOTP_SECRET_SIZE], two[TOTP_SECRET_SIZE], code[TOTP_CODE_SIZE];
    char  shown[RECOVERY_SIZE], other[RECOVERY_SIZE], read[RECOVERY_SIZE], spaced[64];

    (void) state;

    totp_secret_make(one);
    totp_secret_make(two);
    assert_int_equal(strlen(one), TOTP_SECRET_SIZE - 1);
    assert_string_not_equal(one, two);
    assert_true(totp_code(one, 1, code));

    recovery_make(shown);
    recovery_make(other);
    assert_int_equal(strlen(shown), RECOVERY_SIZE - 1);
    assert_string_not_equal(shown, other);
    assert_true(recovery_read(shown, read));
    assert_int_equal(strlen(read), 16);

    /* as a person may type it */
    snprintf(spaced, sizeof(spaced), " %c%s ", shown[0] >= 'a' ? shown[0] - 'a' + 'A' : shown[0],
             shown + 1);
    assert_true(recovery_read(spaced, other));
    assert_string_equal(other, read);

    assert_false(recovery_read("", read));
    assert_false(recovery_read("abcd-efgh-ijkl-mno", read));
    assert_false(recovery_read("abcd-efgh-ijkl-mnopq", read));
    assert_false(recovery_read("abcd-efgh-ijkl-mno1", read));
    assert_false(recovery_read("081804", read));
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(codes_are_those_of_the_rfc),
        cmocka_unit_test(a_code_is_taken_one_step_early_or_late),
        cmocka_unit_test(other_texts_are_no_codes),
        cmocka_unit_test(secrets_and_recovery_codes_are_random_and_readable),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
