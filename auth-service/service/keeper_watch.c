/*
 * Sees by nginx's status which streams went live, paused, returned and ended, and whether the
 * disk of recordings runs full, and queues the events for the webhooks. A change and its events
 * are one transaction: after a restart the keeper compares with what it saw last. While no
 * webhook wants any of these events, it does not ask nginx.
 */

#include "../base/control.h"
#include "../base/log.h"
#include "../hooks/hook_event.h"
#include "../rec/rec_file.h"
#include "keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WATCH_TICKS       2         /* between two looks */
#define WATCH_DISK_LOOKS  5         /* between two looks at the disk */
#define WATCH_DISK_SURE   3         /* looks in a row that change the alarm */
#define WATCH_DISK_PART   20        /* without rec_free: a twentieth must be free */
#define WATCH_WANTED      HOOK_PUBLISHED "," HOOK_ENDED "," HOOK_GAP "," HOOK_DISK "," HOOK_OFFLINE
#define WATCH_MARK        "watching"
#define WATCH_MARK_DISK   "disk"

typedef struct {
    uint64_t  stream;
    char      state[16];
    char      session[25];
    int64_t   live;             /* unix ms */
    int64_t   away;
    uint64_t  round;            /* the look that saw it last */
} watch_stream_t;

typedef struct {
    unsigned         look_in;   /* ticks */
    unsigned         disk_in;   /* looks */
    uint64_t         round;
    bool             loaded;
    bool             begun;     /* the streams were seen before, so that changes are events */
    bool             alarm;     /* of the disk */
    unsigned         unlike;    /* looks in a row that differ from it */
    bool             stopped;   /* a recording stopped, by the last look at nginx */
    watch_stream_t  *streams;   /* by stream */
    size_t           count;
    size_t           size;
    char             logged[256];
} watch_t;


static int64_t watch_now(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static void watch_log_change(watch_t *state, const char *error)
{
    if (strcmp(state->logged, error) != 0) {
        if (error[0]) {
            log_warning("webhooks: no events of streams: %s", error);
        } else {
            log_info("webhooks: streams are watched again");
        }
        snprintf(state->logged, sizeof(state->logged), "%s", error);
    }
}


/* --- the streams in memory --- */

static int watch_compare(const void *one, const void *two)
{
    const watch_stream_t  *a = one, *b = two;

    return a->stream < b->stream ? -1 : a->stream > b->stream;
}


/* Finds the stream, or adds it as offline; NULL without memory. */
static watch_stream_t *watch_stream(watch_t *state, uint64_t id)
{
    size_t           size;
    watch_stream_t   key = { .stream = id, .state = "offline" }, *found, *grown;

    found = state->count ? bsearch(&key, state->streams, state->count, sizeof(key),
                                   watch_compare) : NULL;
    if (found) {
        return found;
    }

    if (state->count == state->size) {
        size = state->size ? 2 * state->size : 64;
        grown = realloc(state->streams, size * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        state->streams = grown;
        state->size = size;
    }

    state->streams[state->count++] = key;
    if (state->count > 1 && state->streams[state->count - 2].stream > id) {
        qsort(state->streams, state->count, sizeof(key), watch_compare);
    }
    return bsearch(&key, state->streams, state->count, sizeof(key), watch_compare);
}


static void watch_load_stream(const store_seen_t *seen, void *data)
{
    watch_stream_t  *stream = watch_stream(data, seen->stream);

    if (stream) {
        snprintf(stream->state, sizeof(stream->state), "%s", seen->state);
        snprintf(stream->session, sizeof(stream->session), "%s", seen->session);
        stream->live = seen->live;
        stream->away = seen->away;
    }
}


static store_result_t watch_load(store_t *store, watch_t *state)
{
    store_result_t  result;

    if (state->loaded) {
        return STORE_OK;
    }

    state->count = 0;
    result = store_mark_get(store, WATCH_MARK, &state->begun);
    if (result == STORE_OK) {
        result = store_mark_get(store, WATCH_MARK_DISK, &state->alarm);
    }
    if (result == STORE_OK && state->begun) {
        result = store_seen_list(store, watch_load_stream, state);
    }

    state->loaded = result == STORE_OK;
    return result;
}


/* --- changes of a stream --- */

static store_result_t watch_event(store_t *store, const store_seen_t *stream,
                                  const char *event, json_t *facts)
{
    hook_event_stream(facts, stream->app, stream->name, stream->title);
    return hook_event_add(store, event, NULL, facts);
}


/* The seconds since then; 0 for a time that is not known. */
static json_int_t watch_since(int64_t then, int64_t now)
{
    return then && now > then ? (now - then) / 1000 : 0;
}


static bool watch_on(const watch_stream_t *stream)
{
    return strcmp(stream->state, "offline") != 0;
}


static store_result_t watch_events(store_t *store, const store_seen_t *seen,
                                   const watch_stream_t *before, const watch_stream_t *after,
                                   const char *address, int64_t now)
{
    bool            was = watch_on(before), is = watch_on(after);
    store_result_t  result = STORE_OK;

    if (!was && is) {
        result = watch_event(store, seen, HOOK_PUBLISHED, json_pack("{ss ss}",
                             "owner", seen->owner, "address", address));
    } else if (is && strcmp(after->state, "live") == 0) {
        result = watch_event(store, seen, HOOK_GAP, json_pack("{ss sI}", "state", "returned",
                             "seconds", watch_since(before->away, now)));
    }

    if (result == STORE_OK && strcmp(after->state, "grace") == 0) {
        result = watch_event(store, seen, HOOK_GAP, json_pack("{ss}", "state", "began"));
    }
    if (result == STORE_OK && was && !is) {
        result = watch_event(store, seen, HOOK_ENDED, json_pack("{sI}", "seconds",
                             watch_since(before->live, after->away)));
    }

    return result;
}


/* Writes the change of a stream and queues its events. */
static store_result_t watch_change(store_t *store, const watch_t *state,
                                   const watch_stream_t *before, watch_stream_t *after,
                                   const char *address)
{
    int64_t         now = watch_now();
    store_seen_t    seen = { .stream = after->stream };
    store_result_t  result = store_seen_name(store, &seen);

    if (result != STORE_OK) {
        return result == STORE_NONE ? STORE_OK : result;    /* deleted, with its row */
    }

    if (!watch_on(before)) {
        after->live = now;
        after->away = 0;
    }
    if (strcmp(after->state, "live") == 0) {
        after->away = 0;
    } else if (after->away == 0) {
        after->away = now;
    }

    snprintf(seen.state, sizeof(seen.state), "%s", after->state);
    snprintf(seen.session, sizeof(seen.session), "%s", after->session);
    seen.live = after->live;
    seen.away = after->away;

    result = store_seen_put(store, &seen);
    if (result == STORE_OK && state->begun) {
        result = watch_events(store, &seen, before, after, address, now);
    }
    return result;
}


static const char *watch_text(const json_t *object, const char *key)
{
    const char  *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}


/* Compares a stream in nginx's status with what was seen last. */
static store_result_t watch_live(store_t *store, watch_t *state, json_t *entry)
{
    uint64_t         id = (uint64_t) json_integer_value(json_object_get(entry, "id"));
    const char      *now = watch_text(entry, "state"), *session = watch_text(entry, "session");
    watch_stream_t   after, *stream;
    store_result_t   result;

    if (id == 0 || (strcmp(now, "live") != 0 && strcmp(now, "grace") != 0)) {
        return STORE_OK;
    }

    stream = watch_stream(state, id);
    if (stream == NULL) {
        return STORE_ERROR;
    }
    stream->round = state->round;

    if (strcmp(stream->state, now) == 0
        && (strcmp(stream->session, session) == 0 || strcmp(now, "grace") == 0))
    {
        return STORE_OK;
    }

    after = *stream;
    snprintf(after.state, sizeof(after.state), "%s", now);
    snprintf(after.session, sizeof(after.session), "%s", session);

    result = watch_change(store, state, stream, &after, watch_text(entry, "address"));
    *stream = after;
    return result;
}


/* The streams that nginx no longer has. */
static store_result_t watch_gone(store_t *store, watch_t *state)
{
    size_t          i;
    watch_stream_t  after;
    store_result_t  result = STORE_OK;

    for (i = 0; i < state->count && result == STORE_OK; i++) {
        if (state->streams[i].round == state->round
            || !watch_on(&state->streams[i]))
        {
            continue;
        }

        after = state->streams[i];
        strcpy(after.state, "offline");
        after.session[0] = '\0';

        result = watch_change(store, state, &state->streams[i], &after, "");
        state->streams[i] = after;
    }

    return result;
}


/* One transaction: a look in which a stream changed. */
static store_result_t watch_compare_all(store_t *store, watch_t *state, json_t *streams)
{
    size_t           i;
    json_t          *each;
    const char      *recording;
    store_result_t   result = STORE_OK;

    state->round++;
    state->stopped = false;

    json_array_foreach(streams, i, each) {
        recording = watch_text(json_object_get(each, "recording"), "state");
        state->stopped = state->stopped || strcmp(recording, "full") == 0
                         || strcmp(recording, "failed") == 0;
        if (result == STORE_OK) {
            result = watch_live(store, state, each);
        }
    }

    if (result == STORE_OK) {
        result = watch_gone(store, state);
    }
    if (result == STORE_OK && !state->begun) {
        result = store_mark_set(store, WATCH_MARK, true);
    }

    return result;
}


static store_result_t watch_streams(store_t *store, watch_t *state, json_t *streams)
{
    store_result_t  result = store_begin(store);

    if (result != STORE_OK) {
        return result;
    }

    result = watch_compare_all(store, state, streams);
    if (result == STORE_OK) {
        result = store_commit(store);
        state->begun = state->begun || result == STORE_OK;
    } else {
        store_rollback(store);
    }

    /* memory may be ahead of the database: read it again */
    state->loaded = result == STORE_OK;
    return result;
}


/* --- phones that stay away --- */

typedef struct {
    store_t         *store;
    unsigned         count;
    store_result_t   result;
} watch_offline_t;


static void watch_offline_one(uint64_t webhook, unsigned minutes, const store_seen_t *seen,
                              void *data)
{
    json_t           *facts = json_pack("{sI sI}", "minutes", (json_int_t) minutes, "since",
                                        (json_int_t) seen->away);
    watch_offline_t  *offline = data;

    hook_event_stream(facts, seen->app, seen->name, seen->title);
    if (offline->result == STORE_OK) {
        offline->result = hook_event_add_for(offline->store, webhook, HOOK_OFFLINE, facts);
    } else {
        json_decref(facts);
    }
    offline->count++;
}


static store_result_t watch_offline(store_t *store)
{
    int64_t          now = watch_now();
    watch_offline_t  offline = { .store = store, .result = STORE_OK };
    store_result_t   result = store_begin(store);

    if (result != STORE_OK) {
        return result;
    }

    result = store_seen_offline(store, now, watch_offline_one, &offline);
    result = result == STORE_OK ? offline.result : result;

    if (result == STORE_OK && offline.count) {
        result = store_seen_offline_told(store, now);
    }
    if (result == STORE_OK) {
        return store_commit(store);
    }

    store_rollback(store);
    return result;
}


/* --- the disk --- */

static store_result_t watch_disk_tell(store_t *store, bool on, json_t *facts)
{
    store_result_t  result = store_begin(store);

    json_object_set_new(facts, "state", json_string(on ? "on" : "over"));
    if (result != STORE_OK) {
        json_decref(facts);
        return result;
    }

    result = store_mark_set(store, WATCH_MARK_DISK, on);
    if (result == STORE_OK) {
        result = hook_event_add(store, HOOK_DISK, NULL, facts);
    } else {
        json_decref(facts);
    }
    if (result == STORE_OK) {
        return store_commit(store);
    }

    store_rollback(store);
    return result;
}


/*
 * The alarm is on while less than rec_free is free, for so long that retention would have
 * made space, or while a recording had to stop.
 */
static store_result_t watch_disk(keeper_desk_t *desk, watch_t *state)
{
    bool            low = false;
    char            wrong[STORE_SETTING_WRONG];
    uint64_t        size = 0, free = 0, floor = 0;
    settings_t      settings;
    store_result_t  result;

    if (state->disk_in > 0) {
        state->disk_in--;
        return STORE_OK;
    }
    state->disk_in = WATCH_DISK_LOOKS - 1;

    result = store_settings(desk->store, &desk->config->defaults, &settings, wrong);
    if (result != STORE_OK) {
        return result;
    }

    if (rec_file_disk(desk->config->rec, &size, &free)) {
        floor = settings_share(&settings.rec_free, size);
        floor = floor ? floor : size / WATCH_DISK_PART;
        low = free < floor;
    }

    state->unlike = (low || state->stopped) != state->alarm ? state->unlike + 1 : 0;
    if (state->unlike < WATCH_DISK_SURE) {
        return STORE_OK;
    }

    result = watch_disk_tell(desk->store, !state->alarm, json_pack("{sI sI sI sb}",
                 "free", (json_int_t) free, "size", (json_int_t) size, "limit",
                 (json_int_t) floor, "recording_stopped", state->stopped));
    if (result == STORE_OK) {
        state->alarm = !state->alarm;
        state->unlike = 0;
        log_warning("webhooks: alarm of the disk %s: %" PRIu64 " of %" PRIu64 " bytes free, "
                    "limit %" PRIu64, state->alarm ? "on" : "over", free, size, floor);
    }
    return result;
}


/* --- the look --- */

/* Nobody wants events of streams: what was seen gets old. */
static store_result_t watch_forget(store_t *store, watch_t *state)
{
    store_result_t  result = STORE_OK;

    if (!state->loaded || state->begun || state->count) {
        result = store_seen_clear(store);
        state->loaded = result == STORE_OK;
        state->begun = false;
        state->alarm = false;
        state->count = 0;
    }

    return result;
}


static store_result_t watch_look(keeper_desk_t *desk, watch_t *state, char *error)
{
    json_t          *root, *streams;
    store_result_t   result = store_webhook_wanted(desk->store, WATCH_WANTED);

    if (result == STORE_NONE) {
        return watch_forget(desk->store, state);
    }
    if (result == STORE_OK) {
        result = watch_load(desk->store, state);
    }
    if (result != STORE_OK) {
        return result;
    }

    /* without nginx's answer nothing is known of the streams: they have not ended */
    root = control_status(desk->config->control_socket, error);
    streams = json_object_get(root, "streams");
    if (json_is_array(streams)) {
        result = watch_streams(desk->store, state, streams);
    }
    json_decref(root);
    if (result == STORE_OK) {
        result = watch_offline(desk->store);
    }

    return result == STORE_OK ? watch_disk(desk, state) : result;
}


static void watch_tick(keeper_desk_t *desk, void *data)
{
    char             error[CONTROL_ERROR_SIZE] = "", text[256];
    watch_t         *state = data;
    store_result_t   result;

    if (state->look_in > 0) {
        state->look_in--;
        return;
    }
    state->look_in = WATCH_TICKS - 1;

    result = watch_look(desk, state, error);
    if (result != STORE_OK) {
        snprintf(text, sizeof(text), "database: %.200s", store_error(desk->store));
    } else {
        snprintf(text, sizeof(text), "%.250s", error);
    }
    watch_log_change(state, text);
}


static void watch_end(keeper_desk_t *desk, void *data)
{
    watch_t  *state = data;

    (void) desk;
    free(state->streams);
}


const keeper_work_t  keeper_watch = { sizeof(watch_t), watch_tick, watch_end };
