#include "hls_recorded.h"

#include "hls_past.h"
#include "segment_build.h"


typedef struct {
    segment_build_t  build;
    hls_sending_t   *sending;
    hls_name_t       name;             /* its path is not kept */
    char             file[HLS_NAME_MAX];
    hls_row_t        row;              /* its file is 0: not found yet */
    uint8_t         *init;             /* of HLS */
    size_t           init_size;
} recorded_t;


/* --- pool thread --- */

/* Makes the init segment as the hub made it: the file's own one has a duration. */
static int
make_init(recorded_t *rec)
{
    size_t      room = MP4_INIT_MAX((size_t) rec->build.init_size);
    uint8_t    *read = segment_build_read_init(&rec->build);
    history_t  *h = rec->build.media.history;

    if (read == NULL) {
        return -1;
    }

    rec->init = malloc(room);

    if (rec->init) {
        rec->init_size = mp4_write_init(rec->init, room, rec->build.init.tracks, NULL);
    }

    free(read);

    if (rec->init == NULL) {
        return media_no_memory(h);
    }

    return rec->init_size ? 0 : media_broken(&rec->build.media, rec->build.file, 0);
}


static void
recorded_work(history_t *h)
{
    int               init;
    recorded_t       *rec = h->data;
    segment_build_t  *build = &rec->build;

    init = rec->name.file == HLS_INIT;

    if (rec->row.file == 0
        && !hls_past_find(h, rec->name.session, rec->name.number, init, &rec->row))
    {
        if (h->status == NGX_HTTP_OK) {
            history_fail(h, NGX_HTTP_NOT_FOUND, "there is no \"%s\": it never was, is not "
                         "complete, or is too old and not recorded", rec->file);
        }
        return;
    }

    build->offset = rec->row.offset;
    build->size = rec->row.size;
    build->init_size = rec->row.init_size;
    build->shift = rec->row.shift;
    build->sound = rec->row.sound;
    build->sound_end = rec->row.sound_end;

    if (segment_build_open(build, rec->row.file) != 0) {
        return;
    }

    (void) (init ? make_init(rec) : segment_build(build));
}


/* --- event loop --- */

static void
recorded_free(history_t *h)
{
    recorded_t  *rec = h->data;

    segment_build_free(&rec->build);
    free(rec->init);
    free(rec);
}


static ngx_int_t
recorded_done(ngx_http_request_t *r, history_t *h)
{
    pieces_t     body = { .r = r };
    uint64_t     size;
    ngx_str_t    file;
    recorded_t  *rec = h->data;

    file.data = (u_char *) rec->file;
    file.len = ngx_strlen(rec->file);

    if (rec->init) {
        pieces_memory(&body, rec->init, rec->init_size);
        size = rec->init_size;

    } else {
        segment_build_body(&rec->build, &body);
        size = rec->build.total;
    }

    return hls_send_recorded(rec->sending, &file, &body, size, rec->build.fd);
}


ngx_int_t
hls_recorded(hls_sending_t *s, const hls_history_t *where,
    const ngx_str_t *stream, const hls_name_t *name, const hls_row_t *row)
{
    history_t           *h;
    recorded_t          *rec;
    ngx_http_request_t  *r = s->request;

    h = history_create(r, &where->root, stream, s->id[HLS_OF_USER]);
    rec = h ? calloc(1, sizeof(recorded_t)) : NULL;

    if (rec == NULL || segment_build_init(&rec->build, h) != NGX_OK) {
        free(rec);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rec->sending = s;
    rec->name = *name;
    (void) hls_name_write(rec->file, name->file, name->session, name->number, 0);

    if (row) {
        rec->row = *row;
    }

    h->plain = 1;
    h->data = rec;
    h->free = recorded_free;
    h->work = recorded_work;
    h->done = recorded_done;

    return history_ask(h, where->pool);
}
