#include "text.h"

#include <string.h>


typedef struct {
    uint32_t  first;
    uint32_t  last;
} text_range_t;

static const text_range_t  hidden[] = {
    { 0x0000, 0x001f },                      /* C0 */
    { 0x007f, 0x009f },                      /* DEL, C1 */
    { 0x00ad, 0x00ad },                      /* soft hyphen */
    { 0x034f, 0x034f },                      /* combining grapheme joiner */
    { 0x061c, 0x061c },                      /* Arabic letter mark */
    { 0x115f, 0x1160 },                      /* Hangul fillers */
    { 0x17b4, 0x17b5 },                      /* Khmer inherent vowels */
    { 0x180b, 0x180e },                      /* Mongolian separators */
    { 0x200b, 0x200f },                      /* zero width, joiners, marks */
    { 0x2028, 0x202e },                      /* separators, embeddings */
    { 0x2060, 0x206f },                      /* word joiner, isolates */
    { 0x3164, 0x3164 },                      /* Hangul filler */
    { 0xfeff, 0xfeff },                      /* byte order mark */
    { 0xffa0, 0xffa0 },                      /* halfwidth Hangul filler */
    { 0xfff0, 0xfffb },                      /* annotations */
    { 0xfffe, 0xffff },                      /* no characters */
    { 0x1bca0, 0x1bca3 },                    /* shorthand controls */
    { 0x1d173, 0x1d17a },                    /* musical controls */
    { 0xe0000, 0xe0fff },                    /* tags, variation supplements */
};

static const text_range_t  blank[] = {
    { 0x00a0, 0x00a0 },
    { 0x1680, 0x1680 },
    { 0x2000, 0x200a },
    { 0x202f, 0x202f },
    { 0x205f, 0x205f },
    { 0x2800, 0x2800 },                      /* Braille without a dot */
    { 0x3000, 0x3000 },
};


static int
text_in(uint32_t code, const text_range_t *ranges, size_t count)
{
    size_t  i;

    for (i = 0; i < count && code >= ranges[i].first; i++) {
        if (code <= ranges[i].last) {
            return 1;
        }
    }

    return 0;
}


int
text_hidden(uint32_t code)
{
    return text_in(code, hidden, sizeof(hidden) / sizeof(hidden[0]));
}


int
text_blank(uint32_t code)
{
    return text_in(code, blank, sizeof(blank) / sizeof(blank[0]));
}


/* RFC 3629, section 4: no overlong form, no surrogate, nothing past U+10FFFF. */
size_t
text_read(const char *text, size_t len, uint32_t *code)
{
    size_t                i, size;
    uint32_t              least;
    const unsigned char  *p = (const unsigned char *) text;

    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }

    if (p[0] >= 0xc0 && p[0] < 0xe0) {
        size = 2;
        least = 0x80;
        *code = p[0] & 0x1f;
    } else if (p[0] >= 0xe0 && p[0] < 0xf0) {
        size = 3;
        least = 0x800;
        *code = p[0] & 0x0f;
    } else if (p[0] >= 0xf0 && p[0] < 0xf8) {
        size = 4;
        least = 0x10000;
        *code = p[0] & 0x07;
    } else {
        return 0;
    }

    if (len < size) {
        return 0;
    }

    for (i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (p[i] & 0x3f);
    }

    return *code < least || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)
           ? 0 : size;
}


const char *
stream_name_bad(const char *name, size_t len)
{
    size_t    at, size;
    uint32_t  code;

    if (len == 0 || len > STREAM_NAME_MAX) {
        return "bad stream name: expected 1 to 128 bytes";
    }

    for (at = 0; at < len; at += size) {
        size = text_read(name + at, len - at, &code);

        if (size == 0) {
            return "bad stream name: it is not UTF-8";
        }
        if (code <= 0x20 || code == 0x7f || (code < 0x80 && strchr("/\\?&#%\"'<>", (int) code))) {
            return "bad stream name: it has a slash, space, control or "
                   "reserved character";
        }
        if (text_hidden(code) || text_blank(code)) {
            return "bad stream name: it has an invisible character";
        }
        if (code == '.' && at + 1 < len && name[at + 1] == '.') {
            return "bad stream name: it has \"..\"";
        }
    }

    return NULL;
}
