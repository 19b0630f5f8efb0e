#include "names.h"
#include "../../modules/rules/text.h"

#include <stdlib.h>
#include <string.h>


static bool name_letters_valid(const char *text, size_t max, const char *more)
{
    size_t  length = strlen(text);

    if (length == 0 || length > max) {
        return false;
    }

    for (; *text; text++) {
        if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
            || (*text >= '0' && *text <= '9') || strchr(more, *text))
        {
            continue;
        }
        return false;
    }

    return true;
}


bool name_app_valid(const char *text)
{
    return name_letters_valid(text, NAME_APP_MAX, "_-");
}


bool name_user_valid(const char *text)
{
    return name_letters_valid(text, NAME_USER_MAX, "._@-");
}


bool name_utf8_valid(const char *text)
{
    size_t    remaining, size;
    uint32_t  code;

    for (remaining = strlen(text); remaining > 0; remaining -= size, text += size) {
        size = text_read(text, remaining, &code);
        if (size == 0) {
            return false;
        }
    }

    return true;
}


/* Allows U+200C and U+200D, which join and separate visible letters and emoji. */
static bool name_words_valid(const char *text, size_t most)
{
    size_t    remaining, size, characters = 0;
    uint32_t  code;

    for (remaining = strlen(text); remaining > 0; remaining -= size, text += size) {
        size = text_read(text, remaining, &code);
        if (size == 0 || ++characters > most
            || (text_hidden(code) && code != 0x200c && code != 0x200d))
        {
            return false;
        }
    }

    return true;
}


bool name_visibility_valid(const char *text)
{
    return strcmp(text, "private") == 0 || strcmp(text, "public") == 0
           || strcmp(text, "open") == 0;
}


bool name_record_valid(const char *text)
{
    return strcmp(text, "never") == 0 || strcmp(text, "always") == 0
           || strcmp(text, "demand") == 0;
}


bool name_size_parse(const char *text, uint64_t *bytes)
{
    static const char  units[] = "kmgt";

    char                 unit;
    size_t               digits = strspn(text, "0123456789");
    unsigned             shift;
    const char          *found;
    unsigned long long   value;

    if (digits == 0 || digits > 15 || (text[digits] && text[digits + 1])) {
        return false;
    }

    value = strtoull(text, NULL, 10);
    unit = text[digits];

    if (unit) {
        found = strchr(units, unit >= 'A' && unit <= 'Z' ? unit - 'A' + 'a' : unit);
        if (found == NULL) {
            return false;
        }
        shift = 10 * (unsigned) (found - units + 1);
        if (value > (unsigned long long) INT64_MAX >> shift) {
            return false;
        }
        value <<= shift;
    }

    *bytes = value;
    return true;
}


bool name_title_valid(const char *text)
{
    return name_words_valid(text, NAME_TITLE_MAX);
}


bool name_label_valid(const char *text)
{
    return strlen(text) <= NAME_LABEL_MAX && name_words_valid(text, NAME_LABEL_MAX);
}


bool name_display_valid(const char *text)
{
    size_t  length = strlen(text);

    return name_words_valid(text, NAME_DISPLAY_MAX)
           && (length == 0 || (text[0] != ' ' && text[length - 1] != ' '));
}


void name_plain(const char *text, char *out, size_t size)
{
    bool    gap = false;
    size_t  used = 0;

    for (; *text && used + 2 < size; text++) {

        if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
              || (*text >= '0' && *text <= '9')))
        {
            gap = used > 0;
            continue;
        }

        if (gap) {
            out[used++] = '-';
            gap = false;
        }
        out[used++] = *text >= 'A' && *text <= 'Z' ? (char) (*text - 'A' + 'a') : *text;
    }

    out[used] = '\0';
}


bool name_stream_valid(const char *text)
{
    return stream_name_bad(text, strlen(text)) == NULL;
}


bool name_stream_known(const char *text)
{
    const unsigned char  *p;
    size_t                length = strlen(text);

    if (length == 0 || length > NAME_STREAM_MAX || strstr(text, "..")) {
        return false;
    }

    for (p = (const unsigned char *) text; *p; p++) {
        if (*p <= 0x20 || *p == 0x7f || strchr("/?&#%\"<>\\", *p)) {
            return false;
        }
    }

    return name_utf8_valid(text);
}


bool name_split(const char *full, char app[NAME_APP_MAX + 1],
                char stream[NAME_STREAM_MAX + 1])
{
    const char  *slash = strchr(full, '/');
    size_t       length;

    if (slash == NULL) {
        return false;
    }

    length = (size_t) (slash - full);
    if (length > NAME_APP_MAX || strlen(slash + 1) > NAME_STREAM_MAX) {
        return false;
    }

    memcpy(app, full, length);
    app[length] = '\0';
    strcpy(stream, slash + 1);

    return name_app_valid(app) && name_stream_known(stream);
}


static int name_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}


bool name_percent_decode(char *text)
{
    char  *out = text;
    int    high, low;

    for (; *text; text++) {

        if (*text != '%') {
            *out++ = *text;
            continue;
        }

        high = name_hex(text[1]);
        low = high < 0 ? -1 : name_hex(text[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            return false;
        }

        *out++ = (char) (high * 16 + low);
        text += 2;
    }

    *out = '\0';
    return true;
}


query_result_t query_value(const char *query, const char *key, char *out, size_t size)
{
    size_t       key_length = strlen(key), length;
    const char  *end;

    for (; *query; query = *end ? end + 1 : end) {

        end = query + strcspn(query, "&");

        if (strncmp(query, key, key_length) != 0 || query[key_length] != '=') {
            continue;
        }

        query += key_length + 1;
        length = (size_t) (end - query);
        if (length >= size) {
            return QUERY_BAD;
        }

        memcpy(out, query, length);
        out[length] = '\0';
        return name_percent_decode(out) ? QUERY_FOUND : QUERY_BAD;
    }

    return QUERY_ABSENT;
}
