/*
 * Text that people choose: UTF-8, invisible characters, and valid names of
 * streams.  nginx, which admits a publisher, and the service, which creates a
 * stream, share this rule.
 *
 * Source: RFC 3629; Unicode 15, general categories Cc, Cf, Zs and the property
 * Default_Ignorable_Code_Point.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_RULES_TEXT_H
#define DUOLU_RULES_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_NAME_MAX  128    /* bytes */

/* Reads one character of the LEN bytes at TEXT (at least 1).  Returns its number
 * of bytes, 0 when they are no UTF-8. */
size_t text_read(const char *text, size_t len, uint32_t *code);

/* Is a character invisible, or does it change the order of others?  Such are
 * controls, bidirectional marks, joiners, fillers and tags. */
int text_hidden(uint32_t code);

/* Does it look like a space without being the ASCII one? */
int text_blank(uint32_t code);

/* Returns NULL when a stream may have this name, else the reason as a sentence. */
const char *stream_name_bad(const char *name, size_t len);

#endif
