#define _GNU_SOURCE             /* pipe2 */

#include "thumb_run.h"
#include "../base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_ERR_MAX     (64 * 1024)     /* of standard error in total */
#define RUN_LINE_MAX    512
#define RUN_FORMAT      18              /* index of the format in run_arguments */
#define RUN_FAILED      126             /* the jail could not be entered */

/*
 * One demuxer, one protocol and one thread, since the jail allows no second. The picture
 * is 320 pixels wide with the video's aspect ratio; a maximum height stops hostile ones.
 */
static char *const  run_arguments[] = {
    "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error",
    "-filter_threads", "1", "-protocol_whitelist", "pipe", "-codec_whitelist", "h264,hevc",
    "-max_pixels", "36000000", "-threads", "1", "-skip_frame", "nokey",
    "-f", "mov", "-i", "pipe:0",
    "-map", "0:v:0", "-frames:v", "1", "-an", "-sn", "-dn",
    "-vf", "scale=w=320:h=max(2\\,trunc(min(1280\\,320/dar)/2)*2):out_color_matrix=bt601,setsar=1",
    "-threads", "1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "3", "-f", "mjpeg", "pipe:1",
    NULL
};

typedef struct {
    pid_t           pid;
    const char     *format;                 /* of the media, in ffmpeg's terms */
    int             in, out, err;           /* our ends; -1: closed */
    const uint8_t  *media;
    size_t          size;                   /* bytes not written yet */
    uint8_t        *picture;
    size_t          used;
    char            line[RUN_LINE_MAX];     /* the end of ffmpeg's standard error */
    size_t          line_size;
    size_t          err_size;
    int64_t         deadline;               /* ms */
    const char     *why;                    /* the reason to kill it; NULL: none */
} ffmpeg_t;


static void run_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}


/* Runs in the child. Reports a failure on standard error, as ffmpeg does. */
static void run_child(const jail_t *jail, const char *format, const int fds[3], pid_t parent)
{
    int          number;
    char         code[4];
    char        *arguments[sizeof(run_arguments) / sizeof(run_arguments[0])];
    const char  *failed;

    memcpy(arguments, run_arguments, sizeof(arguments));
    arguments[RUN_FORMAT] = (char *) format;
    failed = jail_exec(jail, arguments, fds, parent);

    number = errno;
    code[0] = (char) ('0' + number / 100 % 10);
    code[1] = (char) ('0' + number / 10 % 10);
    code[2] = (char) ('0' + number % 10);
    code[3] = '\n';

    (void) !write(STDERR_FILENO, failed, strlen(failed));
    (void) !write(STDERR_FILENO, ": error ", 8);
    (void) !write(STDERR_FILENO, code, sizeof(code));
    _exit(RUN_FAILED);
}


static bool run_start(ffmpeg_t *run, const jail_t *jail)
{
    int    in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
    pid_t  parent = getpid();

    run->pid = -1;

    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0) {
        run->pid = fork();
    }

    if (run->pid == 0) {
        run_child(jail, run->format, (const int[3]) { in[0], out[1], err[1] }, parent);
    }

    run_close(&in[0]);
    run_close(&out[1]);
    run_close(&err[1]);

    run->in = in[1];
    run->out = out[0];
    run->err = err[0];

    if (run->pid < 0) {
        return false;
    }

    fcntl(run->in, F_SETFL, O_NONBLOCK);
    fcntl(run->out, F_SETFL, O_NONBLOCK);
    fcntl(run->err, F_SETFL, O_NONBLOCK);
    return true;
}


static void run_feed(ffmpeg_t *run)
{
    ssize_t  done = write(run->in, run->media, run->size);

    if (done > 0) {
        run->media += done;
        run->size -= (size_t) done;
    }

    /* ffmpeg may close its input early */
    if (run->size == 0 || (done < 0 && errno != EAGAIN && errno != EINTR)) {
        run_close(&run->in);
    }
}


static void run_take_picture(ffmpeg_t *run)
{
    ssize_t  got;
    uint8_t  more;

    if (run->used == THUMB_PICTURE_MAX) {
        got = read(run->out, &more, 1);
        if (got > 0) {
            run->why = "its picture is larger than 256 KB";
        }
    } else {
        got = read(run->out, run->picture + run->used, THUMB_PICTURE_MAX - run->used);
        run->used += got > 0 ? (size_t) got : 0;
    }

    if (got == 0) {
        run_close(&run->out);
    }
}


/* Reads ffmpeg's standard error and keeps the end of it. */
static void run_take_errors(ffmpeg_t *run)
{
    char     text[RUN_LINE_MAX];
    size_t   size, kept;
    ssize_t  got = read(run->err, text, sizeof(text));

    if (got == 0) {
        run_close(&run->err);
    }
    if (got <= 0) {
        return;
    }

    size = (size_t) got;
    run->err_size += size;
    if (run->err_size > RUN_ERR_MAX) {
        run->why = "it wrote more than 64 KB to standard error";
    }

    kept = RUN_LINE_MAX - size < run->line_size ? RUN_LINE_MAX - size : run->line_size;
    memmove(run->line, run->line + run->line_size - kept, kept);
    memcpy(run->line + kept, text, size);
    run->line_size = kept + size;
}


static void run_exchange(ffmpeg_t *run)
{
    int            ready;
    int64_t        remaining;
    struct pollfd  fds[3];

    while (run->why == NULL && (run->out >= 0 || run->err >= 0)) {

        remaining = run->deadline - clock_ms();
        if (remaining <= 0) {
            run->why = "it was not done in time";
            return;
        }

        /* poll() skips negative descriptors */
        fds[0] = (struct pollfd) { run->in, POLLOUT, 0 };
        fds[1] = (struct pollfd) { run->out, POLLIN, 0 };
        fds[2] = (struct pollfd) { run->err, POLLIN, 0 };

        ready = poll(fds, 3, (int) remaining);
        if (ready < 0 && errno != EINTR) {
            run->why = "poll failed";
            return;
        }
        if (ready <= 0) {
            continue;
        }

        if (fds[0].revents) {
            run_feed(run);
        }
        if (fds[1].revents) {
            run_take_picture(run);
        }
        if (fds[2].revents) {
            run_take_errors(run);
        }
    }
}


/* Waits for the exit; unless it is hostile, ffmpeg exits right after closing its output. */
static int run_reap(ffmpeg_t *run)
{
    int              status = 0;
    struct timespec  pause = { 0, 500 * 1000 };

    while (run->why == NULL && waitpid(run->pid, &status, WNOHANG) == 0) {
        if (clock_ms() >= run->deadline) {
            run->why = "it was not done in time";
            break;
        }
        nanosleep(&pause, NULL);
    }

    if (run->why) {
        kill(run->pid, SIGKILL);
        while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR) {
            /* void */
        }
    }

    return status;
}


/* The last non-empty line, without characters that would break the log's line. */
static const char *run_last_line(ffmpeg_t *run)
{
    char    *line;
    size_t   size = run->line_size;

    while (size > 0 && (unsigned char) run->line[size - 1] <= ' ') {
        size--;
    }
    if (size == RUN_LINE_MAX) {
        size--;
    }
    run->line[size] = '\0';

    line = strrchr(run->line, '\n');
    return line ? line + 1 : run->line;
}


/* JPEG: begins with SOI and a marker, ends with EOI (ITU T.81, B.1.1.3). */
static bool run_is_picture(const ffmpeg_t *run)
{
    const uint8_t  *p = run->picture;
    size_t          n = run->used;

    return n > 4 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff && p[n - 2] == 0xff
           && p[n - 1] == 0xd9;
}


static void run_explain(ffmpeg_t *run, int status, char *error, size_t size)
{
    const char  *line = run_last_line(run);

    if (run->pid < 0) {
        snprintf(error, size, "cannot start a process for it");
    } else if (run->why) {
        snprintf(error, size, "%s, and was killed: %s", run->why, line);
    } else if (WIFSIGNALED(status)) {
        snprintf(error, size, "ended by signal %d (%s): %s", WTERMSIG(status),
                 WTERMSIG(status) == SIGXCPU ? "CPU time used up" : "a crash",
                 line);
    } else if (WEXITSTATUS(status) != 0 || *line) {
        snprintf(error, size, "exit status %d: %s", WEXITSTATUS(status), line);
    } else {
        snprintf(error, size, "its %zu bytes are not a JPEG", run->used);
    }
}


size_t thumb_run(const jail_t *jail, const char *format, const uint8_t *media, size_t size,
                 uint8_t picture[THUMB_PICTURE_MAX], char *error, size_t error_size)
{
    int    status = 0;
    bool   good = false;
    ffmpeg_t  run = { .format = format, .media = media, .size = size, .picture = picture,
                   .deadline = clock_ms() + THUMB_SECONDS * 1000 };

    if (run_start(&run, jail)) {
        run_exchange(&run);
        status = run_reap(&run);
        good = run.why == NULL && WIFEXITED(status) && WEXITSTATUS(status) == 0
               && run_is_picture(&run);
    }

    run_close(&run.in);
    run_close(&run.out);
    run_close(&run.err);

    if (!good) {
        run_explain(&run, status, error, error_size);
        return 0;
    }

    return run.used;
}
