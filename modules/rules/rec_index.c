#include "rec_index.h"
#include "rec_path.h"

#include <stdio.h>
#include <string.h>

#define TAG_STREAM       "#EXT-X-DUOLU-RECORDING:STREAM=\""
#define TAG_SESSION      "\",SESSION="
#define TAG_MAP          "#EXT-X-MAP:URI=\""
#define TAG_MAP_RANGE    "\",BYTERANGE=\""
#define TAG_TIME         "#EXT-X-PROGRAM-DATE-TIME:"
#define TAG_DURATION     "#EXTINF:"
#define TAG_RANGE        "#EXT-X-BYTERANGE:"
#define TAG_GAP          "#EXT-X-DISCONTINUITY"
#define TAG_DEPENDENT    "#EXT-X-DUOLU-DEPENDENT"
#define TAG_INTERRUPTED  "#EXT-X-DUOLU-INTERRUPTED"
#define TAG_END          "#EXT-X-ENDLIST"
#define TAG_LIVE         "#EXT-X-DUOLU-LIVE:NUMBER="


/* --- writing --- */

size_t
rec_index_head(char *out, const rec_head_t *head, const char *file)
{
    char  utc[UTC_TEXT_MAX];

    (void) utc_write(utc, head->utc);

    return (size_t) snprintf(out, REC_HEAD_MAX,
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:%d\n"
        "#EXT-X-PLAYLIST-TYPE:EVENT\n"
        TAG_STREAM "%.*s" TAG_SESSION "%llu\n"
        TAG_MAP "%.32s" TAG_MAP_RANGE "%llu@0\"\n"
        TAG_TIME "%s\n",
        REC_SEGMENT_MAX / 1000, REC_STREAM_MAX, head->stream,
        (unsigned long long) head->session, file,
        (unsigned long long) head->init_size, utc);
}


size_t
rec_index_segment(char *out, const rec_segment_t *segment, const char *file)
{
    char    utc[UTC_TEXT_MAX];
    size_t  n = 0;

    if (segment->gap) {
        (void) utc_write(utc, segment->utc);
        n = (size_t) snprintf(out, REC_LINES_MAX, TAG_GAP "\n" TAG_TIME "%s\n",
                              utc);
    }

    return n + (size_t) snprintf(out + n, REC_LINES_MAX - n,
        "%s" TAG_DURATION "%u.%03u,\n" TAG_RANGE "%llu@%llu\n%.32s\n",
        segment->dependent ? TAG_DEPENDENT "\n" : "",
        segment->duration / 1000, segment->duration % 1000,
        (unsigned long long) segment->size,
        (unsigned long long) segment->offset, file);
}


size_t
rec_index_end(char *out, int interrupted)
{
    return (size_t) snprintf(out, REC_LINES_MAX, "%s" TAG_END "\n",
                             interrupted ? TAG_INTERRUPTED "\n" : "");
}


size_t
rec_index_live(char *out, const rec_live_t *live)
{
    return (size_t) snprintf(out, REC_LIVE_MAX,
        TAG_LIVE "%llu,STREAM=%llu,BYTES=%llu@%llu,MS=%u,UTC=%lld,SHIFT=%lld,"
        "SOUND=%lld,UNTIL=%lld,HEADERS=%u,BREAKS=%u,ANEW=%u\n",
        (unsigned long long) live->number, (unsigned long long) live->stream,
        (unsigned long long) live->size, (unsigned long long) live->offset,
        live->ms, (long long) live->utc, (long long) live->shift,
        (long long) live->sound, (long long) live->sound_end, live->headers,
        live->breaks, live->anew);
}


/* --- reading --- */

typedef struct {
    const char  *p, *last;
} line_t;


/* Returns 0 when no whole line is left. */
static int
next_line(rec_reader_t *r, line_t *line)
{
    size_t       size = (size_t) (r->last - r->p);
    const char  *end = size ? memchr(r->p, '\n', size) : NULL;

    if (end == NULL) {
        return 0;
    }

    line->p = r->p;
    line->last = end;
    r->p = end + 1;

    return 1;
}


/* Skips WORD if LINE continues with it. */
#define skip(line, word)  skip_word((line), (word), sizeof(word) - 1)

static inline int
skip_word(line_t *line, const char *word, size_t len)
{
    if ((size_t) (line->last - line->p) < len
        || memcmp(line->p, word, len) != 0)
    {
        return 0;
    }

    line->p += len;

    return 1;
}


static inline int
at_end(const line_t *line)
{
    return line->p == line->last;
}


/* Reads a number of at most 18 digits, so that no sum of two overflows. */
static inline int
get_number(line_t *line, uint64_t *value)
{
    const char  *start = line->p;

    *value = 0;

    while (line->p < line->last && *line->p >= '0' && *line->p <= '9') {
        *value = *value * 10 + (uint64_t) (*line->p++ - '0');
        if (line->p - start > 18) {
            return 0;
        }
    }

    return line->p > start;
}


/* Reads "2.000,", the only form that the writer uses. */
static int
get_duration(line_t *line, uint32_t *ms)
{
    uint64_t     whole, part;
    const char  *point;

    if (!get_number(line, &whole) || whole > 86400 || !skip(line, ".")) {
        return 0;
    }

    point = line->p;
    if (!get_number(line, &part) || line->p - point != 3 || !skip(line, ",")) {
        return 0;
    }

    *ms = (uint32_t) (whole * 1000 + part);

    return at_end(line);
}


static int
get_time(line_t *line, int64_t *utc)
{
    *utc = utc_read(line->p, (size_t) (line->last - line->p));

    return *utc >= 0;
}


static int
get_stream(line_t *line, rec_head_t *head)
{
    size_t       len;
    const char  *quote = at_end(line)
                         ? NULL : memchr(line->p, '"',
                                         (size_t) (line->last - line->p));

    if (quote == NULL) {
        return 0;
    }

    len = (size_t) (quote - line->p);
    if (len == 0 || len > REC_STREAM_MAX || memchr(line->p, '\0', len)) {
        return 0;
    }

    memcpy(head->stream, line->p, len);
    head->stream[len] = '\0';
    line->p = quote;

    return skip(line, TAG_SESSION) && get_number(line, &head->session)
           && at_end(line);
}


static int
get_map(line_t *line, rec_head_t *head)
{
    const char  *quote = at_end(line)
                         ? NULL : memchr(line->p, '"',
                                         (size_t) (line->last - line->p));

    if (quote == NULL) {
        return 0;
    }

    line->p = quote;

    return skip(line, TAG_MAP_RANGE) && get_number(line, &head->init_size)
           && head->init_size > 0 && skip(line, "@0\"") && at_end(line);
}


int
rec_index_open(rec_reader_t *r, const char *text, size_t size)
{
    int     map = 0;
    line_t  line;

    memset(r, 0, sizeof(*r));
    r->p = text;
    r->last = text + size;
    r->whole = text;

    if (!next_line(r, &line) || !skip(&line, "#EXTM3U") || !at_end(&line)) {
        return -1;
    }

    while (next_line(r, &line)) {

        if (skip(&line, TAG_STREAM)) {
            if (!get_stream(&line, &r->head)) {
                return -1;
            }

        } else if (skip(&line, TAG_MAP)) {
            if (!get_map(&line, &r->head)) {
                return -1;
            }
            map = 1;

        } else if (skip(&line, TAG_TIME)) {
            if (!get_time(&line, &r->head.utc)) {
                return -1;
            }
            r->utc = r->head.utc;
            r->whole = r->p;
            return map && r->head.stream[0] ? 0 : -1;

        } else if (line.p < line.last && *line.p != '#') {
            return -1;
        }
    }

    return -1;
}


/* Reads a tag that precedes a segment or ends the index.  Returns 0 when it is
 * invalid. */
static int
read_tag(rec_reader_t *r, line_t *line)
{
    if (skip(line, TAG_TIME)) {
        return get_time(line, &r->utc);
    }

    if (skip(line, TAG_GAP)) {
        r->gap |= at_end(line);              /* not …-SEQUENCE */

    } else if (skip(line, TAG_DEPENDENT)) {
        r->dependent |= at_end(line);

    } else if (skip(line, TAG_INTERRUPTED)) {
        r->interrupted |= at_end(line);

    } else if (skip(line, TAG_END)) {
        r->ended |= at_end(line);
    }

    return 1;
}


static void
take_segment(rec_reader_t *r, rec_segment_t *segment)
{
    segment->utc = r->utc;
    segment->gap = r->gap;
    segment->dependent = r->dependent;

    r->utc += segment->duration;
    r->gap = 0;
    r->dependent = 0;
    r->whole = r->p;
}


int
rec_index_next(rec_reader_t *r, rec_segment_t *segment)
{
    int     duration = 0, range = 0;
    line_t  line;

    while (!r->ended && next_line(r, &line)) {

        if (skip(&line, TAG_DURATION)) {
            if (duration++ || !get_duration(&line, &segment->duration)) {
                return -1;
            }

        } else if (skip(&line, TAG_RANGE)) {
            if (range++ || !get_number(&line, &segment->size)
                || segment->size == 0 || !skip(&line, "@")
                || !get_number(&line, &segment->offset) || !at_end(&line))
            {
                return -1;
            }

        } else if (line.p < line.last && *line.p != '#') {
            if (!duration || !range) {
                return -1;
            }
            take_segment(r, segment);
            return 1;

        } else {
            if (!read_tag(r, &line)) {
                return -1;
            }
            if (!duration && !range) {
                r->whole = r->p;
            }
        }
    }

    return 0;
}


/* --- live segments --- */

static int
get_signed(line_t *line, int64_t *value)
{
    int       minus = skip(line, "-");
    uint64_t  n;

    if (!get_number(line, &n)) {
        return 0;
    }

    *value = minus ? -(int64_t) n : (int64_t) n;

    return 1;
}


static int
get_number32(line_t *line, uint32_t *value)
{
    uint64_t  n;

    if (!get_number(line, &n) || n > UINT32_MAX) {
        return 0;
    }

    *value = (uint32_t) n;

    return 1;
}


static int
get_live(line_t *line, rec_live_t *live)
{
    uint32_t  anew = 0;
    int       good;

    good = skip(line, TAG_LIVE) && get_number(line, &live->number)
           && skip(line, ",STREAM=") && get_number(line, &live->stream)
           && skip(line, ",BYTES=") && get_number(line, &live->size)
           && skip(line, "@") && get_number(line, &live->offset)
           && skip(line, ",MS=") && get_number32(line, &live->ms)
           && skip(line, ",UTC=") && get_signed(line, &live->utc)
           && skip(line, ",SHIFT=") && get_signed(line, &live->shift)
           && skip(line, ",SOUND=") && get_signed(line, &live->sound)
           && skip(line, ",UNTIL=") && get_signed(line, &live->sound_end)
           && skip(line, ",HEADERS=") && get_number32(line, &live->headers)
           && skip(line, ",BREAKS=") && get_number32(line, &live->breaks)
           && skip(line, ",ANEW=") && get_number32(line, &anew)
           && anew <= 1 && at_end(line) && live->size > 0;

    live->anew = anew & 1;

    return good;
}


/* Cuts the line at *P off.  Returns 0 when no whole line is left. */
static int
cut_line(const char **p, const char *last, line_t *line)
{
    const char  *end = *p < last ? memchr(*p, '\n', (size_t) (last - *p)) : NULL;

    if (end == NULL) {
        return 0;
    }

    line->p = *p;
    line->last = end;
    *p = end + 1;

    return 1;
}


int
rec_index_next_live(const char **p, const char *last, rec_live_t *live)
{
    line_t  line;

    while (cut_line(p, last, &line)) {
        if (get_live(&line, live)) {
            return 1;
        }
    }

    return 0;
}


int
rec_index_at_live(const char **p, const char *last, rec_live_t *live)
{
    char         text[REC_LIVE_MAX];
    size_t       n;
    line_t       line;
    const char  *end = *p;

    if (!cut_line(&end, last, &line) || !get_live(&line, live)) {
        return 0;
    }

    n = rec_index_live(text, live);

    if ((size_t) (end - *p) != n || memcmp(*p, text, n) != 0) {
        return 0;
    }

    *p = end;

    return 1;
}
