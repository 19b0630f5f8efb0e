/*
 * The recorder's directives and its timer.
 */

#include "dvr.h"

#define DVR_TICK_MS     100

static void *ngx_dvr_create_conf(ngx_cycle_t *cycle);
static char *ngx_dvr_init_conf(ngx_cycle_t *cycle, void *conf);
static char *ngx_dvr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_dvr_free(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_dvr_threads(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_dvr_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_dvr_init_process(ngx_cycle_t *cycle);
static void ngx_dvr_exit_process(ngx_cycle_t *cycle);
static void ngx_dvr_tick(ngx_event_t *ev);


static ngx_conf_enum_t  ngx_dvr_formats[] = {
    { ngx_string("mp4"), 0 },
    { ngx_string("flv"), 1 },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_dvr_commands[] = {

    { ngx_string("dvr"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_dvr,
      0,
      0,
      NULL },

    { ngx_string("dvr_format"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      0,
      offsetof(dvr_conf_t, format),
      ngx_dvr_formats },

    { ngx_string("dvr_file"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(dvr_conf_t, file),
      NULL },

    { ngx_string("dvr_free"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_dvr_free,
      0,
      0,
      NULL },

    { ngx_string("dvr_sync"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(dvr_conf_t, sync),
      NULL },

    { ngx_string("dvr_changes"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(dvr_conf_t, changes),
      NULL },

    { ngx_string("dvr_threads"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_dvr_threads,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_dvr_module_ctx = {
    ngx_string("dvr"),
    ngx_dvr_create_conf,
    ngx_dvr_init_conf
};


ngx_module_t  ngx_dvr_module = {
    NGX_MODULE_V1,
    &ngx_dvr_module_ctx,               /* module context */
    ngx_dvr_commands,                  /* module directives */
    NGX_CORE_MODULE,                   /* module type */
    NULL,                              /* init master */
    ngx_dvr_init_module,               /* init module */
    ngx_dvr_init_process,              /* init process */
    NULL,                              /* init thread */
    NULL,                              /* exit thread */
    ngx_dvr_exit_process,              /* exit process */
    NULL,                              /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_event_t       ngx_dvr_timer;
static ngx_connection_t  ngx_dvr_dummy;      /* debug logs read its fd */


/* After a reload, new workers continue recordings only in the same folder and
 * format. */
static ngx_int_t
ngx_dvr_init_module(ngx_cycle_t *cycle)
{
    dvr_conf_t  *conf;

    conf = (dvr_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_dvr_module);

    hub_record_kind(cycle, conf->root.len == 0 ? 0
                           : hub_name_hash(conf->root.data, conf->root.len)
                             + conf->format);

    return NGX_OK;
}


static ngx_int_t
ngx_dvr_init_process(ngx_cycle_t *cycle)
{
    dvr_conf_t  *conf;

    conf = (dvr_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_dvr_module);

    if (conf->root.len == 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_dvr_dummy.fd = (ngx_socket_t) -1;
    ngx_dvr_dummy.data = conf;
    ngx_dvr_timer.handler = ngx_dvr_tick;
    ngx_dvr_timer.data = &ngx_dvr_dummy;
    ngx_dvr_timer.log = cycle->log;
    ngx_dvr_timer.cancelable = 1;
    ngx_add_timer(&ngx_dvr_timer, DVR_TICK_MS);

    /* at the first tick: the hub's init_process runs after ours */
    recovery_now();

    return NGX_OK;
}


/* Runs before the hub's exit_process, so recorders still have their streams, and
 * after the thread pools', so no job is running. */
static void
ngx_dvr_exit_process(ngx_cycle_t *cycle)
{
    if (hub && ngx_dvr_timer.handler) {
        recorders_stop(ngx_terminate);
    }
}


static void
ngx_dvr_tick(ngx_event_t *ev)
{
    recovery_tick(ngx_dvr_dummy.data);

    if (hub) {
        recorders_tick(ngx_dvr_dummy.data, ev->log);
    }

    ngx_add_timer(ev, DVR_TICK_MS);
}


static char *
ngx_dvr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    dvr_conf_t      *dvr = conf;
    ngx_str_t       *value = cf->args->elts;
    ngx_path_t      *path;
    ngx_file_info_t  fi;

    if (dvr->root.len) {
        return "is duplicate";
    }

    dvr->root = value[1];

    if (ngx_conf_full_name(cf->cycle, &dvr->root, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    while (dvr->root.len > 1 && dvr->root.data[dvr->root.len - 1] == '/') {
        dvr->root.data[--dvr->root.len] = '\0';
    }

    if (ngx_file_info(dvr->root.data, &fi) != NGX_FILE_ERROR
        && !ngx_is_dir(&fi))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "dvr \"%V\" is not a folder, expected one that "
                           "nginx's workers may write to", &dvr->root);
        return NGX_CONF_ERROR;
    }

    /* nginx creates the folder like its temporary ones: it belongs to the
     * workers' user */
    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name = dvr->root;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (dvr->pool == NULL) {
        dvr->pool = ngx_thread_pool_add(cf, NULL);
    }

    return dvr->pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* A size, a part of the disk such as 5%, or both. */
static char *
ngx_dvr_free(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    off_t        size = 0;
    ngx_int_t    part = 0;
    ngx_str_t   *value = cf->args->elts;
    ngx_uint_t   i;
    dvr_conf_t  *dvr = conf;

    if (dvr->free != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    dvr->free = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len && value[i].data[value[i].len - 1] == '%') {
            part = ngx_atoi(value[i].data, value[i].len - 1);
        } else {
            size = ngx_parse_offset(&value[i]);
        }

        if (part == NGX_ERROR || part > 99 || size == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "dvr_free has \"%V\", expected a size such as "
                               "500m, 0%% to 99%%, or one of each", &value[i]);
            return NGX_CONF_ERROR;
        }

        dvr->free = ngx_max(dvr->free, size);
        dvr->free_part = ngx_max(dvr->free_part, part);
    }

    /* the arguments, for the log */
    dvr->free_text.data = ngx_pnalloc(cf->pool, value[1].len + value[i - 1].len
                                                + sizeof(" or "));
    if (dvr->free_text.data == NULL) {
        return NGX_CONF_ERROR;
    }

    dvr->free_text.len = (i == 2 ? ngx_sprintf(dvr->free_text.data, "%V",
                                               &value[1])
                                 : ngx_sprintf(dvr->free_text.data, "%V or %V",
                                               &value[1], &value[2]))
                         - dvr->free_text.data;

    return NGX_CONF_OK;
}


static char *
ngx_dvr_threads(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    dvr_conf_t  *dvr = conf;
    ngx_str_t   *value = cf->args->elts;

    if (dvr->threads.len) {
        return "is duplicate";
    }

    dvr->threads = value[1];
    dvr->pool = ngx_thread_pool_add(cf, &dvr->threads);

    return dvr->pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static void *
ngx_dvr_create_conf(ngx_cycle_t *cycle)
{
    dvr_conf_t  *conf;

    conf = ngx_pcalloc(cycle->pool, sizeof(dvr_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->format = NGX_CONF_UNSET_UINT;
    conf->file = NGX_CONF_UNSET_MSEC;
    conf->free = NGX_CONF_UNSET;
    conf->sync = NGX_CONF_UNSET_MSEC;
    conf->changes = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_dvr_init_conf(ngx_cycle_t *cycle, void *conf)
{
    dvr_conf_t  *dvr = conf;

    ngx_conf_init_uint_value(dvr->format, 0);
    ngx_conf_init_msec_value(dvr->file, 3600 * 1000);

    if (dvr->free == NGX_CONF_UNSET) {
        dvr->free = 64 * 1024 * 1024;
        ngx_str_set(&dvr->free_text, "64m");
    }

    ngx_conf_init_msec_value(dvr->sync, 10 * 1000);
    ngx_conf_init_value(dvr->changes, 6);

    if (dvr->changes < 1 || dvr->changes > 600) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "dvr_changes is %i, expected 1 to 600", dvr->changes);
        return NGX_CONF_ERROR;
    }

    if (dvr->file < 1000 || dvr->file > 24 * 3600 * 1000) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "dvr_file is %M ms, expected 1s to 24h", dvr->file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
