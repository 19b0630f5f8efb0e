#include "recover_walk.h"

#include "../media/fragment.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define INIT_MAX       131072        /* ftyp and moov */
#define TIME_MAX       172800000     /* ms in a file, which is cut each day */
#define MOOF_MAX       (FRAGMENT_HEAD_MAX + 16)
#define SAMPLES_MAX    (2 * FRAGMENT_SAMPLES)

/* Blocks that never reached the disk read as zeros.  Coded pictures never have so
 * many zeros (14496-10, 7.4.1: emulation prevention); sound may pad its frames with
 * zeros, but a frame has at most 768 bytes a channel. */
#define BLOCK          4096
#define ZEROS_PICTURE  8
#define ZEROS_SOUND    1024


/* --- helpers --- */

ssize_t
recover_read(int fd, void *out, size_t size, uint64_t offset)
{
    size_t   got = 0;
    ssize_t  n;

    while (got < size) {
        n = pread(fd, (char *) out + got, size - got, (off_t) (offset + got));

        if (n == -1 && errno == EINTR) {
            continue;
        }
        if (n == -1) {
            return -1;
        }
        if (n == 0) {
            break;
        }

        got += (size_t) n;
    }

    return (ssize_t) got;
}


int
recover_grow(void *list, size_t n, size_t *max, size_t size)
{
    void    **p = list, *larger;
    size_t    more = *max ? 2 * *max : 256;

    if (n < *max) {
        return 0;
    }

    larger = realloc(*p, more * size);
    if (larger == NULL) {
        return -1;
    }

    *p = larger;
    *max = more;

    return 0;
}


int
walk_open(walk_t *w, int fd, int doubt)
{
    ssize_t      n;
    struct stat  st;

    ngx_memzero(w, sizeof(walk_t));
    w->fd = fd;
    w->doubt = doubt != 0;
    w->buffer = malloc(INIT_MAX);
    w->sample = malloc(SAMPLES_MAX * sizeof(mp4_sample_t));

    if (w->buffer == NULL || w->sample == NULL || fstat(fd, &st) == -1) {
        return -1;
    }

    w->size = (uint64_t) st.st_size;

    n = recover_read(fd, w->buffer, INIT_MAX, 0);
    if (n == -1) {
        return -1;
    }

    if (mp4_read_init(w->buffer, (size_t) n, &w->init) != 0) {
        errno = ENODATA;
        return -1;
    }

    return 0;
}


void
walk_close(walk_t *w)
{
    free(w->buffer);
    free(w->sample);
    free(w->whole);
}


/* --- one fragment --- */

static int64_t
in_ms(uint64_t ticks, uint32_t timescale)
{
    return (int64_t) (ticks / timescale * 1000
                      + ticks % timescale * 1000 / timescale);
}


static void
take_times(const walk_t *w, const mp4_fragment_t *f, whole_t *whole)
{
    int               kind;
    int64_t           stop;
    uint32_t          i, timescale;
    uint64_t          ticks;
    const mp4_run_t  *run;

    whole->start = whole->finish = -1;

    for (kind = MP4_VIDEO; kind <= MP4_AUDIO; kind++) {
        run = &f->runs[kind];
        timescale = w->init.tracks[kind].timescale;
        whole->dts[kind] = -1;

        if (run->n == 0 || timescale == 0) {
            continue;
        }

        for (i = 0, ticks = run->dts; i + 1 < run->n; i++) {
            ticks += run->samples[i].duration;
        }

        whole->dts[kind] = in_ms(ticks, timescale);
        stop = in_ms(ticks + run->samples[i].duration, timescale);

        if (whole->start == -1) {
            whole->start = in_ms(run->dts, timescale);
            whole->stop = stop;
        }

        whole->finish = ngx_max(whole->finish, stop);
    }

    whole->key = w->init.tracks[MP4_VIDEO].codec == FLV_CODEC_NONE
                 || (f->runs[MP4_VIDEO].n && f->runs[MP4_VIDEO].samples[0].key);
}


/* Parses a moof and the header of its mdat, the SIZE bytes in w->buffer. */
static int
parse_fragment(walk_t *w, size_t size, mp4_box_t *moof, mp4_box_t *mdat,
    mp4_fragment_t *f)
{
    size_t  left;

    if (mp4_read_box(w->buffer, size, moof) != 0
        || moof->type != MP4_BOX('m', 'o', 'o', 'f') || moof->size > size
        || mp4_read_fragment(w->buffer, (size_t) moof->size, f, w->sample,
                             SAMPLES_MAX) != 0)
    {
        return 0;
    }

    left = size - (size_t) moof->size;

    return mp4_read_box(w->buffer + moof->size, left, mdat) == 0
           && mdat->type == MP4_BOX('m', 'd', 'a', 't')
           && mdat->size - mdat->head == f->data && f->data > 0;
}


int
walk_one(walk_t *w, uint64_t offset, whole_t *whole)
{
    ssize_t         n;
    uint32_t        i;
    uint64_t        left;
    mp4_box_t       moof, mdat;
    mp4_fragment_t  f;

    n = recover_read(w->fd, w->buffer, MOOF_MAX, offset);

    if (n <= 0 || !parse_fragment(w, (size_t) n, &moof, &mdat, &f)) {
        return n == -1 ? -1 : 0;
    }

    whole->offset = offset;
    whole->payload = whole->sound = offset + moof.size + mdat.head;
    whole->end = offset + moof.size + mdat.size;
    whole->sequence = f.sequence;

    for (i = 0; i < f.runs[MP4_VIDEO].n; i++) {
        whole->sound += f.runs[MP4_VIDEO].samples[i].size;
    }

    take_times(w, &f, whole);
    left = w->size - offset - moof.size;

    return mdat.size <= left && whole->start >= 0 && whole->finish < TIME_MAX;
}


/* --- lost blocks --- */

static int
is_zero(const uint8_t *p, size_t n)
{
    return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}


/* Is there a block of zeros between FROM and TO?  -1 with errno. */
static int
has_lost_block(walk_t *w, uint64_t from, uint64_t to)
{
    size_t   i;
    ssize_t  n;

    from = (from + BLOCK - 1) / BLOCK * BLOCK;

    for ( /* void */ ; from + BLOCK <= to; from += (uint64_t) n) {

        n = recover_read(w->fd, w->buffer,
                         to - from < INIT_MAX
                         ? (size_t) (to - from) / BLOCK * BLOCK : INIT_MAX,
                         from);
        if (n < BLOCK) {
            return n == -1 ? -1 : 1;         /* the file became shorter */
        }

        n -= n % BLOCK;

        for (i = 0; i < (size_t) n; i += BLOCK) {
            if (is_zero(w->buffer + i, BLOCK)) {
                return 1;
            }
        }
    }

    return 0;
}


/* Was the block lost in which the fragment ends?  The bytes after the fragment tell
 * more than its own, which may be few.  -1 with errno. */
static int
has_lost_end(walk_t *w, const whole_t *whole)
{
    size_t    own, pictures;
    ssize_t   n;
    uint64_t  from = whole->end / BLOCK * BLOCK;

    if (from < whole->payload) {             /* it holds a part of the moof */
        return 0;
    }

    n = recover_read(w->fd, w->buffer, BLOCK, from);
    if (n == -1) {
        return -1;
    }

    own = (size_t) (whole->end - from);

    if (own == 0 || (size_t) n < own || !is_zero(w->buffer, own)) {
        return 0;
    }

    if ((size_t) n > own) {
        return is_zero(w->buffer + own, (size_t) n - own);
    }

    pictures = whole->sound > from ? (size_t) (whole->sound - from) : 0;

    return pictures >= ZEROS_PICTURE || own >= ZEROS_SOUND;
}


/* Drops the first fragment with a lost block and all that follow.  Checks only
 * fragments near the file's end. */
static int
drop_lost(walk_t *w)
{
    int             rc;
    size_t          i, n = w->n;
    const whole_t  *whole;

    for (i = 0; i < n; i++) {
        whole = &w->whole[i];

        if (w->whole[n - 1].stop - whole->stop > DOUBT_MS
            && w->size - whole->end > DOUBT_BYTES)
        {
            continue;
        }

        rc = has_lost_block(w, whole->payload, whole->end);
        if (rc == -1) {
            return -1;
        }

        if (rc) {
            w->n = i;
            break;
        }
    }

    while (w->n > 0) {
        rc = has_lost_end(w, &w->whole[w->n - 1]);
        if (rc <= 0) {
            return rc;
        }
        w->n--;
    }

    return 0;
}


int
walk_from(walk_t *w, uint64_t offset)
{
    int       rc;
    whole_t  *whole;

    for (w->n = 0; ; w->n++) {

        if (recover_grow(&w->whole, w->n, &w->max, sizeof(whole_t)) == -1) {
            return -1;
        }

        whole = &w->whole[w->n];
        rc = walk_one(w, offset, whole);

        if (rc == -1) {
            return -1;
        }

        if (rc == 0 || (w->n > 0 && whole->sequence != whole[-1].sequence + 1)) {
            return w->doubt ? drop_lost(w) : 0;
        }

        offset = whole->end;
    }
}
