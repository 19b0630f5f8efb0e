#include "thumb.h"

#include <sys/stat.h>

#include "answer.h"
#include "../media/flv_file.h"


/* How far before the moment a key frame may be: two segments, since the newest may
 * not be complete. */
#define THUMB_BACK_MS  (2 * REC_SEGMENT_MAX)

/* The question's data, on the heap: the client may leave while a thread
 * works. */
typedef struct {
    ngx_str_t             *location;
    char                   file[REC_FILE_MAX];
    uint64_t               session;
    uint64_t               init, offset, size;   /* 0: nothing was found */
    struct statx           file_id;      /* its inode and birth */
    unsigned               growing:1;    /* a newer key frame may come */
} thumb_search_t;

/* The result, in the request's pool. */
typedef struct {
    ngx_str_t   file, id, cache;
    uint64_t    init, offset, size, user;
} thumb_t;


static ngx_int_t thumb_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* `at` is a variable's place in thumb_t. */
static const struct {
    ngx_str_t  name;
    size_t     at;
} thumb_variables[] = {
    { ngx_string("hub_history_file"), offsetof(thumb_t, file) },
    { ngx_string("hub_history_id"), offsetof(thumb_t, id) },
    { ngx_string("hub_history_cache"), offsetof(thumb_t, cache) },
    { ngx_string("hub_history_init"), offsetof(thumb_t, init) },
    { ngx_string("hub_history_offset"), offsetof(thumb_t, offset) },
    { ngx_string("hub_history_size"), offsetof(thumb_t, size) },
    { ngx_string("hub_history_user"), offsetof(thumb_t, user) },
};


ngx_int_t
history_thumb_variables(ngx_conf_t *cf)
{
    size_t                i;
    ngx_str_t             name;
    ngx_http_variable_t  *v;

    for (i = 0; i < sizeof(thumb_variables) / sizeof(thumb_variables[0]); i++) {
        name = thumb_variables[i].name;

        v = ngx_http_add_variable(cf, &name, 0);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = thumb_variable;
        v->data = thumb_variables[i].at;
    }

    return NGX_OK;
}


/* Marks the thumb_t of a request: nginx clears the modules' contexts on the
 * way to a named location, but keeps the pool's cleanups. */
static void
thumb_cleanup(void *data)
{
    /* the pool frees it */
}


static thumb_t *
thumb_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == thumb_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_int_t
thumb_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char     *p;
    ngx_str_t  *text;
    thumb_t    *thumb = thumb_get(r);

    if (thumb == NULL || thumb->file.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    if (data < offsetof(thumb_t, init)) {
        text = (ngx_str_t *) ((u_char *) thumb + data);
        v->data = text->data;
        v->len = text->len;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%uL", *(uint64_t *) ((u_char *) thumb + data)) - p;

    return NGX_OK;
}


/* The newest segment of FILE that begins with a key frame, at H's moment or before. */
static const rec_segment_t *
find_key_segment(const history_t *h, const history_file_t *file)
{
    uint32_t              n;
    const rec_segment_t  *segment;

    for (n = file->n; n > 0; n--) {
        segment = &h->range.segments[file->first + n - 1];

        if (!segment->dependent && segment->utc <= h->to) {
            return segment->utc >= h->least ? segment : NULL;
        }
    }

    return NULL;
}


/* Finds the newest key frame in the MP4 files. */
static void
find_in_mp4(history_t *h, thumb_search_t *search)
{
    size_t                 n;
    const history_file_t  *file;
    const rec_segment_t   *segment = NULL;

    for (n = h->range.nfiles; n > 0 && segment == NULL; n--) {
        file = &h->range.files[n - 1];
        segment = find_key_segment(h, file);

        if (segment) {
            ngx_memcpy(search->file, file->file, sizeof(search->file));
            search->session = file->head.session;
            search->init = file->head.init_size;
            search->offset = segment->offset;
            search->size = segment->size;
        }
    }
}


/* Reads the head of the tag at OFFSET.  Returns its type, or 0: there is no tag.
 * *SIZE: bytes of the whole tag.  *CONFIG: it is a sequence header. */
static int
read_tag(int fd, uint64_t offset, uint64_t *size, int *config)
{
    int          rc;
    u_char       p[FLV_TAG_HEADER_SIZE + 5];
    flv_frame_t  frame;

    if (pread(fd, p, sizeof(p), (off_t) offset) != (ssize_t) sizeof(p)) {
        return 0;
    }

    *size = FLV_TAG_OVERHEAD
            + ((uint64_t) p[1] << 16 | (uint64_t) p[2] << 8 | p[3]);

    rc = p[0] == FLV_VIDEO ? flv_parse_video(p + FLV_TAG_HEADER_SIZE, 5, &frame)
                           : flv_parse_audio(p + FLV_TAG_HEADER_SIZE, 5, &frame);
    *config = rc == FLV_OK && frame.config;

    return p[0];
}


/* Finds the newest key frame in the FLV's onMetaData.  `init` ends behind
 * onMetaData and the sequence headers.  There are no clips of FLV files, so nobody with
 * a token for a clip asks. */
static void
find_in_flv(history_t *h, thumb_search_t *search)
{
    int         fd, config;
    u_char      tag[FLV_META_SIZE];
    uint64_t    at, size;
    flv_key_t   key;
    flv_meta_t  meta;

    (void) rec_path_file(search->file, h->flv, "flv");
    fd = history_open(h, search->file);

    if (fd != -1
        && pread(fd, tag, FLV_META_SIZE, FLV_HEADER_SIZE) == FLV_META_SIZE
        && flv_read_meta(tag, &meta) == 0
        && flv_read_key(tag, (uint32_t) (h->to - h->flv), &key) == 0
        && read_tag(fd, key.position, &size, &config) == FLV_VIDEO)
    {
        search->session = meta.session;
        search->offset = key.position;
        search->size = size;

        for (at = FLV_MEDIA_AT; read_tag(fd, at, &size, &config) && config; ) {
            at += size;
        }

        search->init = at;
    }

    if (fd != -1) {
        (void) close(fd);
    }
}


/* Pool thread.  Checks that the file exists: a deleted recording has no
 * picture, even when one is cached. */
static void
thumb_work(history_t *h)
{
    int            fd;
    thumb_search_t  *search = h->data;

    search->growing |= history_growing(h) != 0;
    find_in_mp4(h, search);

    if (search->size == 0 && h->flv != -1 && h->least == 0) {
        find_in_flv(h, search);
    }

    fd = search->size ? history_open(h, search->file) : -1;

    if (fd == -1 || statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME,
                          &search->file_id) == -1)
    {
        history_fail(h, NGX_HTTP_NOT_FOUND, "nothing was recorded then");
    }

    if (fd != -1) {
        (void) close(fd);
    }
}


static void
thumb_free(history_t *h)
{
    free(h->data);
}


/* An id that differs for another file of the same name.  It includes the birth
 * time, since inode numbers are reused, but not the mtime, which changes while a
 * recording grows. */
static ngx_int_t
thumb_id(ngx_http_request_t *r, const thumb_search_t *search, ngx_str_t *id)
{
    id->data = ngx_pnalloc(r->pool, 4 * NGX_INT64_LEN + 3);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    id->len = ngx_sprintf(id->data, "%uL-%uL-%L.%uD", search->session,
                          (uint64_t) search->file_id.stx_ino,
                          (int64_t) search->file_id.stx_btime.tv_sec,
                          search->file_id.stx_btime.tv_nsec)
              - id->data;

    return NGX_OK;
}


static ngx_int_t
thumb_found(ngx_http_request_t *r, history_t *h)
{
    thumb_t             *thumb;
    thumb_search_t      *search = h->data;
    ngx_pool_cleanup_t  *cln = ngx_pool_cleanup_add(r->pool, sizeof(thumb_t));

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    thumb = cln->data;
    cln->handler = thumb_cleanup;
    thumb->init = search->init;
    thumb->offset = search->offset;
    thumb->size = search->size;
    thumb->user = h->uid;

    ngx_str_set(&thumb->cache, "private, max-age=86400");
    if (search->growing) {
        ngx_str_set(&thumb->cache, "no-store");
    }

    if (history_path(r, h, search->file, &thumb->file) != NGX_OK
        || thumb_id(r, search, &thumb->id) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_named_location(r, search->location);
}


ngx_int_t
history_thumb(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    ngx_str_t *location, int now)
{
    thumb_search_t  *search = calloc(1, sizeof(thumb_search_t));

    if (search == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    search->location = location;
    search->growing = now != 0;

    h->from = ngx_max(h->to - THUMB_BACK_MS, 0);
    h->pictures = 1;
    h->data = search;
    h->work = thumb_work;
    h->done = thumb_found;
    h->free = thumb_free;

    return history_ask(h, pool);
}
