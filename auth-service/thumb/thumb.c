/*
 * duolu-thumb makes pictures of recordings and of live streams. nginx has checked the
 * token and found the key frame. duolu-thumb reads it, from the recording or from the
 * request's body, and has ffmpeg decode it in a jail. It has no database and no secret,
 * and never sees a token. It knows users by number; one user never takes all slots, so
 * that one remains for the others.
 */

#include "../base/config.h"
#include "../base/fastcgi.h"
#include "../base/log.h"
#include "../limits/slots.h"
#include "thumb_file.h"
#include "thumb_kept.h"
#include "thumb_run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THUMB_GRACE_MS      800     /* for requests under way at the end */
#define THUMB_WAIT_S        5       /* for a slot */
#define THUMB_WAITING_EACH  16      /* queue length per slot: a page full of pictures */

typedef struct {
    const config_t   *config;
    jail_t            jail;
    slots_t           slots;
    kept_t            kept;
} thumb_t;

/* A key frame, and whose it is. */
typedef struct {
    const char     *format;     /* in ffmpeg's terms */
    const char     *name;       /* for the log: the file, or the stream */
    uint64_t        offset;
    const uint8_t  *media;
    size_t          size;
} thumb_media_t;


static void thumb_refuse(FCGX_Request *request, int status, const char *code,
                         const char *message)
{
    fastcgi_reply(request, status, status == 503 ? "Retry-After: 1\r\n" : NULL,
                  json_pack("{ss ss}", "error", code, "message", message));
}


/* headers: extra lines, each ended by \r\n */
static void thumb_send(FCGX_Request *request, const char *headers, const uint8_t *picture,
                       size_t size)
{
    FCGX_FPrintF(request->out, "%sContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n",
                 headers, (int) size);
    FCGX_PutStr((const char *) picture, (int) size, request->out);
}


static bool thumb_number(const FCGX_Request *request, const char *name, uint64_t *number)
{
    char        *end;
    const char  *text = fastcgi_param(request, name);

    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *text >= '0' && *text <= '9';
}


/* Returns the JPEG, for free(), and its size, or NULL when the request has been refused. */
static uint8_t *thumb_make(thumb_t *thumb, FCGX_Request *request, const thumb_media_t *of,
                           size_t *used)
{
    char      why[700];
    uint8_t  *picture = malloc(THUMB_PICTURE_MAX);

    *used = 0;
    if (picture) {
        *used = thumb_run(&thumb->jail, of->format, of->media, of->size, picture, why,
                          sizeof(why));
    } else {
        snprintf(why, sizeof(why), "no memory");
    }

    if (*used > 0) {
        return picture;
    }

    log_error("no picture of \"%s\" at %llu: ffmpeg: %s",
              log_quote((char [512]) { 0 }, 512, of->name), (unsigned long long) of->offset,
              log_quote((char [512]) { 0 }, 512, why));
    thumb_refuse(request, 500, "internal", "No picture could be made of this frame.");
    free(picture);
    return NULL;
}


static void thumb_none(FCGX_Request *request)
{
    thumb_refuse(request, 404, "not_found", "There is no such frame.");
}


/* Reads the frame of a recording only with a slot, so that waiting requests hold no memory. */
static void thumb_of_file(thumb_t *thumb, FCGX_Request *request, const thumb_frame_t *frame)
{
    char            why[512];
    size_t          used;
    uint8_t        *media, *picture;
    thumb_media_t   of = { .name = frame->file, .offset = frame->offset };
    thumb_result_t  result = thumb_file_read(thumb->config->rec, frame, &media, &of.size, why,
                                             sizeof(why));

    if (result == THUMB_READ) {
        of.format = thumb_file_is_flv(frame->file) ? "flv" : "mov";
        of.media = media;
        picture = thumb_make(thumb, request, &of, &used);
        if (picture) {
            thumb_send(request, "", picture, used);
        }
        free(picture);
        free(media);
        return;
    }

    if (result == THUMB_NONE) {
        thumb_none(request);
        return;
    }

    log_error("cannot read \"%s\" at %llu: %s",
              log_quote((char [512]) { 0 }, 512, frame->file),
              (unsigned long long) frame->offset, why);
    if (result == THUMB_WRONG) {
        thumb_none(request);
    } else {
        thumb_refuse(request, 500, "internal", "The recording could not be read.");
    }
}


/* The body of the request has the frame that the hub had; keeps its picture as the last one. */
static void thumb_of_body(thumb_t *thumb, FCGX_Request *request, const char *stream, size_t size)
{
    size_t          used;
    uint8_t        *media = malloc(size), *picture = NULL;
    thumb_media_t   of = { "mov", stream, 0, media, size };

    if (media == NULL || FCGX_GetStr((char *) media, (int) size, request->in) != (int) size) {
        thumb_refuse(request, 503, "busy", "The frame did not come; try again.");
    } else {
        picture = thumb_make(thumb, request, &of, &used);
    }

    if (picture) {
        kept_write(&thumb->kept, stream, fastcgi_param(request, "SINCE"), picture, used);
        thumb_send(request, "", picture, used);
    }

    free(picture);
    free(media);
}


/* The stream is offline. The cache in nginx may have its last picture for some seconds. */
static void thumb_of_kept(thumb_t *thumb, FCGX_Request *request, const char *stream)
{
    size_t    used;
    uint8_t  *picture = malloc(THUMB_PICTURE_MAX);

    used = picture ? kept_read(&thumb->kept, stream, fastcgi_param(request, "SINCE"), picture)
                   : 0;
    if (used > 0) {
        thumb_send(request, "X-Accel-Expires: 2\r\n", picture, used);
    } else {
        thumb_none(request);
    }

    free(picture);
}


static bool thumb_slot(thumb_t *thumb, FCGX_Request *request)
{
    if (slots_take(&thumb->slots, fastcgi_param(request, "USER"), false)) {
        return true;
    }

    thumb_refuse(request, 503, "busy", "Too many pictures are being made; try again.");
    return false;
}


static void thumb_live(thumb_t *thumb, FCGX_Request *request, const char *stream)
{
    uint64_t  size;

    if (*fastcgi_param(request, "SIZE") == '\0') {
        thumb_of_kept(thumb, request, stream);

    } else if (!thumb_number(request, "SIZE", &size)
               || size > THUMB_INIT_MAX + THUMB_FRAGMENT_MAX)
    {
        log_warning("SIZE of a request for a live picture is no number of at most %d",
                    THUMB_INIT_MAX + THUMB_FRAGMENT_MAX);
        thumb_none(request);

    } else if (size == 0) {
        /* nginx could not take the frame out of the hub */
        thumb_refuse(request, 503, "busy", "The frame is gone; try again.");

    } else if (thumb_slot(thumb, request)) {
        thumb_of_body(thumb, request, stream, size);
        slots_give(&thumb->slots, fastcgi_param(request, "USER"));
    }
}


static void thumb_recorded(thumb_t *thumb, FCGX_Request *request)
{
    thumb_frame_t  frame = { .file = fastcgi_param(request, "FILE") };

    if (!thumb_number(request, "INIT", &frame.init)
        || !thumb_number(request, "OFFSET", &frame.offset)
        || !thumb_number(request, "SIZE", &frame.size))
    {
        log_warning("INIT, OFFSET or SIZE of a request is not a number");
        thumb_none(request);

    } else if (thumb_slot(thumb, request)) {
        thumb_of_file(thumb, request, &frame);
        slots_give(&thumb->slots, fastcgi_param(request, "USER"));
    }
}


static void thumb_handle(FCGX_Request *request, void *own, void *data)
{
    const char  *stream = fastcgi_param(request, "STREAM");

    (void) own;

    if (*stream) {
        thumb_live(data, request, stream);
    } else {
        thumb_recorded(data, request);
    }
}


/* Opens descriptors 0, 1 and 2 if they are closed: no pipe of a child may get these numbers. */
static bool thumb_hold_standard(void)
{
    int  fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);

    return fd >= 0 && close(fd) == 0;
}


static int thumb_serve(const config_t *config)
{
    int               number;
    char              error[1024];
    sigset_t          signals;
    fastcgi_pool_t   *pool;
    struct timespec   deadline;
    static thumb_t    thumb;
    slots_rule_t      rule = { .slots = config->thumb_threads + 1, .each = config->thumb_threads,
                               .queue = config->thumb_threads * THUMB_WAITING_EACH,
                               .wait_s = THUMB_WAIT_S };

    static const fastcgi_work_t  work = { .handle = thumb_handle };

    /* block before starting threads, so that they inherit it and sigwait() gets the signals */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    log_keep_path();

    thumb.config = config;
    slots_init(&thumb.slots, &rule);
    kept_init(&thumb.kept, config->thumb_kept);

    if (!jail_prepare(&thumb.jail, config->ffmpeg, error, sizeof(error))) {
        log_error("%s", error);
        return 1;
    }

    /* one thread more than slots and queue, to answer "busy" */
    pool = fastcgi_start(config->thumb_socket, rule.slots + rule.queue + 1, &work, &thumb, error,
                         sizeof(error));
    if (pool == NULL) {
        log_error("%s", error);
        return 1;
    }

    log_info("duolu-thumb ready: %u at once for a user on %s, %s jailed by seccomp%s",
             config->thumb_threads, config->thumb_socket, config->ffmpeg,
             thumb.jail.landlock ? " and Landlock" : "; this kernel has no Landlock");

    while (sigwait(&signals, &number) == 0 && number == SIGUSR1) {
        log_reopen();
    }
    log_info("duolu-thumb stops on signal %d", number);

    fastcgi_stop(pool);
    fastcgi_deadline(&deadline, THUMB_GRACE_MS);

    if (!fastcgi_wait(pool, &deadline)) {
        /* the kernel ends each ffmpeg with the thread that made it */
        log_warning("duolu-thumb leaves requests unanswered after %d ms", THUMB_GRACE_MS);
        _exit(0);
    }

    return 0;
}


int main(int argc, char **argv)
{
    char             error[1024];
    static config_t  config;

    if (argc > 1) {
        fprintf(stderr, "duolu-thumb: \"%s\"; usage: duolu-thumb\n", argv[1]);
        return 2;
    }

    if (!config_load(&config, error, sizeof(error))) {
        log_error("%s", error);
        return 2;
    }

    if (!thumb_hold_standard() || FCGX_Init() != 0) {
        log_error("cannot initialise a library");
        return 1;
    }

    return thumb_serve(&config);
}
