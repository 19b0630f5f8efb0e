#include "text_buffer.h"


/* Makes room for SIZE bytes more. */
static int
text_room(text_t *t, size_t size)
{
    size_t   used = t->last - t->start, all;
    u_char  *p;

    if (t->failed || (size_t) (t->end - t->last) >= size) {
        return !t->failed;
    }

    all = ngx_max(2 * (size_t) (t->end - t->start), used + size);
    all = ngx_max(all, 2 * TEXT_STEP);

    p = realloc(t->start, all);
    if (p == NULL) {
        t->failed = 1;
        return 0;
    }

    t->start = p;
    t->last = p + used;
    t->end = p + all;

    return 1;
}


void
text_add(text_t *t, const char *format, ...)
{
    va_list  args;

    if (!text_room(t, TEXT_STEP)) {
        return;
    }

    va_start(args, format);
    t->last = ngx_vslprintf(t->last, t->last + TEXT_STEP, format, args);
    va_end(args);
}


void
text_append(text_t *t, const u_char *p, size_t size)
{
    if (size && text_room(t, size)) {
        t->last = ngx_cpymem(t->last, p, size);
    }
}


void
text_add_json(text_t *t, const u_char *string, size_t len)
{
    size_t  more = ngx_escape_json(NULL, (u_char *) string, len);

    if (!text_room(t, len + more + 2)) {
        return;
    }

    *t->last++ = '"';
    t->last = (u_char *) ngx_escape_json(t->last, (u_char *) string, len);
    *t->last++ = '"';
}


void
text_word(text_t *t, const char *word)
{
    text_append(t, (const u_char *) word, ngx_strlen(word));
}


void
text_number(text_t *t, uint64_t value)
{
    u_char  digits[NGX_INT64_LEN], *end = digits + sizeof(digits), *p = end;

    do {
        *--p = (u_char) ('0' + value % 10);
        value /= 10;
    } while (value);

    text_append(t, p, end - p);
}


void
text_seconds(text_t *t, uint64_t ms)
{
    u_char  fraction[4];

    fraction[0] = '.';
    fraction[1] = (u_char) ('0' + ms / 100 % 10);
    fraction[2] = (u_char) ('0' + ms / 10 % 10);
    fraction[3] = (u_char) ('0' + ms % 10);

    text_number(t, ms / 1000);
    text_append(t, fraction, sizeof(fraction));
}


void
text_free(text_t *t)
{
    free(t->start);
    ngx_memzero(t, sizeof(text_t));
}
