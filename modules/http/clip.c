#include "clip.h"

#include "answer.h"
#include "clip_build.h"
#include "pieces.h"


typedef struct {
    ngx_queue_t    queue;
    clip_build_t   build;
    replay_t      *replay;
    uint64_t       origin;           /* of the client's address */
    ngx_int_t      zone;             /* minutes east of UTC */
    unsigned       zoned:1;          /* the file's name has local time */
    unsigned       growing:1;        /* a later request may get a longer clip */
} clip_t;

#define ZONE_MAX  (14 * 60)


/* This worker's clips that are being made or sent. */
static ngx_queue_t  clips = { &clips, &clips };
static budget_t     clip_heads;


/* Pool thread. */
static void
clip_work(history_t *h)
{
    clip_t  *c = h->data;

    c->growing = history_growing(h) != 0;
    clip_build(&c->build);
}


/* --- its end --- */

/* Runs when both the request and the thread have ended. */
static void
clip_free(history_t *h)
{
    clip_t  *c = h->data;

    ngx_queue_remove(&c->queue);
    clip_build_free(&c->build);
    free(c);
}


/* --- event loop: the answer --- */

/* RFC 6266: an ASCII name for old clients, then the real one. */
static ngx_int_t
set_disposition(ngx_http_request_t *r, clip_t *c)
{
    char             utc[UTC_TEXT_MAX], day[UTC_TEXT_MAX];
    size_t           i, n = 0, len, escapes;
    u_char          *p, *start, *name;
    const char      *slash = strchr(c->build.media.history->stream, '/');
    const char      *end = c->zoned ? ".mp4" : "Z.mp4";

    /* 20261123T140000: without ':', which some file systems forbid */
    len = utc_write(utc, c->build.media.history->range.segments[
                             c->build.media.history->range.files[0].first].utc
                         + c->zone * 60000);
    for (i = 0; i < len && utc[i] != '.'; i++) {
        if (utc[i] != '-' && utc[i] != ':') {
            day[n++] = utc[i];
        }
    }

    name = (u_char *) (slash ? slash + 1 : c->build.media.history->stream);
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
    p = ngx_sprintf(p, "-%*s%s\"%Z", n, day, end);

    if (escapes) {
        p = ngx_cpymem(p - 1, "; filename*=UTF-8''", 19);
        p = (u_char *) ngx_escape_uri(p, name, len, NGX_ESCAPE_URI_COMPONENT);
        (void) ngx_sprintf(p, "-%*s%s%Z", n, day, end);
    }

    return answer_header(r, "Content-Disposition", (char *) start)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
set_headers(ngx_http_request_t *r, clip_t *c)
{
    u_char  *p, *etag = ngx_pnalloc(r->pool, 2 * sizeof(c->build.digest) + 3);

    if (etag == NULL || set_disposition(r, c) != NGX_OK
        || answer_header(r, "Cache-Control",
                         c->growing ? "no-store" : "private, no-cache") == NULL)
    {
        return NGX_ERROR;
    }

    etag[0] = '"';
    p = ngx_hex_dump(etag + 1, c->build.digest, sizeof(c->build.digest));
    p[0] = '"';
    p[1] = '\0';

    r->headers_out.etag = answer_header(r, "ETag", (char *) etag);
    if (r->headers_out.etag == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) (c->build.out_size
                                               + c->build.payload);
    ngx_str_set(&r->headers_out.content_type, "video/mp4");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    /* nginx can serve several ranges only from a single buffer */
    r->allow_ranges = 1;
    r->single_range = 1;

    return NGX_OK;
}


/* Adds the clip's part of file I, with parameter sets where it needs them. */
static void
add_file(pieces_t *body, clip_t *c, size_t i)
{
    size_t              n;
    uint64_t            from;
    ngx_file_t         *file;
    history_t          *h = c->build.media.history;
    const clip_file_t  *f = &c->build.files[i];

    file = pieces_recorded(body, h, h->range.files[i].file, f->fd);
    from = f->offset;

    for (n = 0; n < f->ncuts; n++) {
        pieces_bytes(body, file, from, f->cuts[n]);
        pieces_memory(body, f->sets, f->sets_size);
        from = f->cuts[n];
    }

    pieces_bytes(body, file, from, f->offset + f->size);
}


static ngx_int_t
clip_done(ngx_http_request_t *r, history_t *h)
{
    size_t     i;
    clip_t    *c = h->data;
    pieces_t   body = { .r = r };

    for (i = 0; i < c->build.nfiles; i++) {
        if (replay_watch_file(c->replay, c->build.files[i].fd) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (set_headers(r, c) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pieces_memory(&body, c->build.out, c->build.out_size);

    for (i = 0; i < c->build.nfiles; i++) {
        add_file(&body, c, i);
    }

    return pieces_send(&body);
}


/* --- its beginning --- */

/* Returns 1 and fails the question when the worker, this user or this address has
 * as many clips as allowed.  Call it before the work. */
static int
clips_full(history_t *h, uint64_t origin, const clip_limits_t *limits)
{
    ngx_int_t      all = 0, user = 0, address = 0, link = 0;
    ngx_int_t      most = ngx_max(limits->at_once / 2, limits->of_user);
    ngx_queue_t   *q;
    const clip_t  *c;

    for (q = ngx_queue_head(&clips); q != ngx_queue_sentinel(&clips);
         q = ngx_queue_next(q))
    {
        c = ngx_queue_data(q, clip_t, queue);
        all++;
        address += origin && c->origin == origin;

        if (c->build.media.history->uid == h->uid) {
            /* a link's users are addresses */
            user += !h->link || c->origin == origin;
            link += h->link;
        }
    }

    if (all >= limits->at_once) {
        history_fail(h, NGX_HTTP_SERVICE_UNAVAILABLE, "%ld clips are being "
                     "sent: hub_history_clips allows no more", (long) all);

    } else if (user >= limits->of_user) {
        history_fail(h, NGX_HTTP_TOO_MANY_REQUESTS, "%ld clips are being sent "
                     "to this user: hub_history_clips allows no more",
                     (long) user);

    } else if (link >= most) {
        history_fail(h, NGX_HTTP_TOO_MANY_REQUESTS, "%ld clips are being sent "
                     "for this link: hub_history_clips allows no more",
                     (long) link);

    } else if (address >= most) {
        history_fail(h, NGX_HTTP_TOO_MANY_REQUESTS, "%ld clips are being sent "
                     "to this address: hub_history_clips allows no more",
                     (long) address);
    }

    return h->status != NGX_HTTP_OK;
}


/* Reads `zone`, if given.  NGX_OK, or NGX_DONE with *RC for the handler to
 * return. */
static ngx_int_t
read_zone(ngx_http_request_t *r, clip_t *c, ngx_int_t *rc)
{
    size_t     sign;
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "zone", 4, &value) != NGX_OK) {
        return NGX_OK;
    }

    sign = value.len && value.data[0] == '-';
    c->zone = ngx_atoi(value.data + sign, value.len - sign);
    if (c->zone == NGX_ERROR || c->zone > ZONE_MAX) {
        *rc = answer_error(r, NGX_HTTP_BAD_REQUEST, "zone is \"%V\": expected "
                           "minutes east of UTC, -%d to %d", &value, ZONE_MAX,
                           ZONE_MAX);
        return NGX_DONE;
    }

    c->zone = sign ? -c->zone : c->zone;
    c->zoned = 1;

    return NGX_OK;
}


ngx_int_t
history_clip(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    const clip_limits_t *limits, replay_t *replay)
{
    clip_t     *c;
    uint64_t    origin = hub_origin(&r->connection->addr_text);
    ngx_int_t   rc;

    if (h->status != NGX_HTTP_OK || clips_full(h, origin, limits)) {
        return history_refuse(r, h);
    }

    c = calloc(1, sizeof(clip_t));

    if (c == NULL || budget_init(&clip_heads, ngx_cycle->log) != NGX_OK) {
        free(c);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (read_zone(r, c, &rc) != NGX_OK) {
        free(c);
        return rc;
    }

    c->build.media.history = h;
    c->build.longest = limits->longest;
    c->build.heads = &clip_heads;
    c->build.heads_most = limits->heads;
    c->origin = origin;
    c->replay = replay;
    ngx_queue_insert_tail(&clips, &c->queue);

    h->data = c;
    h->work = clip_work;
    h->done = clip_done;
    h->free = clip_free;

    return history_ask(h, pool);
}
