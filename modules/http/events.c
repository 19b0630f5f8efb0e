#include "events.h"

#define STAT_TEXT  80      /* three numbers and their names */


struct events_stat_s {
    uint64_t  id;
    uint32_t  generation;
    uint32_t  viewers, kbps;
    uint32_t  size;
    u_char    text[STAT_TEXT];
};


/* --- rights --- */

static int
events_compare_ids(const void *first, const void *second)
{
    uint64_t  a = *(const uint64_t *) first, b = *(const uint64_t *) second;

    return (a > b) - (a < b);
}


int
events_rights_read(ngx_pool_t *pool, const ngx_str_t *text,
    events_rights_t *rights)
{
    u_char    *p = text->data, *end = p + text->len, *digits;
    size_t     i, most = 1;
    uint64_t   id;

    ngx_memzero(rights, sizeof(events_rights_t));

    if (text->len <= 1) {
        rights->all = text->len && *p == '*';
        if (text->len == 0 || rights->all) {
            return 0;
        }
    }

    for (i = 0; i < text->len; i++) {
        most += p[i] == ',';
    }

    rights->ids = ngx_palloc(pool, most * sizeof(uint64_t));
    if (rights->ids == NULL) {
        return -1;
    }

    for ( ;; ) {
        digits = p;

        for (id = 0; p < end && *p >= '0' && *p <= '9'; p++) {
            id = id * 10 + (*p - '0');
        }

        if (p == digits || p - digits > 19 || id == 0) {
            return -1;
        }

        rights->ids[rights->n++] = id;

        if (p == end) {
            break;
        }

        if (*p++ != ',') {
            return -1;
        }
    }

    qsort(rights->ids, rights->n, sizeof(uint64_t), events_compare_ids);

    return 0;
}


int
events_rights_hold(const events_rights_t *rights, uint64_t id)
{
    if (rights->all) {
        return 1;
    }

    return rights->n && id
           && bsearch(&id, rights->ids, rights->n, sizeof(uint64_t),
                      events_compare_ids) != NULL;
}


/* --- streams --- */

static void
events_write_row(text_t *t, uint64_t id, const u_char *name, size_t len,
    const char *state, const snapshot_stream_t *row)
{
    text_add(t, "{\"id\":%uL,\"name\":", id);
    text_add_json(t, name, len);
    text_add(t, ",\"state\":\"%s\",\"video\":\"%s\",\"audio\":\"%s\","
             "\"width\":%ud,\"height\":%ud,\"viewers\":%uD,\"kbps\":%uD,"
             "\"recording\":\"%s\",\"since_ms\":%uL}", state, flv_codec_name(row->video),
             flv_codec_name(row->audio), (unsigned) row->width,
             (unsigned) row->height, row->viewers, row->kbps_in,
             hub_record_name(row->recording.state), row->since_ms);
}


void
events_write_streams(text_t *t, const snapshot_t *s,
    const events_rights_t *rights)
{
    uint32_t                  i, n = 0;
    const snapshot_stream_t  *row;

    text_add(t, "event: streams\ndata: {\"streams\":[");

    for (i = 0; i < s->nstreams; i++) {
        row = &s->streams[i];

        if (row->state != HUB_FREE && events_rights_hold(rights, row->id)) {
            text_add(t, "%s", n++ ? "," : "");
            events_write_row(t, row->id, row->name, row->name_len,
                          row->state == HUB_LIVE ? "live" : "grace", row);
        }
    }

    text_add(t, "]}\n\n");
}


void
events_write_stream(text_t *t, const hub_change_t *change,
    const snapshot_stream_t *row)
{
    const char         *state;
    snapshot_stream_t   unset;

    state = change->state == HUB_LIVE ? "live"
            : change->state == HUB_GRACE ? "grace" : "ended";

    if (row->state == HUB_FREE) {
        ngx_memzero(&unset, sizeof(unset));
        row = &unset;
    }

    text_add(t, "event: stream\ndata: ");
    events_write_row(t, change->id, change->name, change->name_len, state, row);
    text_add(t, "\n\n");
}


/* --- stats --- */

static int
events_stats_alloc(events_stats_t *stats, uint32_t n)
{
    if (stats->stat) {
        return 0;
    }

    stats->stat = calloc(n, sizeof(events_stat_t) + sizeof(uint32_t));
    if (stats->stat == NULL) {
        return -1;
    }

    stats->changed = (uint32_t *) (stats->stat + n);

    return 0;
}


int
events_stats_update(events_stats_t *stats, hub_t *h)
{
    u_char               *end;
    uint32_t              i;
    snapshot_t           *s;
    events_stat_t        *stat;
    snapshot_stream_t    *row;

    s = snapshot_take(h, SNAPSHOT_STREAMS);

    if (s == NULL || events_stats_alloc(stats, s->streams_max) != 0) {
        snapshot_free(s);
        return -1;
    }

    stats->nchanged = 0;

    for (i = 0; i < s->nstreams; i++) {
        row = &s->streams[i];
        stat = &stats->stat[i];

        if (row->state == HUB_FREE
            || (!stats->send_all && stat->generation == row->generation
                && stat->viewers == row->viewers
                && stat->kbps == row->kbps_in))
        {
            continue;
        }

        stat->id = row->id;
        stat->generation = row->generation;
        stat->viewers = row->viewers;
        stat->kbps = row->kbps_in;
        end = ngx_snprintf(stat->text, STAT_TEXT,
                           "{\"id\":%uL,\"viewers\":%uD,\"kbps\":%uD}",
                           stat->id, stat->viewers, stat->kbps);
        stat->size = (uint32_t) (end - stat->text);
        stats->changed[stats->nchanged++] = i;
    }

    stats->send_all = 0;
    snapshot_free(s);

    return 0;
}


void
events_write_stats(text_t *t, const events_stats_t *stats,
    const events_rights_t *rights)
{
    uint32_t              i, n = 0;
    const events_stat_t  *stat;

    for (i = 0; i < stats->nchanged; i++) {
        stat = &stats->stat[stats->changed[i]];

        if (events_rights_hold(rights, stat->id)) {
            text_add(t, "%s", n++ ? "," : "event: stats\ndata: {\"streams\":[");
            text_append(t, stat->text, stat->size);
        }
    }

    if (n) {
        text_add(t, "]}\n\n");
    }
}
