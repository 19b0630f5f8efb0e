#include "hls_past.h"

#define PAST_ROOM      64              /* rows at first */
#define PAST_BEFORE_MS 60000           /* a file's utc may be so much before its stream's */
#define PAST_MORE_MS   60000           /* the newest row is not the newest segment */
#define PAST_REACH_MS  (33 * 3600 * 1000)    /* files that begin earlier have nothing
                                                of HLS_PAST_MS */
#define PAST_OVERLAP   2               /* a file may begin with what the one before has */

/* An index that is being read. */
typedef struct {
    int64_t         file;
    uint32_t        init_size;
    const char     *p, *last;
} past_index_t;


/* --- rows --- */

static int
past_grow(hls_past_t *past)
{
    size_t      room = past->room ? 2 * past->room : PAST_ROOM;
    hls_row_t  *rows = realloc(past->rows, room * sizeof(hls_row_t));

    if (rows == NULL) {
        return -1;
    }

    past->rows = rows;
    past->room = room;

    return 0;
}


static void
past_drop_oldest(hls_past_t *past, size_t n)
{
    past->n -= n;
    past->first += n;
    ngx_memmove(past->rows, past->rows + n, past->n * sizeof(hls_row_t));
}


int
hls_past_add(hls_past_t *past, uint64_t number, const hls_row_t *row)
{
    if (past->n == 0 || number < past->first || number > past->first + past->n) {
        past->first = number;
        past->n = 0;
    }

    past->n = (size_t) (number - past->first);       /* a file may be written anew */

    if (past->n == 2 * HLS_PAST_ROWS) {
        past_drop_oldest(past, HLS_PAST_ROWS);
    }

    if (past->n == past->room && past_grow(past) != 0) {
        return -1;
    }

    past->rows[past->n++] = *row;

    return 0;
}


static void
past_free(hls_past_t *past)
{
    free(past->rows);
    ngx_memzero(past, sizeof(hls_past_t));
}


/* Puts the rows of OLDER before those of PAST, which follow them; frees OLDER. */
static int
past_prepend(hls_past_t *past, hls_past_t *older)
{
    int     rc = 0;
    size_t  i;

    for (i = 0; i < past->n && rc == 0; i++) {
        rc = hls_past_add(older, past->first + i, &past->rows[i]);
    }

    past_free(past);
    *past = *older;

    return rc;
}


/* Has PAST as much as a list may name? */
static int
past_is_enough(const hls_past_t *past)
{
    size_t    i;
    uint64_t  ms = 0;

    for (i = 0; i < past->n; i++) {
        ms += past->rows[i].ms;
    }

    return past->n >= HLS_PAST_ROWS || ms >= HLS_PAST_MS + PAST_MORE_MS;
}


/* --- indexes --- */

/* Reads the next row of SESSION and its *NUMBER.  Returns 1; 0: there is none. */
static int
index_next(past_index_t *index, uint64_t session, uint64_t *number, hls_row_t *row)
{
    rec_live_t  live;

    while (rec_index_next_live(&index->p, index->last, &live)) {

        if (live.stream != session || live.size > UINT32_MAX) {
            continue;
        }

        *number = live.number;
        ngx_memzero(row, sizeof(hls_row_t));
        row->file = index->file;
        row->init_size = index->init_size;
        row->offset = live.offset;
        row->size = (uint32_t) live.size;
        row->ms = live.ms;
        row->utc = live.utc;
        row->shift = live.shift;
        row->sound = live.sound;
        row->sound_end = live.sound_end;
        row->headers = live.headers;
        row->breaks = live.breaks;
        row->anew = live.anew;

        return 1;
    }

    return 0;
}


/* Adds all rows of INDEX to PAST. */
static void
index_add_rows(hls_past_read_t *q, past_index_t *index, hls_past_t *past)
{
    uint64_t   number;
    hls_row_t  row;

    while (index_next(index, q->session, &number, &row)) {
        if (hls_past_add(past, number, &row) != 0) {
            history_fail(&q->history, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
            return;
        }
    }
}


static int
text_ends(const history_text_t *text)
{
    return text->n && memmem(text->p, text->n, "#EXT-X-ENDLIST", 14) != NULL;
}


/* Begins with the whole index of FILE.  Returns 0 when there is none. */
static int
index_open(history_t *h, int64_t file, history_text_t *text, past_index_t *index)
{
    rec_reader_t  reader;

    if (history_index(h, file, 0, text) != 0 || text->n == 0
        || rec_index_open(&reader, text->p, text->n) != 0
        || reader.head.init_size > UINT32_MAX)
    {
        return 0;
    }

    index->file = file;
    index->init_size = (uint32_t) reader.head.init_size;
    index->p = text->p;
    index->last = text->p + text->n;

    return 1;
}


/* --- reading --- */

/* Returns 0 when older files cannot go on with the rows that were read. */
static int
read_older(hls_past_read_t *q, int64_t file, history_text_t *text)
{
    hls_past_t    older;
    past_index_t  index;

    if (!index_open(&q->history, file, text, &index)) {
        return 1;
    }

    ngx_memzero(&older, sizeof(hls_past_t));
    index_add_rows(q, &index, &older);

    if (q->end.file == 0) {
        q->end.file = file;
        q->end.offset = (uint64_t) (index.p - text->p);
        q->end.init_size = index.init_size;
        q->end.ended = text_ends(text);
    }

    if (older.n == 0) {
        return 1;
    }

    if (q->past.n && (older.first >= q->past.first
                      || older.first + older.n < q->past.first))
    {
        past_free(&older);
        return 0;
    }

    if (past_prepend(&q->past, &older) != 0) {
        history_fail(&q->history, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
        return 0;
    }

    return !past_is_enough(&q->past);
}


/* When the oldest file may begin of which a list may name something now. */
static int64_t
past_since(uint64_t session, int64_t now)
{
    int64_t  start = (int64_t) ngx_min(session, (uint64_t) now);

    return ngx_max(start - PAST_BEFORE_MS, now - PAST_REACH_MS);
}


/* From the newest index on back. */
static void
read_all(hls_past_read_t *q)
{
    size_t           i;
    int64_t         *files;
    history_text_t   text;

    ngx_memzero(&text, sizeof(history_text_t));
    ngx_memzero(&q->end, sizeof(hls_past_end_t));
    past_free(&q->past);
    q->whole = 1;

    i = history_files(&q->history, past_since(q->session, q->history.now), &files);

    while (i > 0 && q->history.status == NGX_HTTP_OK) {
        if (!read_older(q, files[--i], &text)) {
            break;
        }
    }

    if (q->past.n > HLS_PAST_ROWS) {
        past_drop_oldest(&q->past, q->past.n - HLS_PAST_ROWS);
    }

    free(files);
    free(text.p);
}


/* Retention deletes the oldest file first. */
static int
has_oldest(hls_past_read_t *q)
{
    int   fd;
    char  file[REC_FILE_MAX];

    if (q->oldest == 0) {
        return 1;
    }

    (void) rec_path_file(file, q->oldest, "mp4");
    fd = history_open(&q->history, file);

    return fd != -1 && close(fd) == 0;
}


/* Goes on to the next file.  Returns 0: there is none. */
static int
next_file(hls_past_read_t *q)
{
    size_t    n;
    int64_t  *files;

    n = history_files(&q->history, q->end.file + 1, &files);

    if (n && q->history.status == NGX_HTTP_OK) {
        ngx_memzero(&q->end, sizeof(hls_past_end_t));
        q->end.file = files[0];
    }

    free(files);

    return n > 0;
}


/* Adds what the index has behind q->end.  Returns 0: all must be read. */
static int
read_rest_of_index(hls_past_read_t *q, history_text_t *text)
{
    past_index_t  index;

    if (q->end.offset == 0) {
        if (!index_open(&q->history, q->end.file, text, &index)) {
            return 1;                  /* it has no head yet */
        }

    } else if (history_index(&q->history, q->end.file, q->end.offset, text) == 0) {
        index.file = q->end.file;
        index.init_size = q->end.init_size;
        index.p = text->p;
        index.last = text->p + text->n;

    } else {
        return 0;
    }

    index_add_rows(q, &index, &q->past);
    q->end.offset += (uint64_t) (index.p - text->p);
    q->end.init_size = index.init_size;
    q->end.ended |= text_ends(text);

    return 1;
}


/* A file whose worker died does not end.  Returns 0: all must be read. */
static int
read_new(hls_past_read_t *q)
{
    int             rc;
    uint64_t        offset;
    history_text_t  text;

    ngx_memzero(&text, sizeof(history_text_t));

    do {
        offset = q->end.offset;
        rc = read_rest_of_index(q, &text);
    } while (rc && q->history.status == NGX_HTTP_OK
             && (q->end.ended || q->end.offset == offset) && next_file(q));

    free(text.p);

    return rc;
}


void
hls_past_read(hls_past_read_t *q)
{
    if (q->end.file == 0 || !has_oldest(q) || !read_new(q)) {
        read_all(q);
    }
}


/* --- finding --- */

/* A segment, or the first one with some headers. */
typedef struct {
    uint64_t  session, number;
    int       headers;
} past_wanted_t;


/* Begins with the whole index of FILE, if that has a live segment: *LIVE is the first.
 * Returns 0 when it has none. */
static int
find_first(history_t *h, int64_t file, history_text_t *text, past_index_t *index,
    rec_live_t *live)
{
    const char  *p;

    if (!index_open(h, file, text, index)) {
        return 0;
    }

    p = index->p;

    return rec_index_next_live(&p, index->last, live);
}


static int
is_behind(const rec_live_t *live, const past_wanted_t *wanted)
{
    return live->stream != wanted->session
           ? live->stream > wanted->session
           : (wanted->headers ? live->headers : live->number) > wanted->number;
}


/* How many of the N files may have what is WANTED?  Sessions and numbers grow from file
 * to file, so few indexes are read: anybody may ask for segments that never were. */
static size_t
find_files(history_t *h, const past_wanted_t *wanted, const int64_t *files, size_t n,
    history_text_t *text)
{
    size_t        i, middle, low = 0;
    rec_live_t    live;
    past_index_t  index;

    while (low < n && h->status == NGX_HTTP_OK) {
        middle = low + (n - low) / 2;

        for (i = middle + 1; i > low; i--) {
            if (find_first(h, files[i - 1], text, &index, &live)) {
                break;
            }
        }

        if (i > low && is_behind(&live, wanted)) {
            n = i - 1;
        } else {
            low = middle + 1;
        }
    }

    return low;
}


int
hls_past_find(history_t *h, uint64_t session, uint64_t number, int headers,
    hls_row_t *row)
{
    int              found = 0, left = PAST_OVERLAP;
    size_t           i;
    int64_t         *files;
    uint64_t         n;
    rec_live_t       live;
    past_index_t     index;
    past_wanted_t    wanted = { session, number, headers };
    history_text_t   text;

    ngx_memzero(&text, sizeof(history_text_t));
    i = history_files(h, past_since(session, h->now), &files);
    i = find_files(h, &wanted, files, i, &text);

    while (i > 0 && left > 0 && !found && h->status == NGX_HTTP_OK) {
        if (!find_first(h, files[--i], &text, &index, &live)) {
            continue;
        }

        left--;

        while (!found && index_next(&index, session, &n, row)) {
            found = (headers ? row->headers : n) == number;
        }
    }

    free(files);
    free(text.p);

    return found;
}
