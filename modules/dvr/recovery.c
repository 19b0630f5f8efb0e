/*
 * Schedules the recovery of recordings that a dead writer left open: when a worker
 * starts, once a minute, and when a recorder asks for it.
 */

#include "dvr.h"

#define DVR_RECOVER_MS  60000    /* until the next recovery */
#define DVR_LEAVE_MS     5000    /* an exiting worker has exited by then */


/* The recovery's task. */
typedef struct {
    ngx_pool_t        *pool;
    const dvr_conf_t  *conf;
    recover_taken_t   *taken;
    size_t             n;
} recovery_task_t;

static ngx_msec_t  recovery_at;   /* when to begin; 0: it is running */


static void
recovery_run(void *data, ngx_log_t *log)
{
    recovery_task_t  *r = data;

    (void) recover_all((char *) r->conf->root.data, r->taken, r->n, log);
}


static void
recovery_done(ngx_event_t *ev)
{
    recovery_task_t  *r = ev->data;

    if (recovery_at == 0) {
        recovery_at = ngx_current_msec + DVR_RECOVER_MS;
    }

    ngx_destroy_pool(r->pool);
}


/* Lists the files of streams that the hub still has: if their worker died, the
 * next recorder continues them, so recovery leaves them alone. */
static ngx_int_t
recovery_list_taken(recovery_task_t *r)
{
    char           dir[REC_DIR_MAX], file[REC_FILE_MAX];
    uint32_t       i;
    hub_stream_t  *s;

    if (hub == NULL) {
        return NGX_OK;
    }

    r->taken = ngx_palloc(r->pool,
                          hub->header->nstreams * sizeof(recover_taken_t));
    if (r->taken == NULL) {
        return NGX_ERROR;
    }

    ngx_shmtx_lock(&hub->pool->mutex);

    for (i = 0; i < hub->header->stream_end; i++) {
        s = &hub->streams[i];

        if (hub_stream_is_on(s) && s->recording.wanted
            && s->recording.file_utc
            && rec_path_dir(dir, (char *) s->name, s->name_len)
            && rec_path_file(file, s->recording.file_utc, "") > 1)
        {
            (void) snprintf(r->taken[r->n++], sizeof(recover_taken_t),
                            "%s/%.*s", dir, (int) strlen(file) - 1, file);
        }
    }

    ngx_shmtx_unlock(&hub->pool->mutex);

    return NGX_OK;
}


/* Posts recover_all() to the pool.  Every worker does so; the first to lock a
 * file's marker recovers it. */
static ngx_int_t
recovery_start(const dvr_conf_t *conf)
{
    ngx_pool_t         *pool;
    recovery_task_t     *r;
    ngx_thread_task_t  *task;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    task = ngx_thread_task_alloc(pool, sizeof(recovery_task_t));

    if (task) {
        r = task->ctx;                   /* zeroed by ngx_thread_task_alloc() */
        r->pool = pool;
        r->conf = conf;
        task->handler = recovery_run;
        task->event.handler = recovery_done;
        task->event.data = r;

        if (recovery_list_taken(r) == NGX_OK
            && ngx_thread_task_post(conf->pool, task) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


void
recovery_soon(void)
{
    recovery_at = ngx_current_msec + DVR_LEAVE_MS;
}


void
recovery_now(void)
{
    recovery_at = ngx_current_msec;
}


void
recovery_tick(const dvr_conf_t *conf)
{
    if (recovery_at && ngx_current_msec >= recovery_at
        && recovery_start(conf) == NGX_OK)
    {
        recovery_at = 0;
    }
}
