#include "hls_name.h"

#include <stdio.h>
#include <string.h>

#define SHOWN  32               /* bytes of a wrong value that a sentence shows */

typedef struct {
    const unsigned char  *p, *end;
} cursor_t;


static const char  index_file[] = "index.m3u8", list_file[] = "live.m3u8";


/* --- numbers --- */

/* The value of a digit in BASE, or -1. */
static int
digit(unsigned char c, unsigned base)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* Reads a number of at most INT64_MAX.  Leading zeros are refused, so that a number
 * has one form only.  Returns 0 when there is none. */
static int
read_number(cursor_t *c, unsigned base, uint64_t *value)
{
    int                   d;
    const unsigned char  *start = c->p;

    for (*value = 0; c->p < c->end; c->p++) {
        d = digit(*c->p, base);
        if (d == -1) {
            break;
        }

        if (*value > ((uint64_t) INT64_MAX - (uint64_t) d) / base) {
            return 0;
        }
        *value = *value * base + (uint64_t) d;
    }

    return c->p > start && (*start != '0' || c->p == start + 1);
}


/* Passes TEXT.  Returns 0 when something else comes. */
static int
read_text(cursor_t *c, const char *text)
{
    size_t  len = strlen(text);

    if ((size_t) (c->end - c->p) < len || memcmp(c->p, text, len) != 0) {
        return 0;
    }
    c->p += len;

    return 1;
}


/* --- addresses --- */

/* Is TEXT the rest? */
static int
ends_with(const cursor_t *c, const char *text)
{
    cursor_t  rest = *c;

    return read_text(&rest, text) && rest.p == rest.end;
}


static enum hls_file
read_file(cursor_t c, hls_name_t *n)
{
    if (ends_with(&c, index_file)) {
        return HLS_INDEX;
    }

    if (ends_with(&c, list_file)) {
        return HLS_LIST;
    }

    if (!read_number(&c, 16, &n->session) || !read_text(&c, "-")) {
        return HLS_NO_FILE;
    }

    if (read_text(&c, "init-")) {
        return read_number(&c, 10, &n->number) && ends_with(&c, ".mp4")
               ? HLS_INIT : HLS_NO_FILE;
    }

    if (!read_number(&c, 10, &n->number)) {
        return HLS_NO_FILE;
    }

    if (ends_with(&c, ".m4s")) {
        return HLS_SEGMENT;
    }

    return read_text(&c, ".") && read_number(&c, 10, &n->part)
           && ends_with(&c, ".m4s") ? HLS_PART : HLS_NO_FILE;
}


int
hls_name_read(hls_name_t *n, const unsigned char *path, size_t len,
    size_t most)
{
    cursor_t  file = { path + len, path + len };

    memset(n, 0, sizeof(hls_name_t));

    while (file.p > path && file.p[-1] != '/') {
        file.p--;
    }

    if (file.p == path) {
        return 0;
    }

    n->file = read_file(file, n);

    return stream_path_read(&n->path, path, (size_t) (file.p - path) - 1, most);
}


size_t
hls_name_write(char out[HLS_NAME_MAX], enum hls_file file, uint64_t session,
    uint64_t number, uint64_t part)
{
    unsigned long long  s = session, n = number, p = part;

    out[0] = '\0';

    switch (file) {
    case HLS_INDEX:
        return (size_t) snprintf(out, HLS_NAME_MAX, "%s", index_file);
    case HLS_LIST:
        return (size_t) snprintf(out, HLS_NAME_MAX, "%s", list_file);
    case HLS_INIT:
        return (size_t) snprintf(out, HLS_NAME_MAX, "%llx-init-%llu.mp4", s, n);
    case HLS_SEGMENT:
        return (size_t) snprintf(out, HLS_NAME_MAX, "%llx-%llu.m4s", s, n);
    case HLS_PART:
        return (size_t) snprintf(out, HLS_NAME_MAX, "%llx-%llu.%llu.m4s", s, n, p);
    case HLS_NO_FILE:
        break;
    }

    return 0;
}


/* --- queries --- */

enum argument { ARG_MSN, ARG_PART, ARG_SKIP, ARG_WINDOW, ARGS };

#define ARG_NUMBER  ": digits without leading zeros, at most 9223372036854775807"

static const struct {
    const char  *name, *expected;
}  arguments[ARGS] = {
    { "_HLS_msn", "a media sequence number" ARG_NUMBER },
    { "_HLS_part", "the number of a part" ARG_NUMBER },
    { "_HLS_skip", "YES or v2" },
    { "window", "a number of seconds, 1 to 86400" },
};


/* WHY: VALUE was given for argument A.  Shows no bytes that a log or terminal could
 * take for something else.  Returns 0. */
static int
refuse_value(char why[HLS_WHY_MAX], enum argument a, cursor_t value)
{
    char    shown[SHOWN + 4] = "";
    size_t  i, len = (size_t) (value.end - value.p);

    for (i = 0; i < len && i < SHOWN; i++) {
        shown[i] = value.p[i] > ' ' && value.p[i] < 0x7f && value.p[i] != '"'
                   ? (char) value.p[i] : '?';
    }

    if (len > SHOWN) {
        strcpy(shown + SHOWN, "...");
    }

    (void) snprintf(why, HLS_WHY_MAX, "%s is \"%s\", expected %s", arguments[a].name,
                    shown, arguments[a].expected);
    return 0;
}


static int
read_value(hls_query_t *q, enum argument a, cursor_t value,
    char why[HLS_WHY_MAX])
{
    int         good;
    cursor_t    c = value;
    uint64_t   *const numbers[] = { &q->msn, &q->part, NULL, &q->window };

    if (a == ARG_SKIP) {
        good = ends_with(&c, "YES") || ends_with(&c, "v2");
    } else {
        good = read_number(&c, 10, numbers[a]) && c.p == c.end
               && (a != ARG_WINDOW || (q->window > 0 && q->window <= HLS_WINDOW_MAX));
    }

    return good || refuse_value(why, a, value);
}


/* Returns the argument that C begins with and passes its name; ARGS: another one. */
static enum argument
read_argument(cursor_t *c)
{
    size_t         len;
    enum argument  a;

    for (a = 0; a < ARGS; a++) {
        len = strlen(arguments[a].name);

        if ((size_t) (c->end - c->p) >= len
            && memcmp(c->p, arguments[a].name, len) == 0
            && (c->p + len == c->end || c->p[len] == '='))
        {
            c->p += len;
            c->p += c->p < c->end;
            break;
        }
    }

    return a;
}


int
hls_query_read(hls_query_t *q, const unsigned char *args, size_t len,
    char why[HLS_WHY_MAX])
{
    unsigned              given = 0;
    cursor_t              c;
    enum argument         a;
    const unsigned char  *end;

    memset(q, 0, sizeof(hls_query_t));
    why[0] = '\0';

    if (len == 0) {
        return 1;                            /* ARGS may be NULL */
    }

    for (end = args + len; args < end; args = c.end + 1) {
        c.p = args;
        c.end = memchr(args, '&', (size_t) (end - args));
        c.end = c.end ? c.end : end;

        a = read_argument(&c);
        if (a == ARGS) {
            continue;
        }

        if (given & 1u << a) {
            (void) snprintf(why, HLS_WHY_MAX, "%s is given twice, expected once",
                            arguments[a].name);
            return 0;
        }
        given |= 1u << a;

        if (!read_value(q, a, c, why)) {
            return 0;
        }
    }

    q->has_msn = (given & 1u << ARG_MSN) != 0;
    q->has_part = (given & 1u << ARG_PART) != 0;
    q->skip = (given & 1u << ARG_SKIP) != 0;

    if (q->has_part && !q->has_msn) {
        (void) snprintf(why, HLS_WHY_MAX, "_HLS_part is given without _HLS_msn, "
                        "expected both");
        return 0;
    }

    return 1;
}
