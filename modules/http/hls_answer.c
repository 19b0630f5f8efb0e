#include "hls_answer.h"

#include "answer.h"
#include "hls_whole.h"
#include "../media/mp4_codec.h"

#define HLS_AGE_TARGETS  6             /* of an answer to a delivery directive */


/* --- bytes of the store --- */

/* The file's name in the URI. */
static ngx_str_t
hls_file_name(ngx_http_request_t *r)
{
    ngx_str_t  file = r->uri;

    while (file.len && file.data[file.len - 1] != '/') {
        file.len--;
    }

    file.data += file.len;
    file.len = r->uri.len - file.len;

    return file;
}


ngx_int_t
hls_answer_bytes(hls_ask_t *ask, ngx_int_t rc, hls_bytes_t **bytes, ngx_uint_t n)
{
    ngx_str_t            file;
    ngx_http_request_t  *r = ask->hold.request;

    file = hls_file_name(r);

    switch (rc) {

    case NGX_OK:
        return hls_send_media(&ask->sending, &file, bytes, n);

    case NGX_AGAIN:
    case NGX_DECLINED:
        return answer_error(r, NGX_HTTP_NOT_FOUND, "there is no \"%V\": it never was, "
                            "is not complete, or is too old", &file);

    case NGX_BUSY:
        return answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE, "answers that are being "
                            "sent take as much memory as hls_cache allows: try again");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* --- playlists --- */

/* RFC 8216bis, appendix B.1: the answer to a delivery directive never changes its
 * meaning, so a cache may keep it for long; others last half a target duration. */
static ngx_uint_t
hls_list_age(const hls_stream_t *st, const hls_query_t *query)
{
    return query->has_msn ? HLS_AGE_TARGETS * st->target_s
                          : ngx_max(st->target_s / 2, 1);
}


/* Sets LIST to the list that was asked for, and *TEXTS to its texts.  NGX_OK; NGX_BUSY: it
 * must wait; or NGX_DONE with *RC for the handler to return. */
static ngx_int_t
hls_choose_list(hls_ask_t *ask, hls_list_t *list, hls_text_t **texts, ngx_int_t *rc)
{
    hls_live_t   *live = ask->live;
    hls_reach_t  *reach;

    if (ask->query.window == 0 || ask->history == NULL) {
        list->st = live->st;
        list->past = NULL;
        list->from = list->hub = live->st->first;
        *texts = live->texts;
        return NGX_OK;
    }

    reach = hls_reach(&live->reach, live->st, &ask->history->root, ask->history->pool);
    if (reach == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DONE;
    }

    switch (hls_reach_list(reach, ask->query.window, list, texts)) {

    case NGX_OK:
        return NGX_OK;

    case NGX_AGAIN:
        return NGX_BUSY;

    default:
        *rc = answer_error(ask->hold.request, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "it is not known yet what was recorded for window=%uL: the "
                           "disk is slow or fails, or hls_cache is too small: try again",
                           ask->query.window);
        return NGX_DONE;
    }
}


static ngx_int_t
hls_answer_list(hls_ask_t *ask)
{
    text_t         written = { NULL, NULL, NULL, 0 };
    ngx_int_t      rc;
    hls_list_t     list;
    hls_text_t    *text;
    hls_stream_t  *st = ask->live->st;
    enum hls_form  form;

    switch (hls_choose_list(ask, &list, &text, &rc)) {

    case NGX_OK:
        break;

    case NGX_BUSY:
        return NGX_BUSY;

    default:
        return rc;
    }

    form = hls_playlist_form(&list, &ask->query);
    text += form;

    if (text->plain == NULL || text->changes != st->changes) {
        hls_playlist_write(&written, &list, form);

        if (hls_text_set(text, &written, st->changes) != NGX_OK) {
            return hls_answer_bytes(ask, NGX_BUSY, NULL, 0);
        }
    }

    return hls_send_text(&ask->sending, text, hls_list_age(st, &ask->query));
}


/* The codecs of the newest headers, for CODECS. */
static void
hls_write_codecs(const hls_stream_t *st, char out[2 * MP4_CODEC_MAX])
{
    char              *p = out;
    mp4_track_t        tracks[2];
    const hub_init_t  *init = NULL;

    if (st->end > st->first) {
        init = hls_store_headers(st, hls_segment(st, st->end - 1)->record.init);
    }

    if (init) {
        hls_store_tracks(init, tracks);
        p += mp4_codec_name(p, &tracks[MP4_VIDEO]);

        if (p > out) {
            *p++ = ',';
        }

        p += mp4_codec_name(p, &tracks[MP4_AUDIO]);

        if (p > out && p[-1] == ',') {
            p--;
        }
    }

    *p = '\0';
}


static ngx_int_t
hls_make_index(hls_text_t *text, const hls_stream_t *st, uint64_t window)
{
    char                 codecs[2 * MP4_CODEC_MAX];
    text_t               written = { NULL, NULL, NULL, 0 };
    hls_rendition_t      rendition;
    const hub_stream_t  *s = st->reader.ref.stream;

    hls_write_codecs(st, codecs);
    rendition.codecs = codecs;
    rendition.width = s->width;
    rendition.height = s->height;
    rendition.fps_milli = s->fps_milli;
    rendition.kbps = s->kbps_in;

    hls_playlist_index(&written, st, &rendition, window);

    return hls_text_set(text, &written, st->changes);
}


/* One for a window is short, and made for this request alone. */
static ngx_int_t
hls_answer_index(hls_ask_t *ask)
{
    ngx_int_t      rc = NGX_OK;
    uint64_t       window = ask->query.window;
    hls_text_t     own, *text = &ask->live->texts[HLS_TEXT_INDEX];
    hls_stream_t  *st = ask->live->st;

    ngx_memzero(&own, sizeof(hls_text_t));
    text = window ? &own : text;

    if (text->plain == NULL || text->changes != st->changes) {
        rc = hls_make_index(text, st, window);
    }

    rc = rc == NGX_OK
         ? hls_send_text(&ask->sending, text, ngx_max(st->target_s / 2, 1))
         : hls_answer_bytes(ask, NGX_BUSY, NULL, 0);

    hls_text_free(&own);

    return rc;
}


/* Waits while the list is not as the query wants it. */
static ngx_int_t
hls_answer_playlist(hls_ask_t *ask)
{
    char  why[HLS_WHY_MAX];

    switch (hls_playlist_ready(ask->live->st, &ask->query, why)) {

    case HLS_WAIT:
        return NGX_BUSY;

    case HLS_REFUSED:
        return answer_error(ask->hold.request, NGX_HTTP_BAD_REQUEST, "%s", why);

    default:
        return ask->name.file == HLS_LIST ? hls_answer_list(ask)
                                          : hls_answer_index(ask);
    }
}


/* --- media --- */

ngx_int_t
hls_answer_gone(hls_ask_t *ask, ngx_int_t rc)
{
    int               init = ask->name.file == HLS_INIT;
    ngx_str_t         name = hls_stream_name(&ask->name);
    const hls_row_t  *row = NULL;

    if (rc != NGX_DECLINED || ask->history == NULL
        || (ask->name.file != HLS_SEGMENT && !init))
    {
        return hls_answer_bytes(ask, rc, NULL, 0);
    }

    if (ask->live && ask->live->reach) {
        row = hls_reach_row(ask->live->reach, ask->name.number, init);
    }

    return hls_recorded(&ask->sending, ask->history, &name, &ask->name, row);
}


static ngx_int_t
hls_answer_segment(hls_ask_t *ask)
{
    ngx_int_t            rc = NGX_DECLINED;
    ngx_uint_t           n = 0;
    hls_bytes_t        **bytes = NULL;
    hls_stream_t        *st = ask->live->st;
    ngx_http_request_t  *r = ask->hold.request;

    if (hls_store_has(st, ask->name.number)) {
        n = hls_segment(st, ask->name.number)->nparts;
        bytes = ngx_palloc(r->pool, (n + 1) * sizeof(hls_bytes_t *));
        rc = bytes ? hls_whole(st, ask->name.number, hls_sends_files(r), bytes, &n)
                   : NGX_ERROR;
    }

    return rc == NGX_OK ? hls_answer_bytes(ask, rc, bytes, n)
                        : hls_answer_gone(ask, rc);
}


static ngx_int_t
hls_answer_one(hls_ask_t *ask)
{
    ngx_int_t       rc = NGX_DECLINED;
    hls_bytes_t   **bytes;
    hls_stream_t   *st = ask->live->st;

    bytes = ngx_palloc(ask->hold.request->pool, sizeof(hls_bytes_t *));

    if (bytes == NULL) {
        rc = NGX_ERROR;

    } else if (ask->name.file == HLS_PART && ask->name.part <= UINT32_MAX) {
        rc = hls_store_part(st, ask->name.number, (uint32_t) ask->name.part, bytes);

    } else if (ask->name.file == HLS_INIT && ask->name.number <= UINT32_MAX) {
        rc = hls_store_init(st, (uint32_t) ask->name.number, bytes);
    }

    return rc == NGX_OK ? hls_answer_bytes(ask, rc, bytes, 1)
                        : hls_answer_gone(ask, rc);
}


/* Waits for the part that the list hints at. */
static ngx_int_t
hls_answer_part(hls_ask_t *ask)
{
    switch (hls_part_ready(ask->live->st, ask->name.number, ask->name.part)) {

    case HLS_WAIT:
        return NGX_BUSY;

    case HLS_REFUSED:
        return hls_answer_bytes(ask, NGX_DECLINED, NULL, 0);

    default:
        return hls_answer_one(ask);
    }
}


ngx_int_t
hls_answer(hls_request_t *q)
{
    hls_ask_t  *ask = (hls_ask_t *) q;

    switch (ask->name.file) {

    case HLS_SEGMENT:
        return hls_answer_segment(ask);

    case HLS_PART:
        return hls_answer_part(ask);

    case HLS_INIT:
        return hls_answer_one(ask);

    default:
        return hls_answer_playlist(ask);
    }
}
