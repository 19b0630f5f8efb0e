/*
 * The pool thread's side of history: lists the files of a span of time and
 * reads their indexes.
 */

#include "history_find.h"

#include <dirent.h>
#include <fcntl.h>

#include "../media/flv_file.h"

#define DAY_MS           86400000
#define FILE_REACH       (25 * 3600 * 1000)    /* no file is longer, ms */
#define INDEX_SIZE_MAX   (64 * 1024 * 1024)
#define SETTLE_MS        10000                 /* a recorder that stopped has
                                                  ended its index by then */
#define SPAN_JOIN        1500                  /* ms; a shorter gap is none */


/* A file that may hold something of the range. */
typedef struct {
    int64_t   utc;
    unsigned  flv:1;
} found_t;

typedef struct {
    found_t         *files;
    size_t           nfiles;
    history_text_t   text;           /* the current index */
} finder_t;


/* Makes room for one more element of SIZE bytes behind the N at *P.  The array
 * grows by powers of two, so N tells its room.  NULL: no memory. */
static void *
array_push(void *p, size_t *n, size_t size)
{
    void  **array = p, *more;

    if ((*n & (*n - 1)) == 0) {
        more = realloc(*array, (*n ? 2 * *n : 1) * size);
        if (more == NULL) {
            return NULL;
        }
        *array = more;
    }

    return (char *) *array + (*n)++ * size;
}


void
history_fail(history_t *h, ngx_uint_t status, const char *format, ...)
{
    va_list  args;

    h->status = status;

    va_start(args, format);
    (void) vsnprintf(h->why, sizeof(h->why), format, args);
    va_end(args);
}


static void
no_memory(history_t *h)
{
    history_fail(h, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
}


static void
too_much(history_t *h, unsigned max, const char *noun)
{
    history_fail(h, NGX_HTTP_BAD_REQUEST, "the span has more than %u %s: "
                 "expected a shorter one", max, noun);
}


int
history_locate(history_t *h, const ngx_str_t *root, const ngx_str_t *stream)
{
    h->status = NGX_HTTP_OK;
    h->root = strndup((char *) root->data, root->len);

    if (h->root == NULL) {
        return -1;
    }

    if (stream->len > REC_STREAM_MAX
        || rec_path_dir(h->dir, (char *) stream->data, stream->len) == 0)
    {
        history_fail(h, NGX_HTTP_NOT_FOUND, "this name has no recordings");
        return 0;
    }

    ngx_memcpy(h->stream, stream->data, stream->len);

    return 0;
}


/* --- folders --- */

/* Opens the entry NAME (LEN bytes) of the folder FD, and closes FD. */
static int
open_in_folder(int fd, const char *name, size_t len, int flags)
{
    int   next, error;
    char  text[REC_DIR_MAX];

    ngx_memcpy(text, name, len);
    text[len] = '\0';

    next = openat(fd, text, flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK
                  | O_CLOEXEC);
    error = errno;
    (void) close(fd);
    errno = error;

    return next;
}


/* Opens the folders of PATH one after another, from the folder FD on. */
static int
open_path(int fd, const char *path)
{
    const char  *slash;

    while (fd != -1 && *path) {
        slash = strchr(path, '/');
        slash = slash ? slash : path + strlen(path);
        fd = open_in_folder(fd, path, (size_t) (slash - path), O_DIRECTORY);
        path = *slash ? slash + 1 : slash;
    }

    return fd;
}


int
history_open(const history_t *h, const char *file)
{
    int          fd;
    const char  *slash;
    struct stat  st;

    fd = open(h->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    fd = open_path(fd, h->dir);
    slash = strchr(file, '/');

    if (fd == -1 || slash == NULL) {
        return fd;
    }

    fd = open_in_folder(fd, file, (size_t) (slash - file), O_DIRECTORY);
    if (fd != -1) {
        fd = open_in_folder(fd, slash + 1, strlen(slash + 1), 0);
    }

    if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))) {
        (void) close(fd);
        errno = ENOENT;
        return -1;
    }

    return fd;
}


int
history_is_deleted(int fd)
{
    struct stat  st;

    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}


/* A missing file is no failure: nothing was recorded. */
static void
cannot(history_t *h, const char *verb, const char *name)
{
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
        history_fail(h, NGX_HTTP_INTERNAL_SERVER_ERROR, "cannot %s %s: %s",
                     verb, name, strerror(errno));
    }
}


/* Calls EACH with every name in the folder FD, and closes FD. */
static void
each_name(history_t *h, int fd, void *data,
    void (*each)(history_t *h, void *data, const char *name))
{
    DIR            *dir = fdopendir(fd);
    struct dirent  *entry;

    if (dir == NULL) {
        cannot(h, "list", h->dir);
        (void) close(fd);
        return;
    }

    while (h->status == NGX_HTTP_OK && (entry = readdir(dir)) != NULL) {
        each(h, data, entry->d_name);
    }

    (void) closedir(dir);
}


static void
add_day(history_t *h, void *data, const char *name)
{
    char     file[REC_FILE_MAX];
    int64_t  utc, *day;

    if (strlen(name) != 10) {
        return;
    }

    ngx_memcpy(file, name, 10);
    ngx_memcpy(file + 10, "/00-00-00.000.", sizeof("/00-00-00.000."));

    utc = rec_path_utc(file, strlen(file), "");
    if (utc == -1) {
        return;
    }

    day = array_push(&h->spans.days, &h->spans.ndays, sizeof(int64_t));
    if (day == NULL) {
        no_memory(h);
        return;
    }

    *day = utc;
}


typedef struct {
    finder_t  *finder;
    char       day[REC_FILE_MAX];    /* "2026-11-23/" */
} day_t;


static void
add_file(history_t *h, void *data, const char *name)
{
    char      file[REC_FILE_MAX];
    day_t    *day = data;
    size_t    len = strlen(name);
    int64_t   utc, flv = -1;
    found_t  *found;

    if (len + 11 >= sizeof(file)) {
        return;
    }

    ngx_memcpy(file, day->day, 11);
    ngx_memcpy(file + 11, name, len + 1);

    utc = rec_path_utc(file, len + 11, "m3u8");
    if (utc == -1) {
        utc = flv = rec_path_utc(file, len + 11, "flv");
    }

    if (utc == -1 || utc > h->to || utc <= h->from - FILE_REACH) {
        return;
    }

    if (day->finder->nfiles == HISTORY_FILES_MAX) {
        too_much(h, HISTORY_FILES_MAX, "files");
        return;
    }

    found = array_push(&day->finder->files, &day->finder->nfiles, sizeof(found_t));
    if (found == NULL) {
        no_memory(h);
        return;
    }

    found->utc = utc;
    found->flv = flv != -1;
}


static int
by_time(const void *one, const void *two)
{
    int64_t  a = *(const int64_t *) one, b = *(const int64_t *) two;

    return a < b ? -1 : a > b;
}


static void
list_day(history_t *h, finder_t *f, int64_t utc)
{
    int    fd;
    day_t  day;

    day.finder = f;
    (void) rec_path_file(day.day, utc, "");
    day.day[10] = '\0';

    fd = open_path(history_open(h, ""), day.day);
    if (fd == -1) {
        cannot(h, "open the folder", day.day);
        return;
    }

    day.day[10] = '/';
    each_name(h, fd, &day, add_file);
}


/* All files that may hold something of the span, oldest first. */
static void
list_files(history_t *h, finder_t *f)
{
    int        fd;
    size_t     i;
    int64_t   *days;

    fd = history_open(h, "");
    if (fd == -1) {
        cannot(h, "open the folder", h->dir);
        return;
    }

    each_name(h, fd, NULL, add_day);

    days = h->spans.days;
    if (h->spans.ndays) {
        qsort(days, h->spans.ndays, sizeof(int64_t), by_time);
    }

    for (i = 0; i < h->spans.ndays && h->status == NGX_HTTP_OK; i++) {
        if (days[i] <= h->to && days[i] > h->from - FILE_REACH - DAY_MS) {
            list_day(h, f, days[i]);
        }
    }

    if (f->nfiles) {
        qsort(f->files, f->nfiles, sizeof(found_t), by_time);
    }
}


/* --- indexes --- */

/* Reads all that FD holds now from FROM on.  Returns 0, or -1 with errno. */
static int
read_rest(history_text_t *text, int fd, uint64_t from)
{
    size_t       n;
    char        *more;
    ssize_t      got;
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return -1;
    }

    if ((uint64_t) st.st_size < from || st.st_size > INDEX_SIZE_MAX) {
        errno = st.st_size > INDEX_SIZE_MAX ? EFBIG : ENOENT;   /* it is another one */
        return -1;
    }

    n = (size_t) st.st_size - (size_t) from;

    if (text->room < n) {
        more = realloc(text->p, n);
        if (more == NULL) {
            return -1;
        }
        text->p = more;
        text->room = n;
    }

    for (text->n = 0; text->n < n; text->n += (size_t) got) {
        got = pread(fd, text->p + text->n, n - text->n, (off_t) (from + text->n));
        if (got == -1 && errno == EINTR) {
            got = 0;
        } else if (got <= 0) {
            return got == 0 ? 0 : -1;
        }
    }

    return 0;
}


int
history_index(history_t *h, int64_t utc, uint64_t from, history_text_t *text)
{
    int   fd, rc;
    char  file[REC_FILE_MAX];

    text->n = 0;
    (void) rec_path_file(file, utc, "m3u8");

    fd = history_open(h, file);
    if (fd == -1) {
        cannot(h, "open", file);
        return -1;
    }

    rc = read_rest(text, fd, from);
    if (rc == -1) {
        cannot(h, "read", file);
    }

    (void) close(fd);

    return rc;
}


/* Opens the index of the file that begins at UTC.  Returns 0 when there is none:
 * it may have been deleted since it was listed, or still be empty. */
static int
open_index(history_t *h, finder_t *f, int64_t utc, rec_reader_t *reader)
{
    return history_index(h, utc, 0, &f->text) == 0 && f->text.n > 0
           && rec_index_open(reader, f->text.p, f->text.n) == 0;
}


size_t
history_files(history_t *h, int64_t since, int64_t **files)
{
    size_t    i, n = 0;
    finder_t  f;

    ngx_memzero(&f, sizeof(finder_t));
    h->from = since + FILE_REACH;
    h->to = INT64_MAX;
    list_files(h, &f);

    *files = f.nfiles ? malloc(f.nfiles * sizeof(int64_t)) : NULL;

    if (f.nfiles && *files == NULL) {
        no_memory(h);
    }

    for (i = 0; i < f.nfiles && h->status == NGX_HTTP_OK; i++) {
        if (!f.files[i].flv) {
            (*files)[n++] = f.files[i].utc;
        }
    }

    free(f.files);

    return n;
}


/* --- a range --- */

static int
overlaps(const history_t *h, const rec_segment_t *s)
{
    return s->utc <= h->to && s->utc + s->duration > h->from;
}


/* Appends S to FILE.  Of the segments before the range, keeps only those that
 * the range's first segment depends on. */
static void
take_segment(history_t *h, history_file_t *file, const rec_segment_t *s)
{
    rec_segment_t    *added, *last;
    history_range_t  *range = &h->range;

    if (s->utc > h->to) {
        file->cut = 1;
        return;
    }

    if (s->dependent && file->n == 0) {
        return;
    }

    last = file->n ? &range->segments[range->nsegments - 1] : NULL;

    if (last && !s->dependent && last->utc + last->duration <= h->from) {
        range->nsegments = file->first;
        file->n = 0;
    }

    if (range->nsegments == HISTORY_SEGMENTS_MAX) {
        too_much(h, HISTORY_SEGMENTS_MAX, "segments");
        return;
    }

    added = array_push(&range->segments, &range->nsegments, sizeof(rec_segment_t));
    if (added == NULL) {
        no_memory(h);
        return;
    }

    *added = *s;
    file->n++;
}


static void
take_file(history_t *h, finder_t *f, int64_t utc)
{
    rec_reader_t     reader;
    rec_segment_t    segment;
    history_file_t   file, *added;
    history_range_t  *range = &h->range;

    if (!open_index(h, f, utc, &reader)) {
        return;
    }

    ngx_memzero(&file, sizeof(history_file_t));
    (void) rec_path_file(file.file, utc, "mp4");
    file.head = reader.head;
    file.first = (uint32_t) range->nsegments;

    /* keep the segments before an invalid line */
    while (h->status == NGX_HTTP_OK && rec_index_next(&reader, &segment) == 1) {
        take_segment(h, &file, &segment);
    }

    file.ended = reader.ended && !file.cut;

    if (file.n == 0 || !overlaps(h, &range->segments[range->nsegments - 1])) {
        range->nsegments = file.first;
        return;
    }

    added = array_push(&range->files, &range->nfiles, sizeof(history_file_t));
    if (added == NULL) {
        no_memory(h);
        return;
    }

    *added = file;
}


/* --- spans --- */

static void
take_span(history_t *h, int64_t from, int64_t to)
{
    history_span_t   *last;
    history_spans_t  *spans = &h->spans;

    from = ngx_max(from, h->from);
    to = ngx_min(to, h->to);

    if (from >= to) {
        return;
    }

    last = spans->nspans ? &spans->spans[spans->nspans - 1] : NULL;

    if (last && from - last->to <= SPAN_JOIN) {
        last->to = ngx_max(last->to, to);
        return;
    }

    if (spans->nspans == HISTORY_SEGMENTS_MAX) {
        too_much(h, HISTORY_SEGMENTS_MAX, "gaps");
        return;
    }

    last = array_push(&spans->spans, &spans->nspans, sizeof(history_span_t));
    if (last == NULL) {
        no_memory(h);
        return;
    }

    last->from = from;
    last->to = to;
}


static void
take_spans(history_t *h, finder_t *f, int64_t utc)
{
    rec_reader_t   reader;
    rec_segment_t  segment;

    if (!open_index(h, f, utc, &reader)) {
        return;
    }

    while (h->status == NGX_HTTP_OK && rec_index_next(&reader, &segment) == 1) {
        take_span(h, segment.utc, segment.utc + segment.duration);
    }
}


/* The end of an FLV, which has no index: from its onMetaData, or its mtime while
 * onMetaData has no duration yet. */
static int64_t
flv_end(int fd, int64_t utc)
{
    u_char       tag[FLV_META_SIZE];
    flv_meta_t   meta;
    struct stat  st;

    if (pread(fd, tag, FLV_META_SIZE, FLV_HEADER_SIZE) == FLV_META_SIZE
        && flv_read_meta(tag, &meta) == 0 && meta.duration)
    {
        return utc + (int64_t) meta.duration;
    }

    if (fstat(fd, &st) == -1) {
        return utc;
    }

    return (int64_t) st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}


/* Returns 1 when the file overlaps the span. */
static int
take_flv(history_t *h, int64_t utc)
{
    int      fd;
    char     file[REC_FILE_MAX];
    int64_t  end;

    (void) rec_path_file(file, utc, "flv");

    fd = history_open(h, file);
    if (fd == -1) {
        cannot(h, "open", file);
        return 0;
    }

    end = flv_end(fd, utc);
    (void) close(fd);

    if (h->spans_only) {
        take_span(h, utc, end);
    }

    return utc <= h->to && end > h->from;
}


/* --- */

void
history_find(history_t *h)
{
    size_t    i;
    finder_t  f;

    ngx_memzero(&f, sizeof(finder_t));
    h->flv = -1;
    list_files(h, &f);

    for (i = 0; i < f.nfiles && h->status == NGX_HTTP_OK; i++) {

        /* files do not overlap, so this one ends before `from` */
        if (i + 1 < f.nfiles && f.files[i + 1].utc <= h->from) {
            continue;
        }

        if (f.files[i].flv) {
            if (take_flv(h, f.files[i].utc)) {
                h->flv = f.files[i].utc;
            }

        } else if (h->spans_only) {
            take_spans(h, &f, f.files[i].utc);

        } else {
            take_file(h, &f, f.files[i].utc);
        }
    }

    free(f.files);
    free(f.text.p);

    if (h->status == NGX_HTTP_OK && !h->spans_only && h->range.nfiles == 0
        && !(h->pictures && h->flv != -1))
    {
        history_fail(h, NGX_HTTP_NOT_FOUND, "%s", h->flv != -1
                     ? "only FLV files were recorded in this span: lists and "
                       "clips are of MP4 files"
                     : "nothing was recorded in this span");
    }
}


/* Two delays matter: the hub may have released the stream before the last
 * fragment is written, and a segment is not in the index before it ends. */
int
history_growing(const history_t *h)
{
    int64_t                end;
    const rec_segment_t   *segment;
    const history_file_t  *last;

    if (h->range.nfiles == 0) {
        return h->recording && h->to + REC_SEGMENT_MAX >= h->now;
    }

    last = &h->range.files[h->range.nfiles - 1];
    segment = &h->range.segments[h->range.nsegments - 1];
    end = segment->utc + segment->duration;

    if (end > h->to || h->to + REC_SEGMENT_MAX < h->now) {
        return 0;
    }

    return h->recording || (!last->ended && h->now < end + SETTLE_MS);
}


void
history_find_free(history_t *h)
{
    free(h->range.files);
    free(h->range.segments);
    free(h->spans.spans);
    free(h->spans.days);
    ngx_memzero(&h->range, sizeof(history_range_t));
    ngx_memzero(&h->spans, sizeof(history_spans_t));
}
