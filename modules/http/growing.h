/*
 * A recorded file that is still being written.
 *
 * An MP4 is append-only while it grows, so its validator (ETag) stays the same:
 * a client can resume a download, also by "If-Range" with an earlier ETag.  But
 * caches must not store the answer (no-store): they would revalidate it by the
 * same ETag and go on serving the shorter file.
 *
 * A new file of the same name gets another validator even if its inode has the
 * same number, as the validator contains the file's birth time.  It also
 * contains a hash of the init segment, which a recorder may rewrite while it is
 * all there is.  An FLV has no validator, since its metadata is rewritten as it
 * grows.
 */

#ifndef DUOLU_HTTP_GROWING_H
#define DUOLU_HTTP_GROWING_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

/* Is PATH, whose first ROOT bytes are the folder of recordings, being written? */
int growing_file(const ngx_str_t *path, size_t root);

/* Sets the validator of the file FD, if it can have one, and no-store. */
ngx_int_t growing_headers(ngx_http_request_t *r, int fd);

#endif
