/*
 * A recorded file that is still being written.
 *
 * Bytes that an MP4 has stay what they are while it grows, so that its validator
 * stays too: a download that broke off goes on, and "If-Range" with what a client
 * saw a moment ago gets its range.  But nothing may keep such an answer, which
 * would be told with the same validator that it is still all there is.
 *
 * A file that is begun anew under the same name has another validator, though its
 * inode may have the same number: the validator holds when the file was made, and
 * what it begins with, since a recorder that has written no more may write that anew.
 * An FLV has none, since its metadata is written again as it grows.
 */

#ifndef DUOLU_HTTP_GROWING_H
#define DUOLU_HTTP_GROWING_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

/* Is PATH, whose first ROOT bytes are the folder of recordings, being written? */
int growing_file(const ngx_str_t *path, size_t root);

/* Sets the validator of the file FD, when it can have one, and that nothing keeps
 * the answer. */
ngx_int_t growing_headers(ngx_http_request_t *r, int fd);

#endif
