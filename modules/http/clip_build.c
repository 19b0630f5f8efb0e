#include "clip_build.h"

#include <ngx_md5.h>

#include "../media/avc.h"

#define CLIP_FILES     256           /* open while the clip is sent */
#define CLIP_HEAD_MAX  (64 * 1024 * 1024)
#define CLIP_INIT_MAX  65536
#define CLIP_JOINT_MS  1500          /* a longer pause between files is a gap */


/* --- reading --- */

static int
no_memory(clip_build_t *b)
{
    return media_no_memory(b->media.history);
}


/* Opens FILE, reads its head and checks that the file has all of its segments. */
static int
open_file(clip_build_t *b, const history_file_t *file, clip_file_t *f)
{
    struct stat           st;
    const rec_segment_t  *first = &b->media.history->range.segments[file->first];
    const rec_segment_t  *last = first + file->n - 1;
    size_t                size = (size_t) file->head.init_size;

    f->offset = first->offset;
    f->size = last->offset + last->size - first->offset;
    f->fd = history_open(b->media.history, file->file);

    if (f->fd == -1) {
        history_fail(b->media.history, NGX_HTTP_NOT_FOUND, "cannot open %s: %s",
                     file->file, strerror(errno));
        return -1;
    }

    if (fstat(f->fd, &st) == -1 || size > CLIP_INIT_MAX
        || last->offset < first->offset
        || (uint64_t) st.st_size < f->offset + f->size)
    {
        return media_broken(&b->media, file->file, f->offset);
    }

    f->init = malloc(size + !size);
    if (f->init == NULL) {
        return no_memory(b);
    }

    if (media_read(&b->media, file->file, f->fd, f->init, size, 0) != 0) {
        return -1;
    }

    return mp4_read_init(f->init, size, &f->head) == 0
           ? 0 : media_broken(&b->media, file->file, 0);
}


/* --- feeding --- */

/* Remembers to insert parameter sets at OFFSET of the file. */
static int
add_cut(clip_build_t *b, clip_file_t *f, uint64_t offset)
{
    uint64_t  *more;

    if ((f->ncuts & (f->ncuts - 1)) == 0) {  /* grows by powers of two */
        more = realloc(f->cuts, 2 * (f->ncuts + !f->ncuts) * sizeof(uint64_t));
        if (more == NULL) {
            return no_memory(b);
        }
        f->cuts = more;
    }

    f->cuts[f->ncuts++] = offset;
    b->payload += f->sets_size;

    return 0;
}


/* Feeds the fragments of segment S to the movie; *SHIFT plus an offset in the
 * file is the offset in the payload. */
static int
feed_segment(clip_build_t *b, const history_file_t *file, clip_file_t *f,
    const rec_segment_t *s, uint64_t *shift)
{
    uint64_t          at, data, end = s->offset + s->size;
    mp4_fragment_t    fragment;
    const mp4_run_t  *run = &fragment.runs[MP4_VIDEO];

    for (at = s->offset; at < end; at = data + fragment.data) {
        data = media_fragment(&b->media, file->file, f->fd, at, end,
                              &fragment);
        if (data == 0) {
            return -1;
        }

        if (f->sets_size == 0 || run->n == 0 || !run->samples[0].key) {
            movie_fragment(&b->movie, &fragment, *shift + data);
            continue;
        }

        b->media.samples[0].size += (uint32_t) f->sets_size;       /* run's first */
        movie_fragment(&b->movie, &fragment, *shift + data);
        *shift += f->sets_size;

        if (b->out == NULL && add_cut(b, f, data) != 0) {
            return -1;
        }
    }

    return 0;
}


/* The pause before a file; 0 when it is long enough for a gap. */
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
feed_file(clip_build_t *b, const history_file_t *file, clip_file_t *f,
    uint64_t base)
{
    uint32_t              i;
    uint64_t              shift = base - f->offset;
    const rec_segment_t  *s = &b->media.history->range.segments[file->first];

    if (movie_file(&b->movie, f->head.tracks) != 0) {
        history_fail(b->media.history, NGX_HTTP_BAD_REQUEST, "the span has more than "
                     "%d configurations of a track: expected a shorter one",
                     MOVIE_ENTRIES);
        return -1;
    }

    movie_join(&b->movie, pause_before(&b->media.history->range, file));

    for (i = 0; i < file->n; i++, s++) {
        if (i && s->gap) {
            movie_join(&b->movie, 0);
        }

        if (feed_segment(b, file, f, s, &shift) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
feed_movie(clip_build_t *b)
{
    size_t    i;
    uint64_t  base = 0;

    for (i = 0; i < b->nfiles; i++) {
        if (feed_file(b, &b->media.history->range.files[i], &b->files[i], base) != 0)
        {
            return -1;
        }
        base += b->files[i].size
                + b->files[i].ncuts * b->files[i].sets_size;
    }

    return 0;
}


/* Drops the segments of FILE in front of the first one that may be seen and decoded. */
static void
trim_file(const history_t *h, history_file_t *file)
{
    const rec_segment_t  *s = &h->range.segments[file->first];

    while (file->n && (s->utc < h->least || s->dependent)) {
        file->first++;
        file->n--;
        s++;
    }
}


/* The range begins with the key frame before `from`.  Drop what the asker may not see: the
 * clip then begins with the first key frame that may be seen. */
static void
trim_begin(history_t *h)
{
    size_t            i;
    history_range_t  *range = &h->range;

    for (i = 0; i < range->nfiles; i++) {
        trim_file(h, &range->files[i]);

        if (range->files[i].n) {
            break;
        }
    }

    range->nfiles -= i;
    ngx_memmove(range->files, range->files + i, range->nfiles * sizeof(history_file_t));
}


/* Does the clip show nothing of S, which the range ends with, or too much? */
static int
is_behind(const history_t *h, const rec_segment_t *s)
{
    return (h->to > h->from && s->utc >= h->to) || s->utc + s->duration > h->most;
}


/* The range includes the segment that holds `to`.  Drop it if it begins at `to`, or ends
 * behind what the asker may see. */
static void
trim_end(history_t *h)
{
    history_file_t   *file;
    history_range_t  *range = &h->range;

    while (range->nfiles) {
        file = &range->files[range->nfiles - 1];

        while (file->n
               && is_behind(h, &range->segments[file->first + file->n - 1]))
        {
            file->n--;
        }

        if (file->n) {
            return;
        }

        range->nfiles--;
    }
}


/* Is the clip within its limits of files and length? */
static int
check_length(clip_build_t *b)
{
    size_t      i;
    uint32_t    n;
    uint64_t    ms = 0;
    history_t  *h = b->media.history;

    if (h->range.nfiles == 0) {
        history_fail(h, NGX_HTTP_NOT_FOUND,
                     "nothing was recorded in this span");
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

    if (ms > b->longest) {
        history_fail(h, NGX_HTTP_BAD_REQUEST, "the clip would be %llu s long: "
                     "hub_history_clip_max allows %lu s",
                     (unsigned long long) ms / 1000,
                     (unsigned long) b->longest / 1000);
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


/* Does the clip's video have several configurations? */
static int
has_changes(const clip_build_t *b)
{
    size_t              i;
    const mp4_track_t  *track, *first = NULL;

    for (i = 0; i < b->nfiles; i++) {
        track = &b->files[i].head.tracks[MP4_VIDEO];

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
make_sets(clip_build_t *b)
{
    size_t              i, max;
    clip_file_t        *f;
    const mp4_track_t  *track;

    if (!has_changes(b)) {
        return 0;
    }

    for (i = 0; i < b->nfiles; i++) {
        f = &b->files[i];
        track = &f->head.tracks[MP4_VIDEO];

        if (track->codec != FLV_CODEC_H264) {
            continue;
        }

        max = 2 * track->config_size;        /* lengths of 4 bytes, not 2 */

        f->sets = malloc(max);
        if (f->sets == NULL) {
            return no_memory(b);
        }

        f->sets_size = avc_parameter_sets(track->config, track->config_size,
                                          f->sets, max);
    }

    return 0;
}


static int
open_files(clip_build_t *b)
{
    size_t     i;
    history_t *h = b->media.history;

    b->files = calloc(h->range.nfiles, sizeof(clip_file_t));

    if (b->files == NULL) {
        return no_memory(b);
    }

    b->nfiles = h->range.nfiles;

    for (i = 0; i < b->nfiles; i++) {
        b->files[i].fd = -1;
    }

    for (i = 0; i < b->nfiles; i++) {
        if (open_file(b, &h->range.files[i], &b->files[i]) != 0) {
            return -1;
        }
        b->payload += b->files[i].size;
    }

    return 0;
}


/* The clip's validator: a digest of its head and of the file parts behind it. */
static void
digest_clip(clip_build_t *b)
{
    size_t                 i;
    ngx_md5_t              md5;
    const history_file_t  *file = b->media.history->range.files;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, b->out, b->out_size);

    for (i = 0; i < b->nfiles; i++) {
        ngx_md5_update(&md5, file[i].file, strlen(file[i].file));
        ngx_md5_update(&md5, &b->files[i].offset, sizeof(uint64_t));
        ngx_md5_update(&md5, b->files[i].sets, b->files[i].sets_size);
    }

    ngx_md5_final(b->digest, &md5);
}


/* May the clip's tables take BYTES of memory? */
static int
hold_head(clip_build_t *b, size_t bytes)
{
    size_t  held;

    switch (budget_take(b->heads, &b->hold, b->media.history->uid, bytes,
                        b->heads_most, &held))
    {
    case NGX_OK:
        return 0;

    case NGX_BUSY:
        history_fail(b->media.history, NGX_HTTP_SERVICE_UNAVAILABLE, "the tables of "
                     "clips take %zu bytes, this one's %zu: hub_history_heads "
                     "allows %zu", held, bytes, b->heads_most);
        return -1;

    default:
        history_fail(b->media.history, NGX_HTTP_TOO_MANY_REQUESTS, "the tables of "
                     "this user's clips take %zu bytes, this one's %zu: a "
                     "quarter of hub_history_heads is %zu", held, bytes,
                     b->heads_most / 4);
        return -1;
    }
}


static int
make_head(clip_build_t *b)
{
    size_t  max;

    movie_init(&b->movie);

    if (feed_movie(b) != 0) {
        return -1;
    }

    if (movie_end(&b->movie) != 0) {
        history_fail(b->media.history, NGX_HTTP_NOT_FOUND,
                     "nothing in this span can be shown");
        return -1;
    }

    max = movie_max(&b->movie);

    if (max > CLIP_HEAD_MAX) {
        history_fail(b->media.history, NGX_HTTP_BAD_REQUEST, "the clip's tables "
                     "would take %zu bytes: expected at most %d", max,
                     CLIP_HEAD_MAX);
        return -1;
    }

    if (hold_head(b, max) != 0) {
        return -1;
    }

    b->out = malloc(max);
    if (b->out == NULL) {
        return no_memory(b);
    }

    b->out_size = movie_begin(&b->movie, b->out, b->payload);

    if (b->out_size == 0 || feed_movie(b) != 0 || movie_end(&b->movie) != 0) {
        history_fail(b->media.history, NGX_HTTP_INTERNAL_SERVER_ERROR,
                     "the files changed while they were read");
        return -1;
    }

    digest_clip(b);

    return 0;
}


void
clip_build(clip_build_t *b)
{
    trim_begin(b->media.history);
    trim_end(b->media.history);

    if (check_length(b) == 0 && open_files(b) == 0 && make_sets(b) == 0) {
        (void) make_head(b);
    }

    media_free(&b->media);
}


void
clip_build_free(clip_build_t *b)
{
    size_t  i;

    for (i = 0; i < b->nfiles; i++) {
        if (b->files[i].fd != -1) {
            (void) close(b->files[i].fd);
        }
        free(b->files[i].init);
        free(b->files[i].sets);
        free(b->files[i].cuts);
    }

    free(b->files);
    media_free(&b->media);
    free(b->out);
    budget_give(&b->hold);
}
