/*
 * Text that people chose: UTF-8, characters that nobody sees, and which names
 * a stream may have. One rule for nginx, which takes the publisher, and for
 * the service, which makes the stream.
 *
 * Source: RFC 3629; Unicode 15, general categories Cc, Cf, Zs and the property
 * Default_Ignorable_Code_Point.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_TEXT_H
#define DUOLU_MEDIA_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_NAME_MAX  128    /* bytes */

/* Reads one character of the LEN bytes at TEXT (at least 1).  Returns how many
 * bytes it takes, 0 when they are no UTF-8. */
size_t text_read(const char *text, size_t len, uint32_t *code);

/* Whether a character is not seen, or turns the order of others around:
 * controls, bidirectional marks, joiners, fillers, tags. */
int text_hidden(uint32_t code);

/* Whether it looks like a space, without being the one of ASCII. */
int text_blank(uint32_t code);

/* NULL when a stream may have this name, else a sentence that says why not. */
const char *stream_name_bad(const char *name, size_t len);

#endif
