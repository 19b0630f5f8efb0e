/*
 * A recorded file that is still being written.
 *
 * An MP4 is append-only while it grows, so its validator (ETag) stays the same:
 * a client can resume a download, also by "If-Range" with an earlier ETag.  But
 * caches must not store the answer (no-store): they would revalidate it by the
 * same ETag and go on serving the shorter file.
 *
 * The validator contains the file's birth time, so that a new file of the same
 * name differs even if it has the same inode number.  It also contains a hash of
 * the init segment, since a recorder may rewrite a file that has nothing else
 * yet.  An FLV has no validator: its metadata is rewritten as it grows.
 */

#ifndef DUOLU_HTTP_GROWING_H
#define DUOLU_HTTP_GROWING_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

/* Is PATH being written?  Its first ROOT bytes are the folder of recordings. */
int growing_file(const ngx_str_t *path, size_t root);

/* Sets no-store and, unless the file FD is an FLV, its validator. */
ngx_int_t growing_headers(ngx_http_request_t *r, int fd);

#endif
