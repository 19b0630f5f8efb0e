#include "recover_flv.h"
#include "recover_walk.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE  (1 << 20)
#define BLOCK      4096              /* a power cut may leave one as zeros */

typedef struct {
    int          fd;
    unsigned     doubt:1;            /* a power cut may have lost blocks */
    uint64_t     size;               /* of the file */
    uint64_t     limit;              /* offset of the first lost block, or SIZE */
    uint8_t     *buffer;
    size_t       room;
    flv_walk_t   walk;
} recovery_t;


/* A block of zeros is a lost one: coded pictures never hold so many
 * (14496-10, 7.4.1), and frames of sound are too short.  Only blocks near the
 * file's end may be lost. */
static void
find_lost(recovery_t *r, uint64_t at, size_t n)
{
    uint64_t  from = r->size > DOUBT_BYTES ? r->size - DOUBT_BYTES : 0, i;

    i = (ngx_max(at, from) + BLOCK - 1) / BLOCK * BLOCK;

    for ( ; i + BLOCK <= at + n && i < r->limit; i += BLOCK) {
        const uint8_t  *p = r->buffer + (i - at);

        if (p[0] == 0 && memcmp(p, p + 1, BLOCK - 1) == 0) {
            r->limit = i;
        }
    }
}


/* Walks over all whole tags.  Returns 0, or -1 with errno. */
static int
walk_all(recovery_t *r)
{
    size_t    need, done, whole;
    ssize_t   n;
    uint8_t  *larger;
    uint64_t  at;

    for ( ;; ) {
        at = r->walk.at;
        n = recover_read(r->fd, r->buffer, r->room, at);

        if (n == -1) {
            return -1;
        }

        if (r->doubt) {
            find_lost(r, at, (size_t) n);
        }

        whole = r->limit > at ? (size_t) ngx_min((uint64_t) n, r->limit - at)
                              : 0;
        done = flv_walk(&r->walk, r->buffer, whole, &need);

        if (done) {
            continue;
        }

        if (need == 0 || at >= r->limit || need > r->limit - at) {
            return 0;
        }

        larger = realloc(r->buffer, need);   /* a tag has at most 16 MB */
        if (larger == NULL) {
            return -1;
        }

        r->buffer = larger;
        r->room = need;
    }
}


/* Is the file's onMetaData exactly that of a closed file with these tags?  If not,
 * its writer may have written only a part. */
static int
is_closed(recovery_t *r, const flv_file_t *flv)
{
    ssize_t   n;
    uint8_t  *meta = r->buffer + FLV_META_SIZE;

    if (flv->meta.duration == 0) {
        return 0;
    }

    n = recover_read(r->fd, meta, FLV_META_SIZE, FLV_HEADER_SIZE);
    if (n == -1) {
        return -1;
    }

    (void) flv_write_meta(r->buffer, flv);

    return n == (ssize_t) FLV_META_SIZE
           && memcmp(r->buffer, meta, FLV_META_SIZE) == 0;
}


static int
write_meta(recovery_t *r, const recovered_t *out)
{
    (void) flv_write_meta(r->buffer, out->flv);
    errno = ENOSPC;

    return pwrite(r->fd, r->buffer, FLV_META_SIZE, FLV_HEADER_SIZE)
           == FLV_META_SIZE ? 0 : -1;
}


static int
recover_tags(recovery_t *r, const recover_file_t *file, int keep,
    recovered_t *out)
{
    int          closed;
    ssize_t      n;
    flv_meta_t   was;

    n = recover_read(r->fd, r->buffer, FLV_MEDIA_AT, 0);
    if (n == -1) {
        return -1;
    }

    errno = ENODATA;

    if (n < (ssize_t) FLV_MEDIA_AT || memcmp(r->buffer, "FLV", 3) != 0
        || flv_read_meta(r->buffer + FLV_HEADER_SIZE, &was) != 0)
    {
        return -1;
    }

    flv_walk_init(&r->walk, FLV_MEDIA_AT, out->flv);

    if (walk_all(r) != 0) {
        return -1;
    }

    if (r->walk.dts[0] < 0 && r->walk.dts[1] < 0) {
        errno = ENODATA;
        return -1;
    }

    out->size = r->walk.at;
    out->cut = r->size - r->walk.at;
    out->dts[0] = r->walk.dts[0];
    out->dts[1] = r->walk.dts[1];
    out->end = flv_walk_end(&r->walk);
    out->utc = file->utc;
    out->session = was.session;

    out->flv->meta.session = was.session;
    out->flv->meta.duration = was.duration;
    out->flv->meta.size = out->size;

    closed = is_closed(r, out->flv);
    if (closed == -1) {
        return -1;
    }

    out->ended = closed && !out->cut;

    if (out->ended) {
        out->end = (int64_t) was.duration;
    }

    out->flv->meta.duration = (uint64_t) out->end;

    if (out->cut && ftruncate(r->fd, (off_t) out->size) == -1) {
        return -1;
    }

    return keep && !out->ended ? write_meta(r, out) : 0;
}


int
recover_flv(const recover_file_t *file, int fd, int keep, recovered_t *out)
{
    int          rc = -1, failed;
    recovery_t   r;
    struct stat  st;

    ngx_memzero(&r, sizeof(recovery_t));
    ngx_memzero(out, sizeof(recovered_t));

    r.fd = fd;
    r.doubt = file->doubt;
    r.room = READ_SIZE;
    r.buffer = malloc(r.room);
    out->flv = malloc(sizeof(flv_file_t));

    if (r.buffer && out->flv && fstat(fd, &st) == 0) {
        r.size = r.limit = (uint64_t) st.st_size;
        rc = recover_tags(&r, file, keep, out);
    }

    failed = errno;

    if (rc == -1) {
        free(out->flv);
        out->flv = NULL;
    }

    free(r.buffer);
    errno = failed;

    return rc;
}
