#include "segment_build.h"

#include "budget.h"

#define BUILD_FRAGMENTS  512         /* a listed segment has at most 36 s */
#define BUILD_HEADS_MAX  (64 * 1024 * 1024)      /* bytes, of a worker's answers */


/* A fragment: a new moof and mdat header, and the recorded samples. */
struct segment_piece_s {
    size_t    head_size;
    uint64_t  data, data_size;
};


static budget_t  heads;


ngx_int_t
segment_build_init(segment_build_t *b, history_t *h)
{
    ngx_memzero(b, sizeof(segment_build_t));
    b->media.history = h;
    b->fd = -1;
    b->sound = b->sound_end = -1;

    return budget_init(&heads, ngx_cycle->log);
}


void
segment_build_free(segment_build_t *b)
{
    if (b->fd != -1) {
        (void) close(b->fd);
    }

    media_free(&b->media);
    budget_give(&b->hold);
    free(b->heads);
    free(b->pieces);
}


/* --- pool thread --- */

int
segment_build_none(const segment_build_t *b)
{
    history_fail(b->media.history, NGX_HTTP_NOT_FOUND,
                 "%s has no segment of %llu bytes at %llu", b->file,
                 (unsigned long long) b->size, (unsigned long long) b->offset);
    return -1;
}


int
segment_build_open(segment_build_t *b, int64_t utc)
{
    (void) rec_path_file(b->file, utc, "mp4");
    b->fd = history_open(b->media.history, b->file);

    return b->fd == -1 ? segment_build_none(b) : 0;
}


uint8_t *
segment_build_read_init(segment_build_t *b)
{
    uint8_t  *init;

    if (b->init_size > SEGMENT_INIT_MAX) {
        (void) segment_build_none(b);
        return NULL;
    }

    init = malloc((size_t) b->init_size);
    if (init == NULL) {
        (void) media_no_memory(b->media.history);
        return NULL;
    }

    if (media_read(&b->media, b->file, b->fd, init, (size_t) b->init_size, 0) != 0) {
        free(init);
        return NULL;
    }

    if (mp4_read_init(init, (size_t) b->init_size, &b->init) != 0) {
        (void) media_broken(&b->media, b->file, 0);
        free(init);
        return NULL;
    }

    return init;
}


/* May the segment's heads take BYTES of memory? */
static int
hold_heads(segment_build_t *b, size_t bytes)
{
    size_t      held;
    history_t  *h = b->media.history;

    budget_give(&b->hold);

    if (budget_take(&heads, &b->hold, h->uid, bytes, BUILD_HEADS_MAX, &held)
        == NGX_OK)
    {
        return 0;
    }

    history_fail(h, NGX_HTTP_SERVICE_UNAVAILABLE, "the heads of segments that "
                 "are being sent take %zu bytes, this one's %zu: try again",
                 held, bytes);

    return -1;
}


/* Makes room for MAX more bytes of heads. */
static int
grow_heads(segment_build_t *b, size_t max)
{
    void  *more;

    if (b->heads_room - b->heads_size >= max) {
        return 0;
    }

    if (hold_heads(b, 2 * b->heads_room + max) != 0) {
        return -1;
    }

    more = realloc(b->heads, 2 * b->heads_room + max);
    if (more == NULL) {
        return media_no_memory(b->media.history);
    }

    b->heads = more;
    b->heads_room = 2 * b->heads_room + max;

    return 0;
}


/* Moves the times of a fragment's tracks.  Returns 0; -1: they would be before 0. */
static int
move_times(segment_build_t *b, mp4_fragment_t *fragment)
{
    int         kind;
    int64_t     dts, by;
    mp4_run_t  *run;

    for (kind = 0; kind < 2; kind++) {
        run = &fragment->runs[kind];
        by = b->shift * (int64_t) b->init.tracks[kind].timescale / 1000;

        if (kind == MP4_AUDIO && b->sound >= 0) {
            if (run->n && !b->sound_moved) {
                b->sound_by = b->sound - (int64_t) run->dts;
                b->sound_moved = 1;
            }
            by = b->sound_by;
        }

        dts = (int64_t) run->dts + by;

        if (run->n && dts < 0) {
            return -1;
        }

        run->dts = (uint64_t) dts;
    }

    return 0;
}


/* The last FRAGMENT: its last frame of sound lasts until the sound of what comes next, if
 * the file's pace differs a little. */
static void
end_sound(segment_build_t *b, mp4_fragment_t *fragment)
{
    uint32_t          i;
    int64_t           late;
    mp4_run_t        *run = &fragment->runs[MP4_AUDIO];
    mp4_sample_t     *last;

    if (b->sound_end < 0 || run->n == 0) {
        return;
    }

    late = b->sound_end - (int64_t) run->dts;

    for (i = 0; i < run->n; i++) {
        late -= run->samples[i].duration;
    }

    last = &b->media.samples[run->samples - b->media.samples + run->n - 1];

    if (late + (int64_t) last->duration > 0 && late <= (int64_t) last->duration) {
        last->duration = (uint32_t) (last->duration + late);
    }
}


static int
add_piece(segment_build_t *b, mp4_fragment_t *fragment, uint64_t data)
{
    size_t            max = MP4_FRAGMENT_MAX(fragment->runs[MP4_VIDEO].n
                                             + fragment->runs[MP4_AUDIO].n);
    segment_piece_t  *piece = &b->pieces[b->npieces];

    if (move_times(b, fragment) != 0) {
        return media_broken(&b->media, b->file, data);
    }

    if (data + fragment->data == b->offset + b->size) {
        end_sound(b, fragment);
    }

    if (grow_heads(b, max) != 0) {
        return -1;
    }

    b->npieces++;
    piece->data = data;
    piece->data_size = fragment->data;
    piece->head_size = mp4_write_fragment(b->heads + b->heads_size, max,
                                          fragment->sequence, fragment->runs);
    b->heads_size += piece->head_size;
    b->total += piece->head_size + piece->data_size;

    return piece->head_size
           ? 0 : media_broken(&b->media, b->file, data);
}


static int
add_pieces(segment_build_t *b)
{
    uint64_t         at, data, end = b->offset + b->size;
    mp4_fragment_t   fragment;

    for (at = b->offset; at < end; at = data + fragment.data) {
        if (b->npieces == BUILD_FRAGMENTS) {
            return segment_build_none(b);
        }

        data = media_fragment(&b->media, b->file, b->fd, at, end, &fragment);

        if (data == 0 || add_piece(b, &fragment, data) != 0) {
            return -1;
        }
    }

    media_free(&b->media);

    return 0;
}


int
segment_build(segment_build_t *b)
{
    uint8_t      *init;
    struct stat   st;

    if (fstat(b->fd, &st) == -1 || (uint64_t) st.st_size < b->offset + b->size
        || b->size == 0 || b->offset < b->init_size)
    {
        return segment_build_none(b);
    }

    init = segment_build_read_init(b);
    if (init == NULL) {
        return -1;
    }

    free(init);
    b->pieces = malloc(BUILD_FRAGMENTS * sizeof(segment_piece_t));

    return b->pieces ? add_pieces(b) : media_no_memory(b->media.history);
}


/* --- event loop --- */

void
segment_build_body(const segment_build_t *b, pieces_t *body)
{
    size_t                  i;
    uint8_t                *head = b->heads;
    ngx_file_t             *file;
    const segment_piece_t  *piece;

    file = pieces_recorded(body, b->media.history, b->file, b->fd);

    for (i = 0; i < b->npieces; i++) {
        piece = &b->pieces[i];
        pieces_memory(body, head, piece->head_size);
        pieces_bytes(body, file, piece->data, piece->data + piece->data_size);
        head += piece->head_size;
    }
}
