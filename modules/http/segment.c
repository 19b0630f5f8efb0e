#include "segment.h"

#include "answer.h"
#include "segment_build.h"

#define SEGMENT_NAME  23             /* bytes of 2026-11-23/14-00-00.123 */


typedef struct {
    segment_build_t  build;
    segment_name_t   name;
    replay_t        *replay;
} segment_t;


/* --- names --- */

static int
take_number(const u_char **p, const u_char *last, uint64_t *value)
{
    const u_char  *start = *p;

    *value = 0;

    while (*p < last && **p >= '0' && **p <= '9' && *p - start < 18) {
        *value = *value * 10 + (uint64_t) (*(*p)++ - '0');
    }

    return *p > start && (*start != '0' || *p == start + 1);
}


int
segment_name(segment_name_t *name, const ngx_str_t *file)
{
    char           mp4[SEGMENT_NAME + sizeof(".mp4")];
    const u_char  *p = file->data, *last = p + file->len;

    if (file->len <= SEGMENT_NAME || p[SEGMENT_NAME] != '.') {
        return -1;
    }

    ngx_memcpy(mp4, p, SEGMENT_NAME);
    ngx_memcpy(mp4 + SEGMENT_NAME, ".mp4", sizeof(".mp4"));
    name->utc = rec_path_utc(mp4, SEGMENT_NAME + 4, "mp4");
    p += SEGMENT_NAME + 1;

    if (name->utc == -1 || !take_number(&p, last, &name->offset) || p == last
        || *p++ != '-' || !take_number(&p, last, &name->size))
    {
        return -1;
    }

    return last - p == 4 && ngx_memcmp(p, ".m4s", 4) == 0 ? 0 : -1;
}


u_char *
segment_write_name(u_char *p, const char *file, const rec_segment_t *s)
{
    p = ngx_cpymem(p, file, SEGMENT_NAME);

    return ngx_sprintf(p, ".%uL-%uL.m4s", s->offset, s->size);
}


/* --- pool thread --- */

static ssize_t
read_start(const history_t *h, const char *file, void *out, size_t size)
{
    int      fd = history_open(h, file);
    ssize_t  n;

    if (fd == -1) {
        return -1;
    }

    n = pread(fd, out, size, 0);
    (void) close(fd);

    return n;
}


/* Reads the init segment of FILE into OUT, without its duration.  Returns 0 or -1. */
static int
read_init(const history_t *h, const history_file_t *file, uint8_t *out)
{
    size_t      size = (size_t) file->head.init_size;
    mp4_init_t  init;

    if (size > SEGMENT_INIT_MAX
        || read_start(h, file->file, out, size) != (ssize_t) size
        || mp4_read_init(out, size, &init) != 0)
    {
        return -1;
    }

    ngx_memzero(out + init.duration_at, 8);

    return 0;
}


int
segment_same_init(const history_t *h, const history_file_t *a,
    const history_file_t *b)
{
    int       same;
    uint8_t  *inits;

    if (a->head.init_size != b->head.init_size
        || a->head.init_size > SEGMENT_INIT_MAX)
    {
        return 0;
    }

    inits = malloc(2 * SEGMENT_INIT_MAX);

    same = inits && read_init(h, a, inits) == 0
           && read_init(h, b, inits + SEGMENT_INIT_MAX) == 0
           && ngx_memcmp(inits, inits + SEGMENT_INIT_MAX, a->head.init_size) == 0;

    free(inits);

    return same;
}


/* Reads the session's clock from the index. */
static int
read_clock(segment_t *s)
{
    char           text[REC_HEAD_MAX], index[REC_FILE_MAX];
    ssize_t        n;
    rec_reader_t   reader;

    (void) rec_path_file(index, s->name.utc, "m3u8");
    n = read_start(s->build.media.history, index, text, sizeof(text));

    if (n <= 0 || rec_index_open(&reader, text, (size_t) n) != 0) {
        return segment_build_none(&s->build);
    }

    s->build.shift = ngx_max(reader.head.utc - (int64_t) reader.head.session, 0);
    s->build.init_size = reader.head.init_size;

    return 0;
}


static void
segment_work(history_t *h)
{
    segment_t  *s = h->data;

    if (segment_build_open(&s->build, s->name.utc) == 0 && read_clock(s) == 0) {
        (void) segment_build(&s->build);
    }
}


/* --- event loop --- */

static void
segment_free(history_t *h)
{
    segment_t  *s = h->data;

    segment_build_free(&s->build);
    free(s);
}


static ngx_int_t
segment_done(ngx_http_request_t *r, history_t *h)
{
    pieces_t    body = { .r = r };
    segment_t  *s = h->data;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) s->build.total;
    ngx_str_set(&r->headers_out.content_type, "video/mp4");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->allow_ranges = 1;
    r->single_range = 1;             /* see clip.c */

    if (replay_watch_file(s->replay, s->build.fd) != NGX_OK
        || answer_header(r, "Cache-Control",
                         "private, max-age=31536000, immutable") == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    segment_build_body(&s->build, &body);

    return pieces_send(&body);
}


ngx_int_t
history_segment(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    const segment_name_t *name, replay_t *replay)
{
    segment_t  *s = calloc(1, sizeof(segment_t));

    if (s == NULL || segment_build_init(&s->build, h) != NGX_OK) {
        free(s);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->build.media.guess = 1;
    s->build.offset = name->offset;
    s->build.size = name->size;
    s->name = *name;
    s->replay = replay;

    h->plain = 1;
    h->data = s;
    h->free = segment_free;
    h->work = segment_work;
    h->done = segment_done;

    return history_ask(h, pool);
}
