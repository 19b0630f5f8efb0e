/*
 * A text buffer that grows, on the heap.
 */

#ifndef DUOLU_HTTP_TEXT_BUFFER_H
#define DUOLU_HTTP_TEXT_BUFFER_H

#include <ngx_config.h>
#include <ngx_core.h>

/* Zeroed at first; freed with text_free(). */
typedef struct {
    u_char    *start, *last, *end;
    unsigned   failed:1;           /* no memory: the text is incomplete */
} text_t;

/* Appends FORMAT (of ngx_sprintf), at most TEXT_STEP bytes at once. */
#define TEXT_STEP  512
void text_add(text_t *t, const char *format, ...);

void text_append(text_t *t, const u_char *p, size_t size);

/* Appends STRING (UTF-8) quoted, as JSON wants it. */
void text_add_json(text_t *t, const u_char *string, size_t len);

/* Append without a format, for speed: a string, a number, MS as seconds ("2.040"). */
void text_word(text_t *t, const char *word);
void text_number(text_t *t, uint64_t value);
void text_seconds(text_t *t, uint64_t ms);

void text_free(text_t *t);

static ngx_inline size_t
text_size(const text_t *t)
{
    return t->last - t->start;
}

#endif
