#include "recover_mp4.h"
#include "recover_walk.h"

#include "../media/fragment.h"
#include "../rules/rec_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_MAX    (256 << 20)
#define SEGMENT_MIN  FRAGMENT_MS
#define GAP_MIN      1500            /* ms */
#define DURATION_MAX 86400000        /* ms; a reader of indexes takes no more */
#define LIVES_MAX    64              /* in an index's segment, which has 36 s at most */

typedef struct {
    rec_segment_t  segment;
    size_t         lines_end;        /* offset in the index */
} known_t;

/* The line of a live segment behind the index's last segment. */
typedef struct {
    uint64_t       end;              /* of its bytes in the file */
    size_t         line_end;         /* offset in the index */
} live_t;

typedef struct {
    const recover_file_t  *file;
    walk_t        walk;

    int           index;             /* -1: there is none */
    size_t        index_size;
    size_t        head_size;         /* of its first lines; 0: not usable */
    rec_head_t    head;
    known_t      *known;
    size_t        nknown, known_max;
    live_t        lives[LIVES_MAX];
    size_t        nlives;
} recovery_t;


/* --- the index --- */

/* Reads the lines of live segments at AT.  Returns where they end. */
static const char *
read_lives(recovery_t *r, const char *text, const char *at, const char *last)
{
    rec_live_t  live;

    r->nlives = 0;

    while (rec_index_at_live(&at, last, &live)) {
        if (r->nlives < LIVES_MAX) {
            r->lives[r->nlives].end = live.offset + live.size;
            r->lives[r->nlives++].line_end = (size_t) (at - text);
        }
    }

    return at;
}


/* Reads the segments in TEXT that are exactly as the writer writes them and
 * adjacent in the file. */
static int
read_segments(recovery_t *r, const char *text, rec_reader_t *reader,
    recovered_t *out)
{
    char           line[REC_LINES_MAX];
    size_t         n;
    uint64_t       end = r->walk.init.size;
    const char    *at = read_lives(r, text, text + r->head_size, reader->last);
    rec_segment_t  s;

    while (rec_index_next(reader, &s) == 1) {
        n = rec_index_segment(line, &s, r->file->name);

        if ((size_t) (reader->whole - at) != n || memcmp(at, line, n) != 0
            || s.offset != end || s.size > r->walk.size - end)
        {
            return 0;
        }

        if (recover_grow(&r->known, r->nknown, &r->known_max, sizeof(known_t))
            == -1)
        {
            return -1;
        }

        at = reader->whole;
        end += s.size;
        r->known[r->nknown].segment = s;
        r->known[r->nknown++].lines_end = (size_t) (at - text);
        at = read_lives(r, text, at, reader->last);
    }

    n = rec_index_end(line, reader->interrupted);
    out->ended = reader->ended && (size_t) (reader->last - at) == n
                 && memcmp(at, line, n) == 0;
    out->interrupted = out->ended && reader->interrupted;

    return 0;
}


static int
read_text(recovery_t *r, const char *text, size_t size, recovered_t *out)
{
    char          head[REC_HEAD_MAX];
    size_t        n;
    rec_reader_t  reader;

    /* zeros are blocks that never reached the disk: ignore them */
    if (rec_index_open(&reader, text, strnlen(text, size)) == -1) {
        return 0;
    }

    n = rec_index_head(head, &reader.head, r->file->name);

    if ((size_t) (reader.whole - text) != n || memcmp(text, head, n) != 0
        || reader.head.init_size != r->walk.init.size
        || strcmp(reader.head.stream, r->file->stream) != 0)
    {
        return 0;
    }

    r->head = reader.head;
    r->head_size = n;
    out->session = reader.head.session;

    if (read_segments(r, text, &reader, out) == -1) {
        return -1;
    }

    if (reader.last != text + size) {
        out->ended = out->interrupted = 0;
    }

    return 0;
}


static int
read_index(recovery_t *r, recovered_t *out)
{
    int          rc;
    char        *text;
    ssize_t      n;
    struct stat  st;

    r->index = open(r->file->index, O_RDWR|O_CLOEXEC|O_NOFOLLOW);
    if (r->index == -1) {
        return errno == ENOENT ? 0 : -1;
    }

    if (fstat(r->index, &st) == -1) {
        return -1;
    }

    if (st.st_size > INDEX_MAX) {
        return 0;
    }

    text = malloc((size_t) st.st_size + 1);
    if (text == NULL) {
        return -1;
    }

    n = recover_read(r->index, text, (size_t) st.st_size, 0);
    r->index_size = n > 0 ? (size_t) n : 0;
    rc = n > 0 ? read_text(r, text, (size_t) n, out) : (int) n;

    free(text);

    return rc;
}


/* --- index and fragments --- */

static uint64_t
known_end(const recovery_t *r, size_t n)
{
    const rec_segment_t  *s;

    if (n == 0) {
        return r->walk.init.size;
    }

    s = &r->known[n - 1].segment;

    return s->offset + s->size;
}


/* Returns how many of the index's first segments are certainly on the disk. */
static size_t
beyond_doubt(const recovery_t *r)
{
    size_t                n = r->nknown;
    const rec_segment_t  *s, *last;

    if (n == 0) {
        return 0;
    }

    last = &r->known[n - 1].segment;

    do {
        n--;
        s = &r->known[n].segment;
    } while (n > 0 && (last->utc - s->utc < DOUBT_MS
                       || r->walk.size - s->offset < DOUBT_BYTES));

    return n;
}


/* Finds the whole fragments at the file's end, going back until there are some, and
 * sets *FIRST to the segment of the index where they begin. */
static int
find_whole(recovery_t *r, size_t *first)
{
    size_t  n = beyond_doubt(r), step = r->nknown - n;

    for ( ;; ) {
        if (walk_from(&r->walk, known_end(r, n)) == -1) {
            return -1;
        }

        *first = n;

        if (r->walk.n > 0) {
            return 0;
        }

        if (n == 0) {
            errno = ENODATA;
            return -1;
        }

        step = step ? 2 * step : 1;
        n = n > step ? n - step : 0;
    }
}


/* Drops the segments of the index that the fragments contradict.  Returns the
 * first fragment that has no segment. */
static size_t
keep_segments(recovery_t *r, size_t first)
{
    size_t  n = first, i, covered = 0;

    for (i = 0; i < r->walk.n && n < r->nknown; i++) {
        if (r->walk.whole[i].end == known_end(r, n + 1)) {
            n++;
            covered = i + 1;
        }
    }

    if (n < r->nknown) {
        r->nknown = n;
        r->nlives = 0;
    }

    return covered;
}


static int
lacks_dts(const recovery_t *r, const recovered_t *out)
{
    int  kind;

    for (kind = 0; kind < 2; kind++) {
        if (r->walk.init.tracks[kind].codec != FLV_CODEC_NONE
            && out->dts[kind] == -1)
        {
            return 1;
        }
    }

    return 0;
}


/* If a track has no frame at the file's end, searches the segments before FIRST for
 * its last frame. */
static int
find_dts(recovery_t *r, size_t first, recovered_t *out)
{
    int       rc, kind;
    int64_t   dts[2];
    whole_t   w;
    uint64_t  at;

    while (first-- > 0 && lacks_dts(r, out)) {
        dts[0] = dts[1] = -1;

        for (at = known_end(r, first); at < known_end(r, first + 1); at = w.end) {
            rc = walk_one(&r->walk, at, &w);
            if (rc == -1) {
                return -1;
            }
            if (rc == 0) {
                break;
            }
            for (kind = 0; kind < 2; kind++) {
                dts[kind] = ngx_max(dts[kind], w.dts[kind]);
            }
        }

        for (kind = 0; kind < 2; kind++) {
            out->dts[kind] = ngx_max(out->dts[kind], dts[kind]);
        }
    }

    return 0;
}


static int
fill_recovered(recovery_t *r, size_t first, recovered_t *out)
{
    int             kind;
    size_t          i;
    const whole_t  *last = &r->walk.whole[r->walk.n - 1];

    out->size = last->end;
    out->cut = r->walk.size - last->end;
    out->init_size = r->walk.init.size;
    out->duration_at = r->walk.init.duration_at;
    out->sequence = last->sequence;
    out->dts[0] = out->dts[1] = -1;

    for (i = 0; i < r->walk.n; i++) {
        out->end = ngx_max(out->end, r->walk.whole[i].finish);
        for (kind = 0; kind < 2; kind++) {
            out->dts[kind] = ngx_max(out->dts[kind], r->walk.whole[i].dts[kind]);
        }
    }

    return find_dts(r, first, out);
}


/* --- writing --- */

/* The current segment, and new lines for the index. */
typedef struct {
    rec_segment_t  segment;
    int64_t        start, stop;      /* ms in the file */
    char          *text;
    size_t         size, max;
} lines_t;


static int
put_segment(const recovery_t *r, lines_t *l, int64_t stop, uint64_t end)
{
    if (l->segment.size == 0) {
        return 0;
    }

    if (l->max - l->size < REC_LINES_MAX) {
        char  *larger = realloc(l->text, 2 * l->max);

        if (larger == NULL) {
            return -1;
        }

        l->text = larger;
        l->max *= 2;
    }

    l->segment.duration = stop > l->start
                          ? (uint32_t) ngx_min(stop - l->start, DURATION_MAX)
                          : 1;
    l->segment.size = end - l->segment.offset;
    l->size += rec_index_segment(l->text + l->size, &l->segment, r->file->name);

    return 0;
}


/* Begins a segment at fragment W, as the recorder does: at the end of the
 * previous one, unless there is a gap. */
static void
begin_segment(lines_t *l, const whole_t *w, int64_t utc, int gap)
{
    int64_t  start = gap || l->segment.size ? w->start : l->stop;

    l->start = start;
    l->segment.offset = w->offset;
    l->segment.size = w->end - w->offset;
    l->segment.utc = utc + start;
    l->segment.gap = gap;
    l->segment.dependent = !w->key;
}


/* Does the segment end before fragment W?  By the recorder's rule. */
static int
segment_ends(const lines_t *l, const whole_t *w)
{
    if (l->stop - l->start >= REC_SEGMENT_MAX - FRAGMENT_MS) {
        return 1;
    }

    return w->key && (l->segment.dependent || w->start - l->start >= SEGMENT_MIN);
}


/* Adds lines for the fragments from I on. */
static int
put_lines(recovery_t *r, lines_t *l, size_t i, int64_t utc)
{
    int                   gap;
    const whole_t        *w;
    const rec_segment_t  *s;

    if (r->nknown > 0) {
        s = &r->known[r->nknown - 1].segment;
        l->stop = s->utc + s->duration - utc;
    }

    for ( /* void */ ; i < r->walk.n; i++) {
        w = &r->walk.whole[i];
        gap = w->start - l->stop > GAP_MIN;

        if (l->segment.size == 0) {
            begin_segment(l, w, utc, gap);

        } else if (gap || segment_ends(l, w)) {
            if (put_segment(r, l, gap ? l->stop : w->start, w->offset) == -1) {
                return -1;
            }
            begin_segment(l, w, utc, gap);
        }

        l->stop = ngx_max(l->stop, w->stop);
    }

    return put_segment(r, l, l->stop, r->walk.whole[r->walk.n - 1].end);
}


static int
write_at(int fd, const char *text, size_t size, uint64_t offset)
{
    ssize_t  n = size ? pwrite(fd, text, size, (off_t) offset) : 0;

    if (n != -1 && (size_t) n < size) {
        errno = ENOSPC;
        n = -1;
    }

    return n == -1 ? -1 : 0;
}


/* Replaces an index whose head is lost.  Write and sync a temporary file, then
 * rename: a crash leaves the old index. */
static int
replace_index(recovery_t *r, const char *text, size_t size)
{
    int   fd, failed;
    char  part[PATH_MAX];

    if (snprintf(part, sizeof(part), "%s.part", r->file->index)
        >= (int) sizeof(part))
    {
        errno = ENAMETOOLONG;
        return -1;
    }

    fd = open(part, O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC|O_NOFOLLOW, 0640);
    if (fd == -1) {
        return -1;
    }

    failed = write_at(fd, text, size, 0) == -1 || fdatasync(fd) == -1
             || rename(part, r->file->index) == -1 ? errno : 0;

    if (failed) {
        (void) unlink(part);
    }

    (void) close(fd);
    errno = failed;

    return failed ? -1 : 0;
}


static void
put_head(recovery_t *r, lines_t *l, const recovered_t *out)
{
    r->head.session = out->session ? out->session : (uint64_t) out->utc;
    r->head.init_size = r->walk.init.size;
    r->head.utc = out->utc;
    (void) snprintf(r->head.stream, sizeof(r->head.stream), "%s",
                    r->file->stream);

    l->size = rec_index_head(l->text, &r->head, r->file->name);
}


/* Writes the index's lines for the fragments from FRAGMENT on. */
static int
write_index(recovery_t *r, size_t fragment, recovered_t *out)
{
    int      rc = -1;
    lines_t  l;

    ngx_memzero(&l, sizeof(lines_t));
    l.max = REC_HEAD_MAX + 4 * REC_LINES_MAX;
    l.text = malloc(l.max);

    if (l.text && r->head_size == 0) {
        put_head(r, &l, out);
    }

    if (l.text && (fragment == r->walk.n
                   || put_lines(r, &l, fragment, out->utc) == 0))
    {
        /* if this is torn, the next recovery cuts it off */
        rc = r->head_size ? write_at(r->index, l.text, l.size, out->index_size)
                          : replace_index(r, l.text, l.size);
        out->index_size += l.size;
    }

    free(l.text);

    return rc;
}


/* Where new lines go: behind the segments that are known, and the live segments behind
 * the last one, if the file still has their bytes. */
static size_t
lines_end(const recovery_t *r, const recovered_t *out)
{
    size_t  i, end = r->nknown ? r->known[r->nknown - 1].lines_end : r->head_size;

    for (i = 0; i < r->nlives && r->lives[i].end <= out->size; i++) {
        end = r->lives[i].line_end;
    }

    return end;
}


/* Cuts torn tails off before any write: on a full disk the new lines may need
 * that space. */
static int
cut_tails(recovery_t *r, int keep, recovered_t *out)
{
    if (keep && out->ended) {
        out->index_size = r->index_size;

    } else if (r->head_size) {
        out->index_size = lines_end(r, out);
    }

    if (r->head_size && r->index_size > out->index_size
        && ftruncate(r->index, (off_t) out->index_size) == -1)
    {
        return -1;
    }

    return out->cut ? ftruncate(r->walk.fd, (off_t) out->size) : 0;
}


static int
recover_fragments(recovery_t *r, int keep, recovered_t *out)
{
    size_t  first, fragment, n;

    if (read_index(r, out) == -1 || find_whole(r, &first) == -1) {
        return -1;
    }

    n = r->nknown;
    fragment = keep_segments(r, first);
    out->utc = r->head_size ? r->head.utc : r->file->utc;

    if (fill_recovered(r, first, out) == -1) {
        return -1;
    }

    /* ignore an ENDLIST that does not match the file's end */
    if (r->nknown < n || fragment < r->walk.n || out->cut) {
        out->ended = out->interrupted = 0;
    }

    return cut_tails(r, keep, out) == -1 ? -1 : write_index(r, fragment, out);
}


int
recover_mp4(const recover_file_t *file, int fd, int keep, recovered_t *out)
{
    int         rc = -1, failed;
    recovery_t  r;

    ngx_memzero(&r, sizeof(recovery_t));
    ngx_memzero(out, sizeof(recovered_t));

    r.file = file;
    r.index = -1;

    if (walk_open(&r.walk, fd, file->doubt) == 0) {
        rc = recover_fragments(&r, keep, out);
    }

    failed = errno;

    if (r.index != -1) {
        (void) close(r.index);
    }

    walk_close(&r.walk);
    free(r.known);

    errno = failed;

    return rc;
}
