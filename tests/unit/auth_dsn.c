/* Tests dsn.c, which parses DUOLU_DB. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsn.h"

#include <stdio.h>
#include <string.h>


static void test_good(void **state)
{
    static const struct {
        const char  *text;
        dsn_t        dsn;
    }  cases[] = {
        { "mysql://u@db.example/duolu", { "u", "", "db.example", "duolu", "", "", 3306 } },
        { "mysql://u:p@db:3307/d", { "u", "p", "db", "d", "", "", 3307 } },
        { "mysql://u:p%40s%3as@h/d", { "u", "p@s:s", "h", "d", "", "", 3306 } },
        { "mysql://u:p@s@h/d", { "u", "p@s", "h", "d", "", "", 3306 } },
        { "mysql://u:@h/d", { "u", "", "h", "d", "", "", 3306 } },
        { "mysql://u@[::1]:33/d", { "u", "", "::1", "d", "", "", 33 } },
        { "mysql://u@h/d?ca=/etc/ca.pem", { "u", "", "h", "d", "", "/etc/ca.pem", 3306 } },
        { "mysql://u@localhost/d?socket=/run/my.sock",
          { "u", "", "localhost", "d", "/run/my.sock", "", 3306 } },
        { "mysql://u@localhost/d?socket=/a%20b&ca=/c",
          { "u", "", "localhost", "d", "/a b", "/c", 3306 } },
    };

    char    error[300];
    dsn_t   dsn;
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!dsn_parse(cases[i].text, &dsn, error, sizeof(error))) {
            fail_msg("%s: %s", cases[i].text, error);
        }
        assert_string_equal(dsn.user, cases[i].dsn.user);
        assert_string_equal(dsn.password, cases[i].dsn.password);
        assert_string_equal(dsn.host, cases[i].dsn.host);
        assert_string_equal(dsn.database, cases[i].dsn.database);
        assert_string_equal(dsn.socket, cases[i].dsn.socket);
        assert_string_equal(dsn.ca, cases[i].dsn.ca);
        assert_int_equal(dsn.port, cases[i].dsn.port);
    }
}


static void test_bad(void **state)
{
    static const struct {
        const char  *text;
        const char  *error;
    }  cases[] = {
        { "", "does not start with mysql://" },
        { "postgres://u@h/d", "does not start with mysql://" },
        { "mysql://", "names no database" },
        { "mysql://u@h", "names no database" },
        { "mysql://u@h/", "names no database" },
        { "mysql://u@h/?socket=/x", "names no database" },
        { "mysql://h/d", "names no user" },
        { "mysql://@h/d", "names no user" },
        { "mysql://:p@h/d", "names no user" },
        { "mysql://u@/d", "names no host" },
        { "mysql://u@h:0/d", "port" },
        { "mysql://u@h:65536/d", "port" },
        { "mysql://u@h:x/d", "port" },
        { "mysql://u@h:/d", "port" },
        { "mysql://u@[::1/d", "without ']'" },
        { "mysql://u@[::1]x/d", "between the host and its port" },
        { "mysql://u:%zz@h/d", "password" },
        { "mysql://u@h/d?tls=off", "unknown option" },
        { "mysql://u@h/d?socket=relative", "not absolute" },
        { "mysql://u@h/d?socket=/"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "socket path" },
    };

    char    error[300];
    dsn_t   dsn;
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        error[0] = '\0';
        if (dsn_parse(cases[i].text, &dsn, error, sizeof(error))) {
            fail_msg("accepted: %s", cases[i].text);
        }
        if (strstr(error, cases[i].error) == NULL || strstr(error, "expected") == NULL) {
            fail_msg("%s: error is \"%s\"", cases[i].text, error);
        }
    }
}


/* neither an error nor a description shows the password */
static void test_password_hidden(void **state)
{
    char   text[700];
    dsn_t  dsn;

    (void) state;
    assert_false(dsn_parse("mysql://u:hunter2@h:x/d", &dsn, text, sizeof(text)));
    assert_null(strstr(text, "hunter2"));
    assert_true(dsn_parse("mysql://u:hunter2@h/d", &dsn, text, sizeof(text)));
    dsn_describe(&dsn, text, sizeof(text));
    assert_string_equal(text, "u@h:3306 (database d, TLS)");
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_password_hidden),
    };

    return cmocka_run_group_tests_name("auth_dsn", tests, NULL, NULL);
}
