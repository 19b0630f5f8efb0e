/*
 * A growing playlist of the same `from` must be append-only.  So whether a group
 * of segments is closed depends only on its own segments, never on later ones or
 * on the clock, and a group that may still grow is not listed.
 */

#include "history_playlist.h"
#include "answer.h"
#include "budget.h"
#include "segment.h"

#define LIST_LEAST   65536    /* bytes charged before a list's size is known */
#define GROUP_MS     6000
#define EARLY_MS     500      /* a file's sound may begin before the last one's end */
#define LATE_MS      100      /* nobody notices a shorter pause */
#define AHEAD_MS     60000    /* a client's clock may be that far ahead */


/* Segments that the list has as one. */
typedef struct {
    const history_file_t  *file;
    rec_segment_t          sum;
    unsigned               first:1;      /* of its file */
} group_t;

typedef struct {
    text_t    text;
    size_t    most;                      /* limit of bytes of all lists */
    budget_hold_t  hold;
    unsigned  open:1;
    unsigned  growing:1;
} playlist_t;


static budget_t  lists;                  /* of this worker */


/* --- groups --- */

/* Returns the end of the group that begins with segment I; the file's segments
 * end before END.  *CLOSED: the group cannot grow any more. */
static uint32_t
group_end(const rec_segment_t *s, uint32_t i, uint32_t end, int alone,
    int *closed)
{
    uint64_t  duration = s[i].duration;

    *closed = 1;

    for (i++; i < end; i++) {
        if (alone || duration >= GROUP_MS || s[i].gap
            || s[i].offset != s[i - 1].offset + s[i - 1].size)
        {
            return i;
        }
        duration += s[i].duration;
    }

    *closed = alone || duration >= GROUP_MS;

    return i;
}


/* Writes the range's groups to OUT, which has room for one per segment.
 * Returns the number of groups to list. */
static size_t
make_groups(const history_range_t *range, int growing, group_t *out)
{
    int                    closed = 1, last;
    size_t                 f, n = 0;
    uint32_t               i, next, end, k;
    const history_file_t  *file;

    for (f = 0; f < range->nfiles; f++) {
        file = &range->files[f];
        end = file->first + file->n;
        last = f + 1 == range->nfiles;

        for (i = file->first; i < end; i = next) {
            /* the first group is short, so that playback starts soon */
            next = group_end(range->segments, i, end, n == 0, &closed);

            if (growing && last && !file->ended && next == end && !closed) {
                return n;
            }

            out[n].file = file;
            out[n].first = i == file->first;
            out[n].sum = range->segments[i];

            for (k = i + 1; k < next; k++) {
                out[n].sum.duration += range->segments[k].duration;
                out[n].sum.size += range->segments[k].size;
            }
            n++;
        }
    }

    return n;
}


/* The longest group in seconds, rounded up.  In an EVENT list it must not change,
 * so it is the longest group that these segments could form. */
static uint64_t
target_duration(const history_range_t *range, const group_t *groups, size_t n,
    int event)
{
    size_t    i;
    uint64_t  longest = 1;

    if (event) {
        for (i = 0; i < range->nsegments; i++) {
            longest = ngx_max(longest, range->segments[i].duration);
        }
        longest += GROUP_MS - 1;

    } else {
        for (i = 0; i < n; i++) {
            longest = ngx_max(longest, groups[i].sum.duration);
        }
    }

    return (longest + 999) / 1000;
}


/* --- text --- */

/* Does G's file continue BEFORE's, with the same headers and clock?  Then
 * players need no discontinuity. */
static int
continues_file(const history_t *h, const group_t *before, const group_t *g)
{
    int64_t  apart = g->sum.utc - (before->sum.utc + before->sum.duration);

    return g->first && !g->sum.gap && apart >= -EARLY_MS && apart <= LATE_MS
           && g->file->head.session == before->file->head.session
           && segment_same_init(h, before->file, g->file);
}


/* Adds the tags that G needs, which begins a file or follows a gap.  BEFORE: NULL
 * when G is the list's first group. */
static void
add_break(const history_t *h, text_t *t, const group_t *before,
    const group_t *g)
{
    int   same = before && continues_file(h, before, g);
    char  utc[UTC_TEXT_MAX];

    (void) utc_write(utc, g->sum.utc);

    text_add(t, "%s", before && !same ? "#EXT-X-DISCONTINUITY\n" : "");

    if (g->first && !same) {
        text_add(t, "#EXT-X-MAP:URI=\"%s\",BYTERANGE=\"%uL@0\"\n",
                 g->file->file, g->file->head.init_size);
    }

    text_add(t, "#EXT-X-PROGRAM-DATE-TIME:%s\n", utc);
}


/* Without printf, for speed: a day has tens of thousands of groups. */
static void
add_group(text_t *t, const group_t *g)
{
    u_char  name[TEXT_STEP];

    text_word(t, "#EXTINF:");
    text_seconds(t, g->sum.duration);
    text_word(t, ",\n");
    text_append(t, name, segment_write_name(name, g->file->file, &g->sum) - name);
    text_word(t, "\n");
}


static void
write_playlist(history_t *h, playlist_t *p, group_t *groups)
{
    int      event = p->open || p->growing;
    size_t   i, n;
    text_t  *t = &p->text;

    n = make_groups(&h->range, p->growing, groups);

    text_add(t, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%uL\n"
             "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:%s\n",
             target_duration(&h->range, groups, n, event),
             event ? "EVENT" : "VOD");

    for (i = 0; i < n; i++) {
        if (groups[i].first || groups[i].sum.gap || i == 0) {
            add_break(h, t, i ? &groups[i - 1] : NULL, &groups[i]);
        }
        add_group(t, &groups[i]);
    }

    if (!p->growing) {
        text_add(t, "#EXT-X-ENDLIST\n");
    }

    if (t->failed) {
        history_fail(h, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
    }
}


/* --- on the pool thread --- */

static void
playlist_work(history_t *h)
{
    group_t     *groups;
    playlist_t  *p = h->data;

    groups = malloc(h->range.nsegments * sizeof(group_t));
    if (groups == NULL) {
        history_fail(h, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
        return;
    }

    p->growing = history_growing(h) != 0;
    write_playlist(h, p, groups);
    free(groups);
    history_find_free(h);
}


static void
spans_work(history_t *h)
{
    char         day[REC_FILE_MAX];
    size_t       i;
    playlist_t  *p = h->data;

    text_add(&p->text, "{\"from\":%L,\"to\":%L,\"recording\":%s,\"days\":[",
             h->from, h->to, h->recording ? "true" : "false");

    for (i = 0; i < h->spans.ndays; i++) {
        (void) rec_path_file(day, h->spans.days[i], "");
        text_add(&p->text, "%s\"%*s\"", i ? "," : "", (size_t) 10, day);
    }

    text_add(&p->text, "],\"spans\":[");

    for (i = 0; i < h->spans.nspans; i++) {
        text_add(&p->text, "%s{\"from\":%L,\"to\":%L}", i ? "," : "",
                 h->spans.spans[i].from, h->spans.spans[i].to);
    }

    text_add(&p->text, "]}");
    history_find_free(h);
}


/* --- on the event loop --- */

static void
playlist_free(history_t *h)
{
    playlist_t  *p = h->data;

    budget_give(&p->hold);
    text_free(&p->text);
    free(p);
}


/* Charges BYTES for the list instead of the previous charge.  NGX_ERROR: over the
 * limit, the question has failed. */
static ngx_int_t
playlist_hold(history_t *h, size_t bytes)
{
    size_t       held;
    playlist_t  *p = h->data;

    budget_give(&p->hold);

    switch (budget_take(&lists, &p->hold, h->uid, bytes, p->most, &held)) {

    case NGX_OK:
        return NGX_OK;

    case NGX_BUSY:
        history_fail(h, NGX_HTTP_SERVICE_UNAVAILABLE, "%zu bytes of lists are "
                     "being sent: hub_history_lists allows %zu", held, p->most);
        return NGX_ERROR;

    default:
        history_fail(h, NGX_HTTP_TOO_MANY_REQUESTS, "%zu bytes of lists are "
                     "being sent to this user: a quarter of hub_history_lists "
                     "is %zu", held, p->most / 4);
        return NGX_ERROR;
    }
}


static ngx_int_t
playlist_send(ngx_http_request_t *r, history_t *h, const char *type)
{
    text_t       text;
    playlist_t  *p = h->data;

    text = p->text;

    if (playlist_hold(h, (size_t) (text.end - text.start)) != NGX_OK) {
        return history_refuse(r, h);
    }

    if (answer_header(r, "Cache-Control", "no-store") == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&p->text, sizeof(text_t));

    return answer_send(r, NGX_HTTP_OK, type, &text);
}


static ngx_int_t
playlist_done(ngx_http_request_t *r, history_t *h)
{
    return playlist_send(r, h, "application/vnd.apple.mpegurl");
}


static ngx_int_t
spans_done(ngx_http_request_t *r, history_t *h)
{
    return playlist_send(r, h, ANSWER_JSON);
}


/* NGX_OK; or NGX_ERROR and the question has failed. */
static ngx_int_t
playlist_create(history_t *h, size_t most)
{
    playlist_t  *p = calloc(1, sizeof(playlist_t));

    if (p == NULL || budget_init(&lists, ngx_cycle->log) != NGX_OK) {
        free(p);
        history_fail(h, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
        return NGX_ERROR;
    }

    p->most = most;
    h->data = p;
    h->free = playlist_free;

    return h->status == NGX_HTTP_OK ? playlist_hold(h, LIST_LEAST) : NGX_ERROR;
}


ngx_int_t
history_playlist(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    size_t most, int open)
{
    playlist_t  *p;

    if (playlist_create(h, most) != NGX_OK) {
        return history_refuse(r, h);
    }

    p = h->data;
    p->open = open != 0;

    if (open) {
        h->to += AHEAD_MS;
    }

    h->work = playlist_work;
    h->done = playlist_done;

    return history_ask(h, pool);
}


ngx_int_t
history_spans(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    size_t most)
{
    if (playlist_create(h, most) != NGX_OK) {
        return history_refuse(r, h);
    }

    h->spans_only = 1;
    h->work = spans_work;
    h->done = spans_done;

    return history_ask(h, pool);
}
