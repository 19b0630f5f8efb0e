/*
 * The core module of the hub: its directives in the main context, the shared
 * zone, the worker's slot and the sweep.
 */

#include <ngx_event.h>

#include "hub.h"
#include "hub_socket.h"

/*
 * nginx binds modules with RTLD_NOW, so without the wire layer a strong symbol would
 * make `nginx -t` fail with the loader's message.  A weak symbol is null then, and
 * ngx_hub_create_conf() names the module to load.
 */
extern ngx_module_t  ngx_rtmp_core_module;
extern ngx_module_t  ngx_rtmp_guard_module;

#pragma weak ngx_rtmp_core_module
#pragma weak ngx_rtmp_guard_module


static void *ngx_hub_create_conf(ngx_cycle_t *cycle);
static char *ngx_hub_init_conf(ngx_cycle_t *cycle, void *conf);
static char *ngx_hub_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_hub_share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_hub_revocations(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_hub_init_module(ngx_cycle_t *cycle);
static void ngx_hub_warn_of_new_file(ngx_module_t *module,
    struct stat *loaded, ngx_log_t *log);
static ngx_int_t ngx_hub_init_process(ngx_cycle_t *cycle);
static void ngx_hub_exit_process(ngx_cycle_t *cycle);
static void ngx_hub_sweep(ngx_event_t *ev);


static ngx_command_t  ngx_hub_commands[] = {

    { ngx_string("hub_zone"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE2,
      ngx_hub_zone,
      0,
      0,
      NULL },

    { ngx_string("hub_window"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(hub_t, window),
      NULL },

    { ngx_string("hub_grace"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(hub_t, grace),
      NULL },

    { ngx_string("hub_stream_max"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(hub_t, stream_max),
      NULL },

    { ngx_string("hls_segment"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(hub_t, hls_segment),
      NULL },

    { ngx_string("hls_part"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(hub_t, hls_part),
      NULL },

    { ngx_string("hls_window"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(hub_t, hls_window),
      NULL },

    { ngx_string("hub_viewers_max"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(hub_t, viewers_max),
      NULL },

    { ngx_string("hub_stream_viewers_max"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(hub_t, stream_viewers_max),
      NULL },

    { ngx_string("hub_user_share"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_hub_share,
      0,
      offsetof(hub_t, user_share),
      NULL },

    { ngx_string("hub_address_share"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_hub_share,
      0,
      offsetof(hub_t, address_share),
      NULL },

    { ngx_string("hub_revocations"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_hub_revocations,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_hub_module_ctx = {
    ngx_string("hub"),
    ngx_hub_create_conf,
    ngx_hub_init_conf
};


ngx_module_t  ngx_hub_module = {
    NGX_MODULE_V1,
    &ngx_hub_module_ctx,               /* module context */
    ngx_hub_commands,                  /* module directives */
    NGX_CORE_MODULE,                   /* module type */
    NULL,                              /* init master */
    ngx_hub_init_module,               /* init module */
    ngx_hub_init_process,              /* init process */
    NULL,                              /* init thread */
    NULL,                              /* exit thread */
    ngx_hub_exit_process,              /* exit process */
    NULL,                              /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_event_t       ngx_hub_sweep_event;
static ngx_connection_t  ngx_hub_dummy;      /* for the timer's debug log */


hub_t *
hub_of(const ngx_cycle_t *cycle)
{
    hub_t  *h = NULL;

    if (cycle && cycle->conf_ctx) {
        h = (hub_t *) ngx_get_conf(cycle->conf_ctx, ngx_hub_module);
    }

    return h && h->shm_zone ? h : NULL;
}


void
hub_record_kind(ngx_cycle_t *cycle, uint64_t kind)
{
    hub_t  *h = hub_of(cycle), *old = hub_of(cycle->old_cycle);

    if (old && (h == NULL || old->header != h->header)) {
        hub_store(&old->header->recorder, 0);     /* nobody continues its files */
    }

    if (h) {
        h->recorder = kind;
        hub_store(&h->header->recorder, kind);
    }
}


/* A listener whose `sndbuf` is set gets a bound for unsent bytes, too.  RTMPS needs
 * that: its listener is the stream module's, which has no directive for it. */
static ngx_int_t
ngx_hub_init_module(ngx_cycle_t *cycle)
{
    hub_t            *h = hub_of(cycle), *old = hub_of(cycle->old_cycle);
    ngx_uint_t        i;
    ngx_listening_t  *ls = cycle->listening.elts;

    static struct stat  guard_file, hub_file;

    ngx_hub_warn_of_new_file(&ngx_rtmp_guard_module, &guard_file, cycle->log);
    ngx_hub_warn_of_new_file(&ngx_hub_module, &hub_file, cycle->log);

    if (h && old && old->header != h->header) {
        hub_revocations_inherit(h, old);
    }

    if (h && h->revocations && !ngx_test_config
        && ngx_is_init_cycle(cycle->old_cycle))
    {
        hub_revocations_rewrite(h, cycle->log);
    }

    for (i = 0; i < cycle->listening.nelts; i++) {
        if (ls[i].sndbuf > 0 && ls[i].sockaddr->sa_family != AF_UNIX) {
            hub_socket_unsent(ls[i].fd);         /* accepted sockets inherit it */
        }
    }

    return NGX_OK;
}


/*
 * The loader knows a module by its path: when nginx is reloaded it gives the one that
 * is loaded, whatever file has that path now.  That works, but not as the admin may
 * think who built the modules anew.  `loaded` is what the first call saw.
 */
static void
ngx_hub_warn_of_new_file(ngx_module_t *module, struct stat *loaded,
    ngx_log_t *log)
{
    Dl_info      info;
    struct stat  now;

    if (dladdr(module, &info) == 0 || stat(info.dli_fname, &now) == -1) {
        return;
    }

    if (loaded->st_ino == 0) {
        *loaded = now;

    } else if (now.st_dev != loaded->st_dev || now.st_ino != loaded->st_ino) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "\"%s\" is another file than when nginx was started: a "
                      "reload goes on with the module of then, restart nginx "
                      "to use this one", info.dli_fname);
    }
}


static ngx_int_t
ngx_hub_init_process(ngx_cycle_t *cycle)
{
    hub_t  *h = hub_of(cycle);

    if (h == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    hub_worker_start(h, cycle->log);
    hub = h;

    ngx_hub_dummy.fd = (ngx_socket_t) -1;
    ngx_hub_sweep_event.handler = ngx_hub_sweep;
    ngx_hub_sweep_event.data = &ngx_hub_dummy;
    ngx_hub_sweep_event.log = cycle->log;
    ngx_hub_sweep_event.cancelable = 1;
    ngx_add_timer(&ngx_hub_sweep_event, HUB_SWEEP_MS);

    return NGX_OK;
}


static void
ngx_hub_exit_process(ngx_cycle_t *cycle)
{
    if (hub) {
        hub_worker_stop(hub);
    }
}


static void
ngx_hub_sweep(ngx_event_t *ev)
{
    hub_sweep(hub, ev->log);
    ngx_add_timer(ev, HUB_SWEEP_MS);
}


static char *
ngx_hub_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    hub_t      *h = conf;
    ssize_t     size;
    ngx_str_t  *value = cf->args->elts;

    if (h->shm_zone) {
        return "is duplicate";
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || (size_t) size < hub_zone_min_size()) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "hub_zone \"%V\" has size \"%V\", expected at least "
                           "%uz bytes", &value[1], &value[2],
                           hub_zone_min_size());
        return NGX_CONF_ERROR;
    }

    h->shm_zone = ngx_shared_memory_add(cf, &value[1], size, &ngx_hub_module);

    if (h->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    h->shm_zone->init = hub_zone_init;
    h->shm_zone->data = h;

    return NGX_CONF_OK;
}


/* PERCENT% [LEAST] */
static char *
ngx_hub_share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t     percent = NGX_ERROR, least = 1;
    ngx_str_t    *value = cf->args->elts;
    hub_share_t  *share = (hub_share_t *) ((char *) conf + cmd->offset);

    if (share->percent) {
        return "is duplicate";
    }

    if (value[1].len > 1 && value[1].data[value[1].len - 1] == '%') {
        percent = ngx_atoi(value[1].data, value[1].len - 1);
    }

    if (percent < 1 || percent > 100) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V is \"%V\", expected 1%% to 100%%", &cmd->name,
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        least = ngx_atoi(value[2].data, value[2].len);
    }

    if (least < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V has \"%V\", expected a number above 0",
                           &cmd->name, &value[2]);
        return NGX_CONF_ERROR;
    }

    share->percent = (ngx_uint_t) percent;
    share->least = (ngx_uint_t) least;

    return NGX_CONF_OK;
}


static char *
ngx_hub_revocations(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    hub_t      *h = conf;
    ngx_str_t  *value = cf->args->elts;

    if (h->revocations) {
        return "is duplicate";
    }

    h->revocations = ngx_conf_open_file(cf->cycle, &value[1]);

    return h->revocations ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static void
ngx_hub_init_share(hub_share_t *share, ngx_uint_t percent, ngx_uint_t least)
{
    if (share->percent == 0) {
        share->percent = percent;
        share->least = least;
    }
}


static int
ngx_hub_ms_is_within(ngx_log_t *log, const char *name, ngx_msec_t value,
    ngx_msec_t least, ngx_msec_t most, const char *why)
{
    if (value >= least && value <= most) {
        return 1;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0, "%s is %Mms, expected %Mms to %Mms%s", name,
                  value, least, most, why);

    return 0;
}


/* A list names no more than the hub remembers: HUB_SEGMENTS, of at least nine tenths of
 * hls_segment each, have to last for twice the list. */
static char *
ngx_hub_init_hls(hub_t *h, ngx_log_t *log)
{
    ngx_msec_t  target;

    ngx_conf_init_msec_value(h->hls_segment, 2000);
    ngx_conf_init_msec_value(h->hls_part, 333);
    target = (h->hls_segment + 999) / 1000 * 1000;
    ngx_conf_init_msec_value(h->hls_window, ngx_max(12000, 3 * target));

    return ngx_hub_ms_is_within(log, "hls_segment", h->hls_segment, 1000, 10000, "")
           && ngx_hub_ms_is_within(log, "hls_part", h->hls_part, 200, 500, "")
           && ngx_hub_ms_is_within(log, "hls_window", h->hls_window, 3 * target,
                                   25 * h->hls_segment,
                                   ": 3 times hls_segment, in whole seconds, to 25 times")
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static void *
ngx_hub_create_conf(ngx_cycle_t *cycle)
{
    hub_t  *h;

    if (&ngx_rtmp_core_module == NULL || &ngx_rtmp_guard_module == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "ngx_hub_module.so needs %s loaded before it: add "
                      "\"load_module .../%s;\"",
                      &ngx_rtmp_core_module == NULL ? "ngx_rtmp_module.so"
                                              : "ngx_rtmp_guard_module.so",
                      &ngx_rtmp_core_module == NULL ? "ngx_rtmp_module.so"
                                              : "ngx_rtmp_guard_module.so");
        return NULL;
    }

    h = ngx_pcalloc(cycle->pool, sizeof(hub_t));
    if (h == NULL) {
        return NULL;
    }

    h->window = NGX_CONF_UNSET_MSEC;
    h->grace = NGX_CONF_UNSET_MSEC;
    h->stream_max = NGX_CONF_UNSET_SIZE;
    h->hls_segment = NGX_CONF_UNSET_MSEC;
    h->hls_part = NGX_CONF_UNSET_MSEC;
    h->hls_window = NGX_CONF_UNSET_MSEC;
    h->viewers_max = NGX_CONF_UNSET;
    h->stream_viewers_max = NGX_CONF_UNSET;
    h->worker = HUB_NO_SLOT;

    return h;
}


static char *
ngx_hub_init_conf(ngx_cycle_t *cycle, void *conf)
{
    hub_t            *h = conf;
    uint32_t          slots;
    ngx_core_conf_t  *ccf;

    ngx_conf_init_msec_value(h->window, 10000);
    ngx_conf_init_msec_value(h->grace, 60000);
    ngx_conf_init_size_value(h->stream_max, 16 * 1024 * 1024);
    ngx_conf_init_value(h->viewers_max, 0);
    ngx_conf_init_value(h->stream_viewers_max, 0);
    if (ngx_hub_init_hls(h, cycle->log) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_hub_init_share(&h->user_share, 10, 64);
    ngx_hub_init_share(&h->address_share, 50, 512);

    if (h->stream_max < 4 * HUB_BLOCK_SIZE
        || h->stream_max > (HUB_STREAM_BLOCKS - 2) * HUB_BLOCK_SIZE)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "hub_stream_max is %uz, expected %d to %d bytes",
                      h->stream_max, 4 * HUB_BLOCK_SIZE,
                      (HUB_STREAM_BLOCKS - 2) * HUB_BLOCK_SIZE);
        return NGX_CONF_ERROR;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    slots = h->shm_zone ? hub_zone_workers(h->shm_zone->shm.size) : 0;

    if (slots && (ngx_uint_t) ccf->worker_processes > slots / 2) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "worker_processes is %i, expected at most %uD: hub_zone "
                      "\"%V\" of %uz bytes has %uD slots for workers, one for "
                      "every 64 KB, and a reload needs two for each",
                      ccf->worker_processes, slots / 2, &h->shm_zone->shm.name,
                      h->shm_zone->shm.size, slots);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
