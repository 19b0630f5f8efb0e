#ifndef DUOLU_NAMES_H
#define DUOLU_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_APP_MAX     32
#define NAME_STREAM_MAX  128
#define NAME_USER_MAX    64
#define NAME_FULL_MAX    (NAME_APP_MAX + 1 + NAME_STREAM_MAX)

/* Each check has beside it the text of its rule, for error messages (part of a printf format). */
#define NAME_APP_RULE     "1 to 32 of A-Z a-z 0-9 _ -"
#define NAME_STREAM_RULE  "1 to 128 bytes of UTF-8 without / .. space ? & # %% \" ' < > \\, " \
                          "control or invisible characters"
#define NAME_USER_RULE    "1 to 64 of A-Z a-z 0-9 . _ @ -"

bool name_app_valid(const char *text);
bool name_stream_valid(const char *text);

/*
 * Allows names that the rule above refuses but older releases allowed, so that users can
 * still find and manage such streams and recordings.
 */
bool name_stream_known(const char *text);

bool name_user_valid(const char *text);
bool name_utf8_valid(const char *text);

/* Settings of a stream whose value is one of a few words. */
#define NAME_VISIBILITY_RULE  "private, public or open"
#define NAME_RECORD_RULE      "never, always or demand"
bool name_visibility_valid(const char *text);
bool name_record_valid(const char *text);

#define NAME_SIZE_RULE  "bytes such as 500m, 20g or 2t, 0 for no limit"
/* k, m, g and t are powers of 1024. */
bool name_size_parse(const char *text, uint64_t *bytes);

#define NAME_TITLE_MAX  200     /* characters */
#define NAME_LABEL_MAX  64      /* bytes */
#define NAME_DISPLAY_MAX 80     /* characters */
#define NAME_TITLE_RULE "at most 200 characters, none invisible, none that reverses the text"
#define NAME_LABEL_RULE "at most 64 bytes of UTF-8, no character that is invisible or reverses " \
                        "the text"
#define NAME_LIMIT_MAX  10000000    /* for max_kbps and the like; 0 is no limit */

bool name_title_valid(const char *text);
bool name_label_valid(const char *text);

/* A person's name, "" for none. */
#define NAME_DISPLAY_RULE "at most 80 characters, none invisible, none that reverses the text, " \
                          "no space at an end"
bool name_display_valid(const char *text);

/*
 * Writes the text's Latin letters, in lower case, and digits, with one '-' for all else between
 * them: "Mei's Phone 2" becomes "mei-s-phone-2", and a text of other letters "".
 */
void name_plain(const char *text, char *out, size_t size);

/* Splits "live/demo" at the slash; false when either half is not a valid name. */
bool name_split(const char *full, char app[NAME_APP_MAX + 1],
                char stream[NAME_STREAM_MAX + 1]);

/* Percent-decodes in place; false when a sequence is broken or hides a NUL. */
bool name_percent_decode(char *text);

typedef enum { QUERY_FOUND, QUERY_ABSENT, QUERY_BAD } query_result_t;

/* Decodes the value of a key in "a=1&b=2"; QUERY_BAD when it is too long or malformed. */
query_result_t query_value(const char *query, const char *key, char *out, size_t size);

#endif
