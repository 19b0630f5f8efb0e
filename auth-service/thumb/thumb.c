/*
 * duolu-thumb makes pictures of recordings. nginx has checked the token and found the
 * key frame; duolu-thumb reads it and has ffmpeg decode it in a jail. It has no database
 * and no secret, and never sees a token. It knows users by number; one user never takes
 * all slots, so that one remains for the others.
 */

#include "../base/config.h"
#include "../base/fastcgi.h"
#include "../base/log.h"
#include "../limits/slots.h"
#include "thumb_file.h"
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
} thumb_t;


static void thumb_refuse(FCGX_Request *request, int status, const char *code,
                         const char *message)
{
    fastcgi_reply(request, status, status == 503 ? "Retry-After: 1\r\n" : NULL,
                  json_pack("{ss ss}", "error", code, "message", message));
}


static void thumb_send(FCGX_Request *request, const uint8_t *picture, size_t size)
{
    FCGX_FPrintF(request->out, "Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n",
                 (int) size);
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


static void thumb_make(thumb_t *thumb, FCGX_Request *request, const thumb_frame_t *frame,
                       const uint8_t *media, size_t size)
{
    char      why[700];
    size_t    used = 0;
    uint8_t  *picture = malloc(THUMB_PICTURE_MAX);

    if (picture) {
        used = thumb_run(&thumb->jail, thumb_file_is_flv(frame->file) ? "flv" : "mov", media, size,
                         picture, why, sizeof(why));
    } else {
        snprintf(why, sizeof(why), "no memory");
    }

    if (used > 0) {
        thumb_send(request, picture, used);
    } else {
        log_error("no picture of \"%s\" at %llu: ffmpeg: %s",
                  log_quote((char [512]) { 0 }, 512, frame->file),
                  (unsigned long long) frame->offset,
                  log_quote((char [512]) { 0 }, 512, why));
        thumb_refuse(request, 500, "internal", "No picture could be made of this frame.");
    }

    free(picture);
}


static void thumb_handle(FCGX_Request *request, void *own, void *data)
{
    char            why[512];
    size_t          size;
    thumb_t        *thumb = data;
    uint8_t        *media;
    const char     *user = fastcgi_param(request, "USER");
    thumb_frame_t   frame = { .file = fastcgi_param(request, "FILE") };
    thumb_result_t  result;

    (void) own;

    if (!thumb_number(request, "INIT", &frame.init)
        || !thumb_number(request, "OFFSET", &frame.offset)
        || !thumb_number(request, "SIZE", &frame.size))
    {
        log_warning("INIT, OFFSET or SIZE of a request is not a number");
        thumb_refuse(request, 404, "not_found", "There is no such frame.");
        return;
    }

    /* read the file only with a slot, so that waiting requests hold no memory */
    if (!slots_take(&thumb->slots, user, false)) {
        thumb_refuse(request, 503, "busy", "Too many pictures are being made; try again.");
        return;
    }

    result = thumb_file_read(thumb->config->rec, &frame, &media, &size, why, sizeof(why));

    if (result == THUMB_READ) {
        thumb_make(thumb, request, &frame, media, size);
        free(media);

    } else if (result == THUMB_NONE) {
        thumb_refuse(request, 404, "not_found", "There is no such frame.");

    } else {
        log_error("cannot read \"%s\" at %llu: %s",
                  log_quote((char [512]) { 0 }, 512, frame.file),
                  (unsigned long long) frame.offset, why);
        if (result == THUMB_WRONG) {
            thumb_refuse(request, 404, "not_found", "There is no such frame.");
        } else {
            thumb_refuse(request, 500, "internal", "The recording could not be read.");
        }
    }

    slots_give(&thumb->slots, user);
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
