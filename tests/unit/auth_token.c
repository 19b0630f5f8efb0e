/* Tests token.c: only signed tokens verify. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cases.h"
#include "names.h"
#include "token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW   1700000000
#define KEY1  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY2  "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
#define TWO_KEYS  "# comment\nk1 " KEY1 "\nk2 " KEY2 " # old\n"

static token_keys_t  keys;


static int start(void **state)
{
    char  error[200];

    (void) state;
    if (sodium_init() < 0) {
        return -1;
    }
    return token_keys_parse(&keys, TWO_KEYS, strlen(TWO_KEYS), error, sizeof(error));
}


static void make(char token[TOKEN_MAX], int64_t issued, int64_t expires)
{
    token_claims_t  claims = { 7, "live/demo", "view", issued, expires, 0, 0 };

    assert_true(token_sign(&keys, &claims, token));
}


/* Signs any header and body with the right key, as a leaked key would let an attacker do. */
static void sign_raw(const char *header, const char *body, char *out, size_t size)
{
    size_t         used;
    unsigned char  mac[32];

    sodium_bin2base64(out, size, (const unsigned char *) header, strlen(header),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    strcat(out, ".");
    used = strlen(out);
    sodium_bin2base64(out + used, size - used, (const unsigned char *) body, strlen(body),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    used = strlen(out);
    crypto_auth_hmacsha256(mac, (unsigned char *) out, used, keys.keys[0].key);
    out[used++] = '.';
    sodium_bin2base64(out + used, size - used, mac, sizeof(mac),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}


static void test_signed_verifies(void **state)
{
    char            token[TOKEN_MAX];
    token_claims_t  claims;

    (void) state;
    make(token, NOW, NOW + 60);
    assert_int_equal(token_verify(&keys, token, NOW, &claims), TOKEN_OK);
    assert_int_equal(claims.user, 7);
    assert_string_equal(claims.stream, "live/demo");
    assert_string_equal(claims.action, "view");
    assert_int_equal(claims.issued, NOW);
    assert_int_equal(claims.expires, NOW + 60);
}


/* a token for "watch" is one for "view" and for "replay", any other one for its action alone */
static void test_what_each_action_allows(void **state)
{
    static const struct {
        const char  *held;
        bool         view;
        bool         replay;
    }  cases[] = {
        { "view", true, false }, { "replay", false, true }, { "watch", true, true },
        { "known", false, false }, { "publish", false, false }, { "", false, false },
        { "Watch", false, false }, { "watcher", false, false }, { "view,replay", false, false },
    };

    size_t          i;
    token_claims_t  claims;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&claims, 0, sizeof(claims));
        strcpy(claims.action, cases[i].held);
        assert_int_equal(token_allows(&claims, "view"), cases[i].view);
        assert_int_equal(token_allows(&claims, "replay"), cases[i].replay);
        assert_false(token_allows(&claims, "other"));
    }
}


/* a token for "clip" names its span; one of a link gives "view" or "clip", whatever it says */
static void test_what_a_link_allows(void **state)
{
    static const struct {
        const char  *held;
        uint64_t     user;
        bool         view;
        bool         replay;
        bool         clip;
    }  cases[] = {
        { "view", 7, true, false, false }, { "replay", 7, false, true, true },
        { "watch", 7, true, true, true }, { "clip", 7, false, false, true },
        { "view", TOKEN_LINKS + 7, true, false, false },
        { "clip", TOKEN_LINKS + 7, false, false, true },
        { "replay", TOKEN_LINKS + 7, false, false, false },
        { "watch", TOKEN_LINKS + 7, false, false, false },
        { "view", TOKEN_LINKS, true, false, false }, { "watch", TOKEN_LINKS, true, true, true },
    };

    size_t          i;
    token_claims_t  claims;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&claims, 0, sizeof(claims));
        claims.user = cases[i].user;
        strcpy(claims.action, cases[i].held);
        assert_int_equal(token_allows(&claims, "view"), cases[i].view);
        assert_int_equal(token_allows(&claims, "replay"), cases[i].replay);
        assert_int_equal(token_allows(&claims, "clip"), cases[i].clip);
        assert_false(token_allows(&claims, "watch") && cases[i].user > TOKEN_LINKS);
        assert_int_equal(token_of_link(&claims), cases[i].user > TOKEN_LINKS);
    }
}


static void test_span_verifies(void **state)
{
    char            token[TOKEN_MAX];
    token_claims_t  claims = { TOKEN_LINKS + 7, "live/demo", "clip", NOW, NOW + 60, 1000, 2000 };

    (void) state;
    assert_true(token_sign(&keys, &claims, token));
    memset(&claims, 0, sizeof(claims));
    assert_int_equal(token_verify(&keys, token, NOW, &claims), TOKEN_OK);
    assert_int_equal(claims.from, 1000);
    assert_int_equal(claims.to, 2000);
    assert_true(claims.user == TOKEN_LINKS + 7);
}


/* the layout that nginx reads: RFC 7515 compact, no padding */
static void test_layout(void **state)
{
    char            token[TOKEN_MAX], json[256];
    size_t          length;
    const char     *dot;

    (void) state;
    make(token, NOW, NOW + 60);
    dot = strchr(token, '.');
    assert_null(strchr(token, '='));
    assert_int_equal(sodium_base642bin((unsigned char *) json, sizeof(json) - 1, token,
                                       (size_t) (dot - token), NULL, &length, NULL,
                                       sodium_base64_VARIANT_URLSAFE_NO_PADDING), 0);
    json[length] = '\0';
    assert_string_equal(json, "{\"alg\":\"HS256\",\"kid\":\"k1\"}");
    assert_int_equal(sodium_base642bin((unsigned char *) json, sizeof(json) - 1, dot + 1,
                                       strcspn(dot + 1, "."), NULL, &length, NULL,
                                       sodium_base64_VARIANT_URLSAFE_NO_PADDING), 0);
    json[length] = '\0';
    assert_string_equal(json, "{\"sub\":\"7\",\"s\":\"live/demo\",\"a\":\"view\","
                              "\"iat\":1700000000,\"exp\":1700000060}");
}


static void test_second_key_verifies(void **state)
{
    char            token[TOKEN_MAX];
    token_keys_t    old = { .count = 1 };
    token_claims_t  claims = { 7, "live/demo", "view", NOW, NOW + 60, 0, 0 };

    (void) state;
    old.keys[0] = keys.keys[1];
    assert_true(token_sign(&old, &claims, token));
    assert_int_equal(token_verify(&keys, token, NOW, &claims), TOKEN_OK);
}


/* a change of any single character voids the token */
static void test_tampered(void **state)
{
    char            token[TOKEN_MAX], copy[TOKEN_MAX];
    size_t          i;
    token_claims_t  claims;

    (void) state;
    make(token, NOW, NOW + 60);

    for (i = 0; token[i]; i++) {
        strcpy(copy, token);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(token_verify(&keys, copy, NOW, &claims), TOKEN_OK);
    }
    for (i = 0; token[i]; i++) {
        strcpy(copy, token);
        copy[i] = '\0';
        assert_int_not_equal(token_verify(&keys, copy, NOW, &claims), TOKEN_OK);
    }
}


static void test_expired(void **state)
{
    char            token[TOKEN_MAX];
    token_claims_t  claims;

    (void) state;
    make(token, NOW - 60, NOW);
    assert_int_equal(token_verify(&keys, token, NOW, &claims), TOKEN_EXPIRED);
    assert_int_equal(token_verify(&keys, token, NOW - 1, &claims), TOKEN_OK);
    /* issued further in the future than clocks may differ */
    make(token, NOW + 3600, NOW + 7200);
    assert_int_equal(token_verify(&keys, token, NOW, &claims), TOKEN_FUTURE);
}


#define BODY  "{\"sub\":\"7\",\"s\":\"live/demo\",\"a\":\"view\",\"iat\":1700000000," \
              "\"exp\":1700000060}"
#define HEAD  "{\"alg\":\"HS256\",\"kid\":\"k1\"}"

#define CLIP  "{\"sub\":\"7\",\"s\":\"l/d\",\"a\":\"clip\",\"iat\":1,\"exp\":1800000000"

static void test_raw_table(void **state)
{
    static const struct {
        const char     *header;
        const char     *body;
        token_result_t  result;
    }  cases[] = {
        { HEAD, BODY, TOKEN_OK },
        { "{\"alg\":\"none\",\"kid\":\"k1\"}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"alg\":\"HS512\",\"kid\":\"k1\"}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"alg\":\"hs256\",\"kid\":\"k1\"}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"kid\":\"k1\"}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"alg\":\"HS256\"}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"alg\":\"HS256\",\"kid\":7}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"alg\":\"HS256\",\"kid\":\"k9\"}", BODY, TOKEN_UNKNOWN_KEY },
        { "{\"alg\":\"none\",\"alg\":\"HS256\",\"kid\":\"k1\"}", BODY, TOKEN_MALFORMED },
        { "[]", BODY, TOKEN_MALFORMED },
        { "", BODY, TOKEN_MALFORMED },
        /* signed with k1's key but says k2 */
        { "{\"alg\":\"HS256\",\"kid\":\"k2\"}", BODY, TOKEN_FORGED },
        { HEAD, "", TOKEN_LACKS_CLAIM },
        { HEAD, "[]", TOKEN_LACKS_CLAIM },
        { HEAD, "{}", TOKEN_LACKS_CLAIM },
        { HEAD, "{\"sub\":7,\"s\":\"live/demo\",\"a\":\"view\",\"iat\":1,\"exp\":1800000000}",
          TOKEN_LACKS_CLAIM },
        { HEAD, "{\"sub\":\"0\",\"s\":\"l/d\",\"a\":\"view\",\"iat\":1,\"exp\":1800000000}",
          TOKEN_NO_USER },
        { HEAD, "{\"sub\":\"-1\",\"s\":\"l/d\",\"a\":\"view\",\"iat\":1,\"exp\":1800000000}",
          TOKEN_NO_USER },
        { HEAD, "{\"sub\":\"7\",\"s\":\"l/d\",\"a\":\"view\",\"iat\":1,\"exp\":\"1800000000\"}",
          TOKEN_LACKS_CLAIM },
        { HEAD, "{\"sub\":\"7\",\"s\":\"l/d\",\"a\":\"view\",\"iat\":1,\"exp\":18e8}",
          TOKEN_LACKS_CLAIM },
        { HEAD, "{\"sub\":\"7\",\"s\":\"l/d\",\"a\":\"a-very-long-action\",\"iat\":1,"
          "\"exp\":1800000000}", TOKEN_LACKS_CLAIM },
        /* a clip without a whole span */
        { HEAD, CLIP "}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"f\":1}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"t\":1}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"f\":2,\"t\":1}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"f\":-1,\"t\":1}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"f\":\"1\",\"t\":\"2\"}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"f\":1.0,\"t\":2}", TOKEN_LACKS_CLAIM },
        { HEAD, CLIP ",\"f\":1,\"t\":1}", TOKEN_OK },
    };

    char            token[2 * TOKEN_MAX];
    size_t          i;
    token_result_t  result;
    token_claims_t  claims;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sign_raw(cases[i].header, cases[i].body, token, sizeof(token));
        result = token_verify(&keys, token, NOW, &claims);
        if (result != cases[i].result) {
            fail_msg("%s . %s: %d, expected %d", cases[i].header, cases[i].body, result,
                     cases[i].result);
        }
    }
}


static void test_malformed(void **state)
{
    static const char *const  texts[] = {
        "", ".", "..", "...", "a.b", "a.b.c.d", "====.====.====", "\xff\xfe.\x80.x",
        "\"'; DROP TABLE users; --"
    };

    size_t          i;
    token_claims_t  claims;

    (void) state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(token_verify(&keys, texts[i], NOW, &claims), TOKEN_MALFORMED);
    }
}


static void test_64_kilobytes(void **state)
{
    char            *text = malloc(65537);
    token_claims_t   claims;

    (void) state;
    memset(text, 'A', 65536);
    text[65536] = '\0';
    assert_int_equal(token_verify(&keys, text, NOW, &claims), TOKEN_TOO_LONG);
    text[30000] = '.';
    text[60000] = '.';
    assert_int_equal(token_verify(&keys, text, NOW, &claims), TOKEN_TOO_LONG);
    free(text);
}


/* the longest names still fit into a token */
static void test_longest_name(void **state)
{
    char            token[TOKEN_MAX];
    token_claims_t  claims = { 1000000000000000000, "", "replay", NOW, NOW + 60, 0, 0 }, back;

    (void) state;
    memset(claims.stream, 'a', NAME_FULL_MAX);
    claims.stream[NAME_APP_MAX] = '/';
    assert_true(token_sign(&keys, &claims, token));
    assert_int_equal(token_verify(&keys, token, NOW, &back), TOKEN_OK);
    assert_string_equal(back.stream, claims.stream);
    assert_true(back.user == claims.user);
}


static void test_key_file(void **state)
{
    static const struct {
        const char  *text;
        const char  *error;     /* NULL: good */
    }  cases[] = {
        { "k1 " KEY1, NULL },
        { "\n# c\n  # c\nk1\t" KEY1 "\r\n", NULL },
        { "", "holds no key" },
        { "# only\n", "holds no key" },
        { "k1", "line 1" },
        { "k1 abcd", "line 1" },
        { "k1 " KEY1 "00", "line 1" },
        { "k1 " KEY1 " more", "line 1" },
        { "\nk1 " KEY1 "\nlonger-than-sixteen-kid " KEY1, "line 3" },
        { "k! " KEY1, "line 1" },
        { "k1 " KEY1 "\nk2 " KEY2 "\nk1 " KEY2, "line 3: a second key has the name k1" },
    };

    char          error[200];
    size_t        i;
    token_keys_t  got;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        error[0] = '\0';
        if ((token_keys_parse(&got, cases[i].text, strlen(cases[i].text), error, sizeof(error))
             == 0) != (cases[i].error == NULL))
        {
            fail_msg("\"%s\": %s", cases[i].text, error);
        }
        if (cases[i].error && strstr(error, cases[i].error) == NULL) {
            fail_msg("\"%s\": error is \"%s\"", cases[i].text, error);
        }
    }
}


static void key_file_case(char *column[CASES_COLUMNS])
{
    char          text[CASES_LINE], error[200], path[] = "/tmp/duolu-keys-XXXXXX";
    bool          taken;
    size_t        length;
    token_keys_t  got;
    int           fd = mkstemp(path);

    assert_true(fd >= 0);
    snprintf(text, sizeof(text), "%s", column[0]);
    cases_replace(text, sizeof(text), "K1", KEY1);
    cases_replace(text, sizeof(text), "K2", KEY2);
    length = cases_bytes(text);
    assert_int_equal(write(fd, text, length), length);
    close(fd);

    taken = token_keys_load(path, &got, error, sizeof(error));
    unlink(path);
    if (taken != (strcmp(column[1], "yes") == 0)) {
        fail_msg("\"%s\": expected %s: %s", column[0], column[1], taken ? "" : error);
    }
}


/* nginx gets the same cases: tests/nginx/shared.test.mjs */
static void test_key_files_as_nginx(void **state)
{
    (void) state;
    cases_read("token_keys.tsv", 30, key_file_case);
}


/* Replaces {now}, {now+60} and {now-1} by numbers. */
static void set_times(char *text, size_t size)
{
    char   what[32], with[24], *at;
    long   more;

    while ((at = strstr(text, "{now")) != NULL) {
        snprintf(what, sizeof(what), "%.*s", (int) strcspn(at, "}") + 1, at);
        more = strtol(at + 4, NULL, 10);
        snprintf(with, sizeof(with), "%ld", NOW + more);
        cases_replace(text, size, what, with);
    }
}


static void token_case(char *column[CASES_COLUMNS])
{
    char            body[CASES_LINE], token[2 * CASES_LINE];
    bool            taken;
    token_claims_t  claims;

    snprintf(body, sizeof(body), "%s", column[2]);
    set_times(body, sizeof(body));
    sign_raw(column[1], body, token, sizeof(token));
    cases_bytes(column[3]);
    strcat(token, column[3]);

    /* then the same check as the gate's */
    taken = token_verify(&keys, token, NOW, &claims) == TOKEN_OK
            && strcmp(claims.stream, "live/cam1") == 0 && token_allows(&claims, "view");
    if (taken != (strcmp(column[4], "yes") == 0)) {
        fail_msg("%s: expected %s", column[0], column[4]);
    }
}


static void test_tokens_as_nginx(void **state)
{
    (void) state;
    cases_read("tokens.tsv", 40, token_case);
}


static void test_key_file_made(void **state)
{
    char          folder[] = "/tmp/duolu-token-XXXXXX", path[64], error[512];
    token_keys_t  first, second;

    (void) state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/token.keys", folder);

    assert_false(token_keys_load(path, &first, error, sizeof(error)));
    assert_non_null(strstr(error, path));

    assert_true(token_keys_create(path, error, sizeof(error)));
    assert_true(token_keys_load(path, &first, error, sizeof(error)));
    /* a second call leaves the file alone */
    assert_true(token_keys_create(path, error, sizeof(error)));
    assert_true(token_keys_load(path, &second, error, sizeof(error)));
    assert_memory_equal(&first, &second, sizeof(first));

    assert_int_equal(chmod(path, 0644), 0);
    assert_false(token_keys_load(path, &first, error, sizeof(error)));
    assert_non_null(strstr(error, "644"));

    unlink(path);
    rmdir(folder);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_signed_verifies),
        cmocka_unit_test(test_what_each_action_allows),
        cmocka_unit_test(test_what_a_link_allows),
        cmocka_unit_test(test_span_verifies),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_second_key_verifies),
        cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_raw_table),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_64_kilobytes),
        cmocka_unit_test(test_longest_name),
        cmocka_unit_test(test_key_file),
        cmocka_unit_test(test_key_file_made),
        cmocka_unit_test(test_key_files_as_nginx),
        cmocka_unit_test(test_tokens_as_nginx),
    };

    return cmocka_run_group_tests_name("auth_token", tests, start, NULL);
}
