#include "growing.h"

#include <sys/stat.h>

#include "answer.h"
#include "../media/mp4_read.h"
#include "../rules/rec_path.h"

#define GROWING_INIT_MAX  16384      /* two sequence headers, and boxes around them */


int
growing_file(const ngx_str_t *path, size_t root)
{
    char  name[NGX_MAX_PATH], marker[REC_MARKER_MAX];

    if (rec_path_marker(marker, (char *) path->data + root + 1) == 0
        || snprintf(name, sizeof(name), "%.*s/%s", (int) root, path->data,
                    marker) >= (int) sizeof(name))
    {
        return 0;
    }

    return access(name, F_OK) == 0;
}


/* Hashes the init segment of an MP4 to *CRC.  Returns -1 when the file has none
 * (yet). */
static int
hash_init(int fd, uint32_t *crc)
{
    u_char      start[GROWING_INIT_MAX];
    ssize_t     n = pread(fd, start, sizeof(start), 0);
    mp4_init_t  init;

    if (n <= 0 || mp4_read_init(start, (size_t) n, &init) != 0) {
        return -1;
    }

    *crc = ngx_crc32_long(start, init.size);

    return 0;
}


/* Adds the validator (ETag) of FD, if it can have one. */
static ngx_int_t
set_etag(ngx_http_request_t *r, int fd)
{
    u_char        *etag;
    uint32_t       crc;
    struct statx   st;

    if (hash_init(fd, &crc) != 0
        || statx(fd, "", AT_EMPTY_PATH, STATX_INO|STATX_BTIME, &st) == -1
        || !(st.stx_mask & STATX_BTIME))
    {
        return NGX_OK;
    }

    etag = ngx_pnalloc(r->pool, sizeof("\"----open\"") + 4 * 16);
    if (etag == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(etag, "\"%xL-%xL-%xD-%xD-open\"%Z",
                       (uint64_t) st.stx_ino, (uint64_t) st.stx_btime.tv_sec,
                       st.stx_btime.tv_nsec, crc);

    r->headers_out.etag = answer_header(r, "ETag", (char *) etag);

    return r->headers_out.etag ? NGX_OK : NGX_ERROR;
}


ngx_int_t
growing_headers(ngx_http_request_t *r, int fd)
{
    r->disable_not_modified = 1;

    return set_etag(r, fd) == NGX_OK
           && answer_header(r, "Cache-Control", "no-store")
           ? NGX_OK : NGX_ERROR;
}
