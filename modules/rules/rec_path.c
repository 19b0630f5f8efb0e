#include "rec_path.h"

#include <stdio.h>
#include <string.h>

#define UTC_MAX    253402300799999LL     /* the end of 9999 */
#define DAY_MS     86400000LL


typedef struct {
    unsigned  year, month, day, hour, minute, second, ms;
} utc_parts_t;


static int64_t
days_from_civil(unsigned year, unsigned month, unsigned day)
{
    unsigned  y = year - (month <= 2), era = y / 400, of_era = y % 400;
    unsigned  of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return (int64_t) era * 146097 + of_era * 365 + of_era / 4 - of_era / 100
           + of_year - 719468;
}


static void
civil_from_days(int64_t days, utc_parts_t *t)
{
    unsigned  z = (unsigned) (days + 719468), era = z / 146097;
    unsigned  d = z % 146097;
    unsigned  y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    unsigned  of_year = d - (365 * y + y / 4 - y / 100);
    unsigned  m = (5 * of_year + 2) / 153;

    t->day = of_year - (153 * m + 2) / 5 + 1;
    t->month = m < 10 ? m + 3 : m - 9;
    t->year = y + era * 400 + (t->month <= 2);
}


static void
utc_split(int64_t utc, utc_parts_t *t)
{
    unsigned  ms = (unsigned) (utc % DAY_MS);

    civil_from_days(utc / DAY_MS, t);
    t->hour = ms / 3600000;
    t->minute = ms / 60000 % 60;
    t->second = ms / 1000 % 60;
    t->ms = ms % 1000;
}


/* Returns ms since 1970, or -1 when T is no time since then. */
static int64_t
utc_join(const utc_parts_t *t)
{
    int64_t      days;
    utc_parts_t  same;

    if (t->year < 1970 || t->month < 1 || t->month > 12 || t->day < 1
        || t->day > 31 || t->hour > 23 || t->minute > 59 || t->second > 60)
    {
        return -1;
    }

    days = days_from_civil(t->year, t->month, t->day);
    civil_from_days(days, &same);

    if (same.day != t->day) {                /* February 30 */
        return -1;
    }

    return days * DAY_MS + t->hour * 3600000LL + t->minute * 60000LL
           + t->second * 1000LL + t->ms;
}


/* --- text --- */

static char *
put_number(char *p, unsigned value, unsigned digits)
{
    unsigned  i;

    for (i = digits; i > 0; i--) {
        p[i - 1] = (char) ('0' + value % 10);
        value /= 10;
    }

    return p + digits;
}


static char *
put_three(char *p, unsigned a, unsigned digits, unsigned b, unsigned c,
    char between)
{
    p = put_number(p, a, digits);
    *p++ = between;
    p = put_number(p, b, 2);
    *p++ = between;

    return put_number(p, c, 2);
}


typedef struct {
    const char  *p, *last;
    int          wrong;
} utc_text_t;


static unsigned
get_number(utc_text_t *t, unsigned digits)
{
    unsigned  value = 0;

    while (digits--) {
        if (t->p == t->last || *t->p < '0' || *t->p > '9') {
            t->wrong = 1;
            return 0;
        }
        value = value * 10 + (unsigned) (*t->p++ - '0');
    }

    return value;
}


static int
take_char(utc_text_t *t, char c)
{
    if (t->p < t->last && *t->p == c) {
        t->p++;
        return 1;
    }

    return 0;
}


static void
expect_char(utc_text_t *t, char c)
{
    t->wrong |= !take_char(t, c);
}


static void
get_date(utc_text_t *t, utc_parts_t *parts)
{
    parts->year = get_number(t, 4);
    expect_char(t, '-');
    parts->month = get_number(t, 2);
    expect_char(t, '-');
    parts->day = get_number(t, 2);
}


/* --- folders --- */

/* Is the name safe in paths, URIs and playlists? */
static int
is_name(const char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        unsigned char  c = (unsigned char) p[i];

        if (c <= 0x20 || c == 0x7f || strchr("/\\%\"", c)
            || (c == '.' && i + 1 < len && p[i + 1] == '.'))
        {
            return 0;
        }
    }

    return len > 0;
}


/* Returns 0 when NAME cannot be a folder's name. */
static size_t
put_name(char *out, size_t max, const char *name, size_t len)
{
    size_t  dot = len > 0 && name[0] == '.' ? 1 : 0;

    if (!is_name(name, len) || len + 2 * dot >= max) {
        return 0;
    }

    if (dot) {
        memcpy(out, "%2E", 3);
    }

    memcpy(out + 3 * dot, name + dot, len - dot);

    return len + 2 * dot;
}


static size_t
get_name(char *out, size_t max, const char *folder, size_t len)
{
    size_t  dot = len >= 3 && memcmp(folder, "%2E", 3) == 0 ? 1 : 0;
    size_t  n = len - 2 * dot;

    if (n == 0 || n >= max || folder[0] == '.') {
        return 0;
    }

    out[0] = '.';
    memcpy(out + dot, folder + 3 * dot, n - dot);

    return is_name(out, n) ? n : 0;
}


/* Encodes or decodes both parts of APP/NAME, each by itself. */
static size_t
each_name(char *out, size_t max, const char *text, size_t len,
    size_t (*convert)(char *, size_t, const char *, size_t))
{
    size_t       app, name;
    const char  *slash = len ? memchr(text, '/', len) : NULL;

    if (slash == NULL || max == 0) {
        return 0;
    }

    app = convert(out, max, text, (size_t) (slash - text));
    if (app == 0 || app + 1 >= max) {
        return 0;
    }

    out[app++] = '/';
    name = convert(out + app, max - app, slash + 1,
                   len - (size_t) (slash - text) - 1);
    if (name == 0) {
        return 0;
    }

    out[app + name] = '\0';

    return app + name;
}


size_t
rec_path_dir(char out[REC_DIR_MAX], const char *stream, size_t len)
{
    return each_name(out, REC_DIR_MAX, stream, len, put_name);
}


size_t
rec_path_stream(char *out, size_t max, const char *dir, size_t len)
{
    /* rec_path_dir() writes no longer folder */
    return len < REC_DIR_MAX ? each_name(out, max, dir, len, get_name) : 0;
}


/* --- files --- */

size_t
rec_path_file(char out[REC_FILE_MAX], int64_t utc, const char *ext)
{
    char         *p = out;
    size_t        len = strlen(ext);
    utc_parts_t   t;

    if (utc < 0 || utc > UTC_MAX || len + 25 > REC_FILE_MAX) {
        return 0;
    }

    utc_split(utc, &t);

    p = put_three(p, t.year, 4, t.month, t.day, '-');
    *p++ = '/';
    p = put_three(p, t.hour, 2, t.minute, t.second, '-');
    *p++ = '.';
    p = put_number(p, t.ms, 3);
    *p++ = '.';
    memcpy(p, ext, len + 1);

    return (size_t) (p - out) + len;
}


int64_t
rec_path_utc(const char *file, size_t len, const char *ext)
{
    size_t       n = strlen(ext);
    utc_text_t   text = { file, file + len, 0 };
    utc_parts_t  t;

    get_date(&text, &t);
    expect_char(&text, '/');
    t.hour = get_number(&text, 2);
    expect_char(&text, '-');
    t.minute = get_number(&text, 2);
    expect_char(&text, '-');
    t.second = get_number(&text, 2);
    expect_char(&text, '.');
    t.ms = get_number(&text, 3);
    expect_char(&text, '.');

    if (text.wrong || (size_t) (text.last - text.p) != n
        || memcmp(text.p, ext, n) != 0 || t.second > 59)
    {
        return -1;
    }

    return utc_join(&t);
}


/* --- markers --- */

#define MARKER_SLASH  "%2F"          /* no file's path contains it */


size_t
rec_path_marker(char out[REC_MARKER_MAX], const char *file)
{
    int    slashes = 0;
    char  *p = out + sprintf(out, "%s/", REC_MARKERS);

    if (strlen(file) >= REC_PATH_MAX) {
        return 0;
    }

    for ( /* void */ ; *file; file++) {
        if (*file != '/') {
            *p++ = *file;

        } else if (slashes++ < 3) {
            p += sprintf(p, "%s", MARKER_SLASH);

        } else {
            return 0;
        }
    }

    *p = '\0';

    return (size_t) (p - out);
}


size_t
rec_path_marked(char out[REC_PATH_MAX], const char *name)
{
    char  *p = out;

    while (*name) {
        if (p == out + REC_PATH_MAX - 1) {
            return 0;
        }

        if (strncmp(name, MARKER_SLASH, sizeof(MARKER_SLASH) - 1) == 0) {
            *p++ = '/';
            name += sizeof(MARKER_SLASH) - 1;

        } else {
            *p++ = *name++;
        }
    }

    *p = '\0';

    return (size_t) (p - out);
}


/* --- UTC --- */

size_t
utc_write(char out[UTC_TEXT_MAX], int64_t utc)
{
    char         *p = out;
    utc_parts_t   t;

    if (utc < 0 || utc > UTC_MAX) {
        *out = '\0';
        return 0;
    }

    utc_split(utc, &t);

    p = put_three(p, t.year, 4, t.month, t.day, '-');
    *p++ = 'T';
    p = put_three(p, t.hour, 2, t.minute, t.second, ':');
    *p++ = '.';
    p = put_number(p, t.ms, 3);
    *p++ = 'Z';
    *p = '\0';

    return (size_t) (p - out);
}


/* Reads a fraction of a second; digits after the third are cut off. */
static unsigned
get_fraction(utc_text_t *t)
{
    unsigned  ms = 0, unit = 100, n;

    for (n = 0; t->p < t->last && *t->p >= '0' && *t->p <= '9'; n++) {
        ms += unit * (unsigned) (*t->p++ - '0');
        unit /= 10;
    }

    t->wrong |= n == 0;

    return ms;
}


/* Reads the zone: ms to subtract from the local time. */
static int64_t
get_zone(utc_text_t *t)
{
    int       minus;
    unsigned  hours, minutes;

    if (take_char(t, 'Z') || take_char(t, 'z')) {
        return 0;
    }

    minus = take_char(t, '-');
    if (!minus) {
        expect_char(t, '+');
    }

    hours = get_number(t, 2);
    expect_char(t, ':');
    minutes = get_number(t, 2);
    t->wrong |= hours > 23 || minutes > 59;

    return (minus ? -1 : 1) * (int64_t) (hours * 60 + minutes) * 60000;
}


/* Reads a plain number.  Many programs count seconds since 1970, so a number
 * below UTC_SECONDS, which in ms would be before March 1973, counts seconds. */
static int64_t
read_plain_time(const char *text, size_t len)
{
    size_t   i;
    int64_t  value = 0;

    if (len == 0 || len > 15) {
        return -1;
    }

    for (i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }

    if (value < UTC_SECONDS) {
        value *= 1000;
    }

    return value <= UTC_MAX ? value : -1;
}


int64_t
utc_read(const char *text, size_t len)
{
    int64_t      utc, zone;
    utc_text_t   t = { text, text + len, 0 };
    utc_parts_t  parts = { 0, 0, 0, 0, 0, 0, 0 };

    if (len < 5 || text[4] != '-') {
        return read_plain_time(text, len);
    }

    get_date(&t, &parts);
    if (!take_char(&t, 't')) {
        expect_char(&t, 'T');
    }

    parts.hour = get_number(&t, 2);
    expect_char(&t, ':');
    parts.minute = get_number(&t, 2);

    if (take_char(&t, ':')) {
        parts.second = get_number(&t, 2);
        if (take_char(&t, '.')) {
            parts.ms = get_fraction(&t);
        }
    }

    zone = get_zone(&t);
    utc = utc_join(&parts);

    if (t.wrong || t.p != t.last || utc < 0) {
        return -1;
    }

    utc -= zone;

    return utc >= 0 && utc <= UTC_MAX ? utc : -1;
}
