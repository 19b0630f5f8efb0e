/*
 * A token in a log is a risk: its reader could use it.  So every run of characters
 * that may be a token, in any spelling, is logged as three stars.
 */

#ifndef DUOLU_HTTP_MASK_H
#define DUOLU_HTTP_MASK_H

#include <ngx_config.h>
#include <ngx_core.h>

/* The shortest token has 168 bytes, the longest name of a stream 128. */
#define MASK_RUN  140

/* Copies LEN bytes of SRC to DST with three stars for each such run, and
 * returns its end; DST may be SRC. */
u_char *mask_copy(u_char *dst, const u_char *src, size_t len);

/* Masks all lines of LOG and of the logs behind it, at every level, until POOL
 * ends.  Idempotent: a masked log is left as it is. */
ngx_int_t mask_log(ngx_pool_t *pool, ngx_log_t *log);

#endif
