#include "hls_reach.h"

#include "hls_past.h"

#define REACH_READ_MS    1000          /* how often the newest index is read */
#define REACH_WHOLE_MS  60000          /* and all of them */
#define REACH_IDLE_MS    30000
#define REACH_SLOW_MS    2000          /* so long a request waits for a thread */
#define REACH_SHARE      4             /* all rows take a quarter of hls_cache at most */
#define REACH_SPARE      64            /* rows for which there is room at once */
#define REACH_EXACT      64            /* s: longer windows are rounded up */
#define REACH_SMALL      4             /* texts of short windows */
#define REACH_LARGE      8             /* of long ones: 128 s to 4 h */

/* The texts of a window in the state in which the list begins with `from`. */
typedef struct {
    uint64_t    window;                /* s; 0: none */
    uint64_t    from;
    uint64_t    used;                  /* grows: when it was asked for */
    hls_text_t  texts[HLS_DELTA + 1];
} reach_window_t;

/* A thread's task. */
typedef struct {
    hls_past_read_t    read;           /* the first: the task's ctx */
    hls_reach_t       *reach;          /* NULL: it is gone */
    uint64_t           first;          /* of the stream when it began */
    ngx_thread_task_t  task;
} reach_task_t;

struct hls_reach_s {
    hls_reach_t       **at;
    hls_stream_t       *st;
    ngx_str_t           root;
    ngx_thread_pool_t  *pool;
    ngx_event_t         timer;
    reach_task_t       *task;          /* NULL: no thread reads */
    hls_past_end_t      end;
    hls_past_t          past;
    hls_bytes_t        *bytes;         /* of its rows */
    uint64_t            floor;         /* lists never begin before it */
    uint64_t            tried;         /* st->first when the last read began */
    uint64_t            waits;         /* requests wait for the row before it */
    ngx_msec_t          waits_ms;      /* since then */
    ngx_msec_t          whole_ms;      /* when all was read */
    ngx_msec_t          used_ms;
    uint64_t            used;
    reach_window_t      windows[REACH_SMALL + REACH_LARGE];
    unsigned            loaded:1;
    unsigned            failed:1;      /* the last read, or there was no memory */
};


static size_t  reach_held;             /* bytes of all rows of this worker */


/* --- rows --- */

static void
give_rows(hls_reach_t *reach)
{
    if (reach->bytes) {
        reach_held -= reach->bytes->size;
        hls_bytes_give(reach->bytes);
        reach->bytes = NULL;
    }

    ngx_memzero(&reach->past, sizeof(hls_past_t));
}


/* Makes room for N rows.  NGX_DECLINED: there is no memory for so many. */
static ngx_int_t
make_room(hls_reach_t *reach, size_t n)
{
    size_t        size = (n + REACH_SPARE) * sizeof(hls_row_t);
    size_t        others = reach_held - (reach->bytes ? reach->bytes->size : 0);
    size_t        most = hls_bytes_most() / REACH_SHARE;
    hls_past_t    past = reach->past;
    hls_bytes_t  *bytes;

    if (n <= past.room) {
        return NGX_OK;
    }

    bytes = others + size <= most ? hls_bytes_new(size) : NULL;
    if (bytes == NULL) {
        return NGX_DECLINED;
    }

    if (past.n) {
        ngx_memcpy(bytes->data, past.rows, past.n * sizeof(hls_row_t));
    }

    past.rows = (hls_row_t *) bytes->data;
    past.room = n + REACH_SPARE;

    give_rows(reach);
    reach->past = past;
    reach->bytes = bytes;
    reach_held += size;

    return NGX_OK;
}


/* Takes the rows that were READ instead of all others.  NGX_DECLINED: as make_room(), and
 * the others stay. */
static ngx_int_t
take_all(hls_reach_t *reach, const hls_past_t *read)
{
    if (read->n == 0) {
        give_rows(reach);
        return NGX_OK;
    }

    if (make_room(reach, read->n) != NGX_OK) {
        return NGX_DECLINED;
    }

    reach->past.first = read->first;
    reach->past.n = read->n;
    ngx_memcpy(reach->past.rows, read->rows, read->n * sizeof(hls_row_t));

    return NGX_OK;
}


/* Takes the rows that were READ behind the others.  NGX_DECLINED: all must be read. */
static ngx_int_t
take_new(hls_reach_t *reach, const hls_past_t *read)
{
    hls_past_t  *past = &reach->past;

    if (read->n == 0) {
        return NGX_OK;
    }

    if (past->n == 0 || read->first != past->first + past->n
        || past->n + read->n > HLS_PAST_ROWS + REACH_SPARE
        || make_room(reach, past->n + read->n) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(past->rows + past->n, read->rows, read->n * sizeof(hls_row_t));
    past->n += read->n;

    return NGX_OK;
}


/* --- reading --- */

static void
task_free(reach_task_t *task)
{
    free(task->read.past.rows);
    history_find_free(&task->read.history);
    free(task->read.history.root);
    free(task);
}


/* Lists begin with NUMBER or later from now on.  Workers learn at different times that a
 * row is missing or a file is gone, so the stream remembers it, for all of them. */
static void
raise_floor(hls_reach_t *reach, uint64_t number)
{
    number = hub_segments_cut(&reach->st->reader, number);
    reach->floor = ngx_max(reach->floor, number);
}


/* NGX_OK; NGX_DECLINED: the rows are as they were, and must be read again. */
static ngx_int_t
take_rows(hls_reach_t *reach, const hls_past_read_t *read)
{
    if (!read->whole) {
        return take_new(reach, &read->past);
    }

    if (take_all(reach, &read->past) != NGX_OK) {
        reach->failed = 1;
        return NGX_DECLINED;
    }

    reach->whole_ms = ngx_current_msec;
    raise_floor(reach, read->past.n ? read->past.first : 0);

    return NGX_OK;
}


static void
take_read(hls_reach_t *reach, const reach_task_t *task)
{
    const history_t  *h = &task->read.history;

    reach->failed = h->status != NGX_HTTP_OK && h->status != NGX_HTTP_NOT_FOUND;

    if (reach->failed) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "window of \"%s\": %s", h->stream,
                      h->why);
    }

    if (h->status == NGX_HTTP_OK && take_rows(reach, &task->read) == NGX_OK) {
        reach->end = task->read.end;
    } else {
        reach->end.file = 0;
    }

    if (!reach->failed) {
        reach->tried = task->first;
        reach->loaded = 1;
    }
}


static void
task_done(ngx_event_t *ev)
{
    reach_task_t  *task = ev->data;
    hls_reach_t   *reach = task->reach;

    if (reach) {
        take_read(reach, task);
        reach->task = NULL;
        reach->st->changes += reach->waits != 0;     /* wakes the requests that wait */
        reach->waits = 0;
    }

    task_free(task);
}


/* Pool thread. */
static void
task_work(void *data, ngx_log_t *log)
{
    reach_task_t  *task = data;

    if (task->read.history.status == NGX_HTTP_OK) {
        hls_past_read(&task->read);
    }
}


/* Lets a thread read, if none does. */
static void
start_read(hls_reach_t *reach)
{
    ngx_str_t      name = { reach->st->name_len, reach->st->name };
    reach_task_t  *task = reach->task ? NULL : calloc(1, sizeof(reach_task_t));

    if (task == NULL) {
        return;
    }

    if (ngx_current_msec - reach->whole_ms >= REACH_WHOLE_MS) {
        reach->end.file = 0;
    }

    task->reach = reach;
    task->first = reach->st->first;
    task->read.session = reach->st->session;
    task->read.end = reach->end;
    task->read.oldest = reach->past.n ? reach->past.rows[0].file : 0;
    task->read.history.now = history_now();
    task->task.ctx = task;
    task->task.handler = task_work;
    task->task.event.data = task;
    task->task.event.handler = task_done;
    task->task.event.log = ngx_cycle->log;

    if (history_locate(&task->read.history, &reach->root, &name) != 0
        || ngx_thread_task_post(reach->pool, &task->task) != NGX_OK)
    {
        task_free(task);
        return;
    }

    reach->task = task;
}


/* --- life --- */

static void
free_texts(reach_window_t *w)
{
    ngx_uint_t  i;

    for (i = 0; i <= HLS_DELTA; i++) {
        hls_text_free(&w->texts[i]);
    }
}


void
hls_reach_free(hls_reach_t *reach)
{
    ngx_uint_t  i;

    if (reach == NULL) {
        return;
    }

    if (reach->task) {
        reach->task->reach = NULL;
    }

    if (reach->timer.timer_set) {
        ngx_del_timer(&reach->timer);
    }

    for (i = 0; i < REACH_SMALL + REACH_LARGE; i++) {
        free_texts(&reach->windows[i]);
    }

    give_rows(reach);
    *reach->at = NULL;
    ngx_free(reach);
}


static void
reach_tick(ngx_event_t *ev)
{
    hls_reach_t  *reach = ev->data;

    if (ngx_current_msec - reach->used_ms > REACH_IDLE_MS) {
        hls_reach_free(reach);
        return;
    }

    if (!reach->st->ended) {
        start_read(reach);
    }

    ngx_add_timer(ev, REACH_READ_MS);
}


hls_reach_t *
hls_reach(hls_reach_t **at, hls_stream_t *st, const ngx_str_t *root,
    ngx_thread_pool_t *pool)
{
    hls_reach_t  *reach = *at;

    if (reach == NULL) {
        reach = ngx_calloc(sizeof(hls_reach_t), ngx_cycle->log);
        if (reach == NULL) {
            return NULL;
        }

        reach->at = at;
        reach->st = st;
        reach->root = *root;
        reach->pool = pool;
        reach->timer.data = reach;
        reach->timer.handler = reach_tick;
        reach->timer.log = ngx_cycle->log;
        reach->timer.cancelable = 1;
        ngx_add_timer(&reach->timer, REACH_READ_MS);
        *at = reach;
    }

    reach->used_ms = ngx_current_msec;

    return reach;
}


/* --- lists --- */

/* From here on lists have the hub's segments: its list's, and if rows come late, a half of
 * those that it still has for requests.  The others must stay available for a while. */
static uint64_t
reach_border(const hls_reach_t *reach)
{
    const hls_stream_t  *st = reach->st;
    uint64_t             n = st->first, least = st->first - (st->first - st->oldest) / 2;

    while (n > ngx_max(least, reach->floor) && hls_past_row(&reach->past, n - 1) == NULL) {
        n--;
    }

    return n;
}


/* Is it known where lists begin?  The row before the hub's segments is there, or has been
 * looked for.  NGX_OK, NGX_AGAIN or NGX_BUSY, as hls_reach_list(). */
static ngx_int_t
reach_is_known(hls_reach_t *reach)
{
    uint64_t  border, first = reach->st->first;

    raise_floor(reach, 0);
    border = reach_border(reach);

    if (border <= reach->floor || hls_past_row(&reach->past, border - 1)) {
        return NGX_OK;
    }

    if (reach->loaded && reach->tried == first) {
        raise_floor(reach, first);     /* else MEDIA-SEQUENCE could go back later */
        return NGX_OK;
    }

    if (reach->waits != first) {
        reach->waits = first;
        reach->waits_ms = ngx_current_msec;
    }

    start_read(reach);

    if (ngx_current_msec - reach->waits_ms < REACH_SLOW_MS) {
        return NGX_AGAIN;
    }

    if (!reach->loaded || reach->failed) {
        return NGX_BUSY;               /* other workers may know */
    }

    raise_floor(reach, first);         /* live goes on, however slow the disk is */

    return NGX_OK;
}


/* The first segment that starts less than MS before the start of the last complete one,
 * but not behind the hub's first.  Durations alone decide, so that it only grows, and
 * not how many of the rows are of the hub's own segments. */
static uint64_t
reach_from(const hls_reach_t *reach, const hls_list_t *list, int64_t ms)
{
    int64_t              start, border;
    uint64_t             n = reach->st->first, last;
    const hls_stream_t  *st = reach->st;

    if (n >= st->end) {
        return n;
    }

    last = hls_playlist_complete(st);
    last -= last > n;
    border = hls_segment(st, last)->record.start - ms;
    start = hls_segment(st, n)->record.start;

    while (n > reach->floor && st->first - n < HLS_PAST_ROWS - HUB_SEGMENTS
           && (n > list->hub || hls_past_row(&reach->past, n - 1) != NULL)
           && start - (int64_t) hls_list_ms(list, n - 1) > border)
    {
        start -= hls_list_ms(list, n - 1);
        n--;
    }

    return n;
}


/* Few windows serve all, so that few texts do.  *PLACE: where those of long ones are. */
static uint64_t
round_window(uint64_t window, ngx_uint_t *place)
{
    uint64_t  rounded = REACH_EXACT;

    *place = 0;

    if (window <= REACH_EXACT) {
        return window;
    }

    for (*place = REACH_SMALL - 1; rounded < window; rounded *= 2) {
        ++*place;

        if (*place == REACH_SMALL + REACH_LARGE - 1) {
            return HLS_PAST_MS / 1000;
        }
    }

    return rounded;
}


/* The texts of WINDOW; those of short ones replace the texts asked for longest ago. */
static reach_window_t *
find_window(hls_reach_t *reach, uint64_t window, ngx_uint_t place, uint64_t from)
{
    ngx_uint_t       i;
    reach_window_t  *w = &reach->windows[place];

    for (i = 0; place == 0 && i < REACH_SMALL; i++) {
        if (reach->windows[i].window == window) {
            w = &reach->windows[i];
            break;
        }

        if (reach->windows[i].used < w->used) {
            w = &reach->windows[i];
        }
    }

    if (w->window != window || w->from != from) {
        free_texts(w);
        w->window = window;
        w->from = from;
    }

    w->used = ++reach->used;

    return w;
}


ngx_int_t
hls_reach_list(hls_reach_t *reach, uint64_t window, hls_list_t *list,
    hls_text_t **texts)
{
    uint64_t    from;
    ngx_int_t   rc;
    ngx_uint_t  place;

    rc = reach_is_known(reach);
    if (rc != NGX_OK) {
        return rc;
    }

    window = round_window(window, &place);

    list->st = reach->st;
    list->past = &reach->past;
    list->hub = reach_border(reach);
    list->from = from = reach_from(reach, list, (int64_t) window * 1000);
    *texts = find_window(reach, window, place, from)->texts;

    return NGX_OK;
}


const hls_row_t *
hls_reach_row(const hls_reach_t *reach, uint64_t number, int headers)
{
    size_t             i;
    const hls_past_t  *past = &reach->past;

    if (!headers) {
        return hls_past_row(past, number);
    }

    for (i = past->n; i > 0; i--) {
        if (past->rows[i - 1].headers == number) {
            return &past->rows[i - 1];
        }
    }

    return NULL;
}
