#include "clip.h"

#include <ngx_md5.h>

#include "answer.h"
#include "../hub/hub.h"
#include "../hub/hub_socket.h"
#include "../media/avc.h"
#include "../media/movie.h"

#define CLIP_FILES     256           /* open while the clip is sent */
#define CLIP_HEAD_MAX  (64 * 1024 * 1024)
#define CLIP_INIT_MAX  65536
#define CLIP_SAMPLES   4096          /* of one fragment */
#define CLIP_READ      4096          /* most moof boxes are shorter */
#define CLIP_MOOF_MAX  (1024 * 1024)
#define CLIP_JOINT_MS  1500          /* more time between files is a gap */


/* A recorded file, and what of it is in the clip.  Browsers tell their decoder
 * of a movie's first configuration alone, so a clip of several has parameter
 * sets in front of each key frame that begins a fragment. */
typedef struct {
    int           fd;                /* -1: not open */
    uint64_t      offset, size;
    uint8_t      *init;
    mp4_init_t    head;
    uint8_t      *sets;
    size_t        sets_size;         /* 0: none are needed */
    uint64_t     *cuts;              /* where in the file they go */
    size_t        ncuts;
} clip_file_t;

typedef struct {
    history_t       *history;
    clip_limits_t    limits;
    access_holder_t  holder;

    clip_file_t     *files;
    size_t           nfiles;
    movie_t          movie;
    uint8_t         *out;            /* the head of the clip */
    size_t           out_size;
    uint64_t         payload;
    uint8_t          digest[16];

    uint8_t         *box;            /* the moof in hand */
    size_t           box_size;
    mp4_sample_t    *samples;

    ngx_http_request_t  *request;
    hub_client_t     client;
    off_t            sent;           /* on the connection, before the clip */
    unsigned         counted:1;      /* among clips_sent */
} clip_t;


static ngx_int_t  clips_sent;        /* now, by this worker */


/* --- pool thread: reading --- */

/* Reads SIZE bytes at OFFSET.  Returns 0; -1 and the question has failed. */
static int
read_at(clip_t *c, const history_file_t *file, int fd, uint8_t *p, size_t size,
    uint64_t offset)
{
    ssize_t  n;

    while (size) {
        n = pread(fd, p, size, (off_t) offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            history_fail(c->history, NGX_HTTP_INTERNAL_SERVER_ERROR,
                         "cannot read %s at %llu: %s", file->file,
                         (unsigned long long) offset,
                         n == 0 ? "it ends there" : strerror(errno));
            return -1;
        }

        p += n;
        size -= (size_t) n;
        offset += (uint64_t) n;
    }

    return 0;
}


static int
clip_broken(clip_t *c, const history_file_t *file, uint64_t offset)
{
    history_fail(c->history, NGX_HTTP_INTERNAL_SERVER_ERROR,
                 "%s has no fragment of ours at %llu, where its index says so",
                 file->file, (unsigned long long) offset);
    return -1;
}


static int
clip_no_memory(clip_t *c)
{
    history_fail(c->history, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
    return -1;
}


/* Opens FILE, reads its head and checks that it holds all it should. */
static int
open_file(clip_t *c, const history_file_t *file, clip_file_t *f)
{
    struct stat           st;
    const rec_segment_t  *first = &c->history->range.segments[file->first];
    const rec_segment_t  *last = first + file->n - 1;
    size_t                size = (size_t) file->head.init_size;

    f->offset = first->offset;
    f->size = last->offset + last->size - first->offset;
    f->fd = history_open(c->history, file->file);

    if (f->fd == -1) {
        history_fail(c->history, NGX_HTTP_NOT_FOUND, "cannot open %s: %s",
                     file->file, strerror(errno));
        return -1;
    }

    if (fstat(f->fd, &st) == -1 || size > CLIP_INIT_MAX
        || last->offset < first->offset
        || (uint64_t) st.st_size < f->offset + f->size)
    {
        return clip_broken(c, file, f->offset);
    }

    f->init = malloc(size + !size);
    if (f->init == NULL) {
        return clip_no_memory(c);
    }

    if (read_at(c, file, f->fd, f->init, size, 0) != 0) {
        return -1;
    }

    return mp4_read_init(f->init, size, &f->head) == 0
           ? 0 : clip_broken(c, file, 0);
}


/* Makes c->box hold at least SIZE bytes of what is at OFFSET, as much as there
 * is before END.  Returns 0 or -1. */
static int
read_box(clip_t *c, const history_file_t *file, int fd, uint64_t offset,
    uint64_t end, size_t size)
{
    uint8_t  *more;

    if (size > CLIP_MOOF_MAX || size > end - offset) {
        return clip_broken(c, file, offset);
    }

    if (size > c->box_size) {
        more = realloc(c->box, size);
        if (more == NULL) {
            return clip_no_memory(c);
        }
        c->box = more;
        c->box_size = size;
    }

    return read_at(c, file, fd, c->box, size, offset);
}


/* Reads the moof at OFFSET into FRAGMENT.  Returns the offset of its samples, 0
 * when the question has failed. */
static uint64_t
read_fragment(clip_t *c, const history_file_t *file, int fd, uint64_t offset,
    uint64_t end, mp4_fragment_t *fragment)
{
    size_t     got = ngx_min((uint64_t) CLIP_READ, end - offset), need;
    mp4_box_t  moof, mdat;

    if (read_box(c, file, fd, offset, end, got) != 0) {
        return 0;
    }

    if (mp4_read_box(c->box, got, &moof) != 0 || moof.size > CLIP_MOOF_MAX) {
        (void) clip_broken(c, file, offset);
        return 0;
    }

    need = (size_t) moof.size + 8;

    if (need > got && read_box(c, file, fd, offset, end, need) != 0) {
        return 0;
    }

    if (need > end - offset
        || mp4_read_fragment(c->box, (size_t) moof.size, fragment, c->samples,
                             CLIP_SAMPLES) != 0
        || mp4_read_box(c->box + moof.size, 8, &mdat) != 0
        || mdat.type != MP4_BOX('m', 'd', 'a', 't')
        || mdat.size != 8 + fragment->data
        || offset + moof.size + mdat.size > end)
    {
        (void) clip_broken(c, file, offset);
        return 0;
    }

    return offset + need;
}


/* --- pool thread: the clip --- */

/* Remembers that parameter sets go before what is at OFFSET of the file. */
static int
add_cut(clip_t *c, clip_file_t *f, uint64_t offset)
{
    uint64_t  *more;

    if ((f->ncuts & (f->ncuts - 1)) == 0) {          /* grows by powers of two */
        more = realloc(f->cuts, 2 * (f->ncuts + !f->ncuts) * sizeof(uint64_t));
        if (more == NULL) {
            return clip_no_memory(c);
        }
        f->cuts = more;
    }

    f->cuts[f->ncuts++] = offset;
    c->payload += f->sets_size;

    return 0;
}


/* Feeds what is recorded in segment S to the movie; *SHIFT is from a place in
 * the file to that in the payload. */
static int
feed_segment(clip_t *c, const history_file_t *file, clip_file_t *f,
    const rec_segment_t *s, uint64_t *shift)
{
    uint64_t          at, data, end = s->offset + s->size;
    mp4_fragment_t    fragment;
    const mp4_run_t  *run = &fragment.runs[MP4_VIDEO];

    for (at = s->offset; at < end; at = data + fragment.data) {
        data = read_fragment(c, file, f->fd, at, end, &fragment);
        if (data == 0) {
            return -1;
        }

        if (f->sets_size == 0 || run->n == 0 || !run->samples[0].key) {
            movie_fragment(&c->movie, &fragment, *shift + data);
            continue;
        }

        c->samples[0].size += (uint32_t) f->sets_size;       /* run's first */
        movie_fragment(&c->movie, &fragment, *shift + data);
        *shift += f->sets_size;

        if (c->out == NULL && add_cut(c, f, data) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Time that lies between two files and is no gap. */
static int64_t
pause_before(const history_range_t *range, const history_file_t *file)
{
    int64_t               pause;
    const rec_segment_t  *s = &range->segments[file->first];

    if (file->first == 0 || s->gap) {
        return 0;
    }

    pause = s->utc - (s[-1].utc + s[-1].duration);

    return pause <= CLIP_JOINT_MS ? pause : 0;
}


static int
feed_file(clip_t *c, const history_file_t *file, clip_file_t *f, uint64_t base)
{
    uint32_t              i;
    uint64_t              shift = base - f->offset;
    const rec_segment_t  *s = &c->history->range.segments[file->first];

    if (movie_file(&c->movie, f->head.tracks) != 0) {
        history_fail(c->history, NGX_HTTP_BAD_REQUEST, "the span has more than "
                     "%d configurations of a track: expected a shorter one",
                     MOVIE_ENTRIES);
        return -1;
    }

    movie_join(&c->movie, pause_before(&c->history->range, file));

    for (i = 0; i < file->n; i++, s++) {
        if (i && s->gap) {
            movie_join(&c->movie, 0);
        }

        if (feed_segment(c, file, f, s, &shift) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
feed_movie(clip_t *c)
{
    size_t    i;
    uint64_t  base = 0;

    for (i = 0; i < c->nfiles; i++) {
        if (feed_file(c, &c->history->range.files[i], &c->files[i], base) != 0) {
            return -1;
        }
        base += c->files[i].size
                + c->files[i].ncuts * c->files[i].sets_size;
    }

    return 0;
}


/* The range holds the segment of `to`; a clip ends with the one before when
 * that one begins there. */
static void
trim_end(history_t *h)
{
    history_file_t   *file;
    history_range_t  *range = &h->range;

    while (range->nfiles) {
        file = &range->files[range->nfiles - 1];

        while (file->n && h->to > h->from
               && range->segments[file->first + file->n - 1].utc >= h->to)
        {
            file->n--;
        }

        if (file->n) {
            return;
        }

        range->nfiles--;
    }
}


/* Is it as short as it must be? */
static int
check_length(clip_t *c)
{
    size_t      i;
    uint32_t    n;
    uint64_t    ms = 0;
    history_t  *h = c->history;

    if (h->range.nfiles == 0) {
        history_fail(h, NGX_HTTP_NOT_FOUND, "nothing was recorded in this span");
        return -1;
    }

    if (h->range.nfiles > CLIP_FILES) {
        history_fail(h, NGX_HTTP_BAD_REQUEST, "the clip would be of %zu files: "
                     "expected at most %d", h->range.nfiles, CLIP_FILES);
        return -1;
    }

    for (i = 0; i < h->range.nfiles; i++) {
        for (n = 0; n < h->range.files[i].n; n++) {
            ms += h->range.segments[h->range.files[i].first + n].duration;
        }
    }

    if (ms > c->limits.longest) {
        history_fail(h, NGX_HTTP_BAD_REQUEST, "the clip would be %llu s long: "
                     "hub_history_clip_max allows %lu s",
                     (unsigned long long) ms / 1000,
                     (unsigned long) c->limits.longest / 1000);
        return -1;
    }

    return 0;
}


static int
same_config(const mp4_track_t *a, const mp4_track_t *b)
{
    return a->config_size == b->config_size
           && ngx_memcmp(a->config, b->config, a->config_size) == 0;
}


/* Is the picture of more than one configuration? */
static int
has_changes(const clip_t *c)
{
    size_t              i;
    const mp4_track_t  *track, *first = NULL;

    for (i = 0; i < c->nfiles; i++) {
        track = &c->files[i].head.tracks[MP4_VIDEO];

        if (track->codec == FLV_CODEC_NONE) {
            continue;
        }

        if (first && !same_config(first, track)) {
            return 1;
        }

        first = track;
    }

    return 0;
}


static int
make_sets(clip_t *c)
{
    size_t              i, max;
    clip_file_t        *f;
    const mp4_track_t  *track;

    if (!has_changes(c)) {
        return 0;
    }

    for (i = 0; i < c->nfiles; i++) {
        f = &c->files[i];
        track = &f->head.tracks[MP4_VIDEO];

        if (track->codec != FLV_CODEC_H264) {
            continue;
        }

        max = 2 * track->config_size;        /* a length of 4 bytes instead of 2 */

        f->sets = malloc(max);
        if (f->sets == NULL) {
            return clip_no_memory(c);
        }

        f->sets_size = avc_parameter_sets(track->config, track->config_size,
                                          f->sets, max);
    }

    return 0;
}


static int
open_files(clip_t *c)
{
    size_t     i;
    history_t *h = c->history;

    c->files = calloc(h->range.nfiles, sizeof(clip_file_t));
    c->samples = malloc(CLIP_SAMPLES * sizeof(mp4_sample_t));

    if (c->files == NULL || c->samples == NULL) {
        return clip_no_memory(c);
    }

    c->nfiles = h->range.nfiles;

    for (i = 0; i < c->nfiles; i++) {
        c->files[i].fd = -1;
    }

    for (i = 0; i < c->nfiles; i++) {
        if (open_file(c, &h->range.files[i], &c->files[i]) != 0) {
            return -1;
        }
        c->payload += c->files[i].size;
    }

    return 0;
}


/* Of the head, and of where the rest is: the same for the same clip alone. */
static void
digest_clip(clip_t *c)
{
    size_t                 i;
    ngx_md5_t              md5;
    const history_file_t  *file = c->history->range.files;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, c->out, c->out_size);

    for (i = 0; i < c->nfiles; i++) {
        ngx_md5_update(&md5, file[i].file, strlen(file[i].file));
        ngx_md5_update(&md5, &c->files[i].offset, sizeof(uint64_t));
        ngx_md5_update(&md5, c->files[i].sets, c->files[i].sets_size);
    }

    ngx_md5_final(c->digest, &md5);
}


static int
make_head(clip_t *c)
{
    size_t  max;

    movie_init(&c->movie);

    if (feed_movie(c) != 0) {
        return -1;
    }

    if (movie_end(&c->movie) != 0) {
        history_fail(c->history, NGX_HTTP_NOT_FOUND,
                     "nothing in this span can be shown");
        return -1;
    }

    max = movie_max(&c->movie);

    if (max > CLIP_HEAD_MAX) {
        history_fail(c->history, NGX_HTTP_BAD_REQUEST, "the clip's tables would "
                     "take %zu bytes: expected at most %d", max, CLIP_HEAD_MAX);
        return -1;
    }

    c->out = malloc(max);
    if (c->out == NULL) {
        return clip_no_memory(c);
    }

    c->out_size = movie_begin(&c->movie, c->out, c->payload);

    if (c->out_size == 0 || feed_movie(c) != 0 || movie_end(&c->movie) != 0) {
        history_fail(c->history, NGX_HTTP_INTERNAL_SERVER_ERROR,
                     "the files changed while they were read");
        return -1;
    }

    digest_clip(c);

    return 0;
}


static void
clip_work(history_t *h)
{
    clip_t  *c = h->data;

    trim_end(h);

    if (check_length(c) == 0 && open_files(c) == 0 && make_sets(c) == 0) {
        (void) make_head(c);
    }

    free(c->samples);
    free(c->box);
    c->samples = NULL;
    c->box = NULL;
}


/* --- its end --- */

static void
clip_free(history_t *h)
{
    size_t   i;
    clip_t  *c = h->data;

    for (i = 0; i < c->nfiles; i++) {
        if (c->files[i].fd != -1) {
            (void) close(c->files[i].fd);
        }
        free(c->files[i].init);
        free(c->files[i].sets);
        free(c->files[i].cuts);
    }

    free(c->files);
    free(c->samples);
    free(c->box);
    free(c->out);
    free(c);
}


/* The request ends. */
static void
clip_cleanup(void *data)
{
    clip_t  *c = data;

    if (c->client.session) {
        hub_store(&c->client.session->bytes,
                  (uint64_t) (c->request->connection->sent - c->sent));
        hub_session_close(hub, &c->client);
    }

    clips_sent -= c->counted;
    c->counted = 0;
}


/* The hub asks the client to leave.  What the kernel has not sent of the clip
 * is taken back, since a slow reader would go on with it for minutes. */
static void
clip_leave(void *data, const char *why)
{
    clip_t              *c = data;
    ngx_http_request_t  *r = c->request;
    ngx_connection_t    *connection = r->connection;

    ngx_log_error(NGX_LOG_NOTICE, connection->log, 0, "clip ended: %s", why);

#if (NGX_HTTP_V2)
    if (r->stream == NULL)
#endif
    {
        hub_socket_take_back(connection);
    }

    connection->error = 1;
    ngx_http_finalize_request(r, NGX_ERROR);
    ngx_http_run_posted_requests(connection);
}


/* --- event loop: the answer --- */

/* NGX_OK, or the status of a refusal. */
static ngx_int_t
clip_admit(ngx_http_request_t *r, clip_t *c)
{
    u_char             *name = (u_char *) c->history->stream;
    size_t              len = ngx_strlen(name);
    hub_identity_t      who;
    enum hub_refusal    reason;
    ngx_http_cleanup_t *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&who, sizeof(hub_identity_t));
    who.protocol = HUB_REPLAY;
    who.uid = c->holder.uid;
    who.issued = c->holder.issued;
    who.address = r->connection->addr_text;
    who.name_hash = hub_name_hash(name, len);

    reason = hub_session_open(hub, &c->client, &who, hub_find(hub, name, len),
                              clip_leave, c);

    if (reason != HUB_ADMITTED) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "replay \"%s\" refused: %s", name,
                      hub_refusal_text(reason));
        return reason == HUB_IS_REVOKED ? NGX_HTTP_FORBIDDEN
                                        : NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    clips_sent++;
    c->counted = 1;
    c->request = r;
    c->sent = r->connection->sent;
    cln->handler = clip_cleanup;
    cln->data = c;

    return NGX_OK;
}


/* RFC 6266: a name that every client reads, and behind it the true one. */
static ngx_int_t
set_disposition(ngx_http_request_t *r, clip_t *c)
{
    char             utc[UTC_TEXT_MAX], day[UTC_TEXT_MAX];
    size_t           i, n = 0, len, escapes;
    u_char          *p, *start, *name;
    const char      *slash = strchr(c->history->stream, '/');

    /* 2026-11-23T14:00:00.123Z without what no file name may have everywhere */
    len = utc_write(utc, c->history->range.segments[
                             c->history->range.files[0].first].utc);
    for (i = 0; i < len && utc[i] != '.'; i++) {
        if (utc[i] != '-' && utc[i] != ':') {
            day[n++] = utc[i];
        }
    }

    name = (u_char *) (slash ? slash + 1 : c->history->stream);
    len = ngx_strlen(name);
    escapes = ngx_escape_uri(NULL, name, len, NGX_ESCAPE_URI_COMPONENT);

    start = ngx_pnalloc(r->pool, 2 * len + 2 * escapes + 2 * n + 80);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(start, "attachment; filename=\"", 22);
    for (i = 0; i < len; i++) {
        *p++ = (name[i] >= 0x20 && name[i] < 0x7f && name[i] != '"'
                && name[i] != '\\') ? name[i] : '_';
    }
    p = ngx_sprintf(p, "-%*sZ.mp4\"%Z", n, day);

    if (escapes) {
        p = ngx_cpymem(p - 1, "; filename*=UTF-8''", 19);
        p = (u_char *) ngx_escape_uri(p, name, len, NGX_ESCAPE_URI_COMPONENT);
        (void) ngx_sprintf(p, "-%*sZ.mp4%Z", n, day);
    }

    return answer_header(r, "Content-Disposition", (char *) start)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
set_headers(ngx_http_request_t *r, clip_t *c)
{
    u_char  *p, *etag = ngx_pnalloc(r->pool, 2 * sizeof(c->digest) + 3);

    if (etag == NULL || set_disposition(r, c) != NGX_OK
        || answer_header(r, "Cache-Control", "private, no-cache") == NULL)
    {
        return NGX_ERROR;
    }

    etag[0] = '"';
    p = ngx_hex_dump(etag + 1, c->digest, sizeof(c->digest));
    p[0] = '"';
    p[1] = '\0';

    r->headers_out.etag = answer_header(r, "ETag", (char *) etag);
    if (r->headers_out.etag == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) (c->out_size + c->payload);
    ngx_str_set(&r->headers_out.content_type, "video/mp4");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    /* nginx cuts one range out of many buffers, several out of one alone */
    r->allow_ranges = 1;
    r->single_range = 1;

    return NGX_OK;
}


/* Appends a buffer to the chain that ends with *LAST.  NULL: no memory. */
static ngx_buf_t *
add_link(ngx_http_request_t *r, ngx_chain_t **last)
{
    ngx_buf_t    *b = ngx_calloc_buf(r->pool);
    ngx_chain_t  *link = ngx_alloc_chain_link(r->pool);

    if (b == NULL || link == NULL) {
        return NULL;
    }

    link->buf = b;
    link->next = NULL;
    (*last)->next = link;
    *last = link;

    return b;
}


static ngx_int_t
add_memory(ngx_http_request_t *r, ngx_chain_t **last, uint8_t *p, size_t size)
{
    ngx_buf_t  *b = add_link(r, last);

    if (b == NULL) {
        return NGX_ERROR;
    }

    b->start = b->pos = p;
    b->end = b->last = p + size;
    b->memory = 1;

    return NGX_OK;
}


static ngx_int_t
add_range(ngx_http_request_t *r, ngx_chain_t **last, ngx_file_t *file,
    uint64_t from, uint64_t to)
{
    ngx_buf_t  *b = add_link(r, last);

    if (b == NULL) {
        return NGX_ERROR;
    }

    b->in_file = 1;
    b->file = file;
    b->file_pos = (off_t) from;
    b->file_last = (off_t) to;

    return NGX_OK;
}


static ngx_int_t
add_file(ngx_http_request_t *r, ngx_chain_t **last, clip_t *c, size_t i)
{
    size_t              n;
    uint64_t            from;
    ngx_file_t         *file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    const clip_file_t  *f = &c->files[i];

    if (file == NULL
        || history_path(r, c->history, c->history->range.files[i].file,
                        &file->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    file->fd = f->fd;
    file->log = r->connection->log;
    from = f->offset;

    for (n = 0; n < f->ncuts; n++) {
        if (add_range(r, last, file, from, f->cuts[n]) != NGX_OK
            || add_memory(r, last, f->sets, f->sets_size) != NGX_OK)
        {
            return NGX_ERROR;
        }

        from = f->cuts[n];
    }

    return add_range(r, last, file, from, f->offset + f->size);
}


static ngx_int_t
send_body(ngx_http_request_t *r, clip_t *c)
{
    size_t        i;
    ngx_chain_t   out, *last = &out;

    if (add_memory(r, &last, c->out, c->out_size) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < c->nfiles; i++) {
        if (add_file(r, &last, c, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    last->buf->last_buf = r == r->main;
    last->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, out.next);
}


static ngx_int_t
clip_done(ngx_http_request_t *r, history_t *h)
{
    clip_t     *c = h->data;
    ngx_int_t   rc;

    if (clips_sent >= c->limits.at_once) {
        history_fail(h, NGX_HTTP_SERVICE_UNAVAILABLE, "%ld clips are being "
                     "sent: hub_history_clips allows no more",
                     (long) clips_sent);
        return history_refuse(r, h);
    }

    rc = clip_admit(r, c);
    if (rc != NGX_OK) {
        return rc;
    }

    if (set_headers(r, c) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return send_body(r, c);
}


ngx_int_t
history_clip(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    const clip_limits_t *limits, const access_holder_t *holder)
{
    clip_t  *c = calloc(1, sizeof(clip_t));

    if (c == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    c->history = h;
    c->limits = *limits;
    c->holder = *holder;

    h->data = c;
    h->work = clip_work;
    h->done = clip_done;
    h->free = clip_free;

    return history_ask(h, pool);
}
