#include "segment.h"

#include "answer.h"
#include "budget.h"
#include "media_reader.h"
#include "pieces.h"

#define SEGMENT_FRAGMENTS  512       /* a listed segment has at most 36 s */
#define SEGMENT_HEADS_MAX  (64 * 1024 * 1024)    /* bytes, of a worker's answers */
#define SEGMENT_INIT_MAX   65536
#define SEGMENT_NAME       23        /* bytes of 2026-11-23/14-00-00.123 */


/* A fragment: a new moof and mdat header, and the recorded samples. */
typedef struct {
    size_t    head_size;
    uint64_t  data, data_size;
} piece_t;

typedef struct {
    media_reader_t  media;
    segment_name_t  name;
    replay_t       *replay;
    char            file[REC_FILE_MAX];
    int             fd;
    int64_t         shift;           /* ms to add to the file's times */
    mp4_init_t      init;            /* its configurations are not kept */
    uint8_t        *heads;
    size_t          heads_size, heads_room;
    budget_hold_t   hold;
    piece_t        *pieces;
    size_t          npieces;
    uint64_t        size;
} segment_t;


static budget_t  heads;


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


static int
no_segment(segment_t *s)
{
    history_fail(s->media.history, NGX_HTTP_NOT_FOUND,
                 "%s has no segment of %llu bytes at %llu", s->file,
                 (unsigned long long) s->name.size,
                 (unsigned long long) s->name.offset);
    return -1;
}


/* Reads the session's clock from the index, and the file's init segment. */
static int
read_heads(segment_t *s)
{
    int            rc = -1;
    char           text[REC_HEAD_MAX], index[REC_FILE_MAX];
    size_t         size;
    ssize_t        n;
    uint8_t       *init;
    rec_reader_t   reader;
    history_t     *h = s->media.history;

    (void) rec_path_file(index, s->name.utc, "m3u8");
    n = read_start(h, index, text, sizeof(text));

    if (n <= 0 || rec_index_open(&reader, text, (size_t) n) != 0
        || reader.head.init_size > SEGMENT_INIT_MAX
        || s->name.offset < reader.head.init_size)
    {
        return no_segment(s);
    }

    s->shift = ngx_max(reader.head.utc - (int64_t) reader.head.session, 0);
    size = (size_t) reader.head.init_size;

    init = malloc(size);
    if (init == NULL) {
        return media_no_memory(h);
    }

    if (media_read(&s->media, s->file, s->fd, init, size, 0) == 0) {
        rc = mp4_read_init(init, size, &s->init) == 0
             ? 0 : media_broken(&s->media, s->file, 0);
    }

    free(init);

    return rc;
}


/* May the segment's heads take BYTES of memory? */
static int
hold_heads(segment_t *s, size_t bytes)
{
    size_t      held;
    history_t  *h = s->media.history;

    budget_give(&s->hold);

    if (budget_take(&heads, &s->hold, h->uid, bytes, SEGMENT_HEADS_MAX, &held)
        == NGX_OK)
    {
        return 0;
    }

    history_fail(h, NGX_HTTP_SERVICE_UNAVAILABLE, "the heads of segments that "
                 "are being sent take %zu bytes, this one's %zu: try again",
                 held, bytes);

    return -1;
}


static int
add_piece(segment_t *s, mp4_fragment_t *fragment, uint64_t data)
{
    int       kind;
    size_t    max, n = 0;
    void     *more;
    piece_t  *piece;

    for (kind = 0; kind < 2; kind++) {
        n += fragment->runs[kind].n;
        fragment->runs[kind].dts += (uint64_t) s->shift
                                    * s->init.tracks[kind].timescale / 1000;
    }

    max = MP4_FRAGMENT_MAX(n);

    if (s->heads_room - s->heads_size < max) {
        if (hold_heads(s, 2 * s->heads_room + max) != 0) {
            return -1;
        }
        more = realloc(s->heads, 2 * s->heads_room + max);
        if (more == NULL) {
            return media_no_memory(s->media.history);
        }
        s->heads = more;
        s->heads_room = 2 * s->heads_room + max;
    }

    piece = &s->pieces[s->npieces++];
    piece->data = data;
    piece->data_size = fragment->data;
    piece->head_size = mp4_write_fragment(s->heads + s->heads_size, max,
                                          fragment->sequence, fragment->runs);
    s->heads_size += piece->head_size;
    s->size += piece->head_size + piece->data_size;

    return piece->head_size
           ? 0 : media_broken(&s->media, s->file, data);
}


static void
segment_work(history_t *h)
{
    segment_t       *s = h->data;
    uint64_t         at, data, end = s->name.offset + s->name.size;
    struct stat      st;
    mp4_fragment_t   fragment;

    s->fd = history_open(h, s->file);

    if (s->fd == -1 || fstat(s->fd, &st) == -1 || (uint64_t) st.st_size < end
        || s->name.size == 0)
    {
        (void) no_segment(s);
        return;
    }

    if (read_heads(s) != 0) {
        return;
    }

    s->pieces = malloc(SEGMENT_FRAGMENTS * sizeof(piece_t));
    if (s->pieces == NULL) {
        (void) media_no_memory(h);
        return;
    }

    for (at = s->name.offset; at < end; at = data + fragment.data) {
        if (s->npieces == SEGMENT_FRAGMENTS) {
            (void) no_segment(s);
            return;
        }

        data = media_fragment(&s->media, s->file, s->fd, at, end, &fragment);

        if (data == 0 || add_piece(s, &fragment, data) != 0) {
            return;
        }
    }

    media_free(&s->media);
}


/* --- event loop --- */

static void
segment_free(history_t *h)
{
    segment_t  *s = h->data;

    if (s->fd != -1) {
        (void) close(s->fd);
    }

    media_free(&s->media);
    budget_give(&s->hold);
    free(s->heads);
    free(s->pieces);
    free(s);
}


static ngx_int_t
segment_done(ngx_http_request_t *r, history_t *h)
{
    size_t          i;
    uint8_t        *head;
    pieces_t        body = { .r = r };
    segment_t      *s = h->data;
    ngx_file_t     *file;
    const piece_t  *piece;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) s->size;
    ngx_str_set(&r->headers_out.content_type, "video/mp4");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->allow_ranges = 1;
    r->single_range = 1;             /* see clip.c */

    if (replay_watch_file(s->replay, s->fd) != NGX_OK
        || answer_header(r, "Cache-Control",
                         "private, max-age=31536000, immutable") == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    head = s->heads;
    file = pieces_recorded(&body, h, s->file, s->fd);

    for (i = 0; i < s->npieces; i++) {
        piece = &s->pieces[i];
        pieces_memory(&body, head, piece->head_size);
        pieces_bytes(&body, file, piece->data, piece->data + piece->data_size);
        head += piece->head_size;
    }

    return pieces_send(&body);
}


ngx_int_t
history_segment(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    const segment_name_t *name, replay_t *replay)
{
    segment_t  *s = calloc(1, sizeof(segment_t));

    if (s == NULL || budget_init(&heads, ngx_cycle->log) != NGX_OK) {
        free(s);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->media.history = h;
    s->media.guess = 1;
    s->name = *name;
    s->fd = -1;
    s->replay = replay;
    (void) rec_path_file(s->file, name->utc, "mp4");

    h->plain = 1;
    h->data = s;
    h->free = segment_free;
    h->work = segment_work;
    h->done = segment_done;

    return history_ask(h, pool);
}
