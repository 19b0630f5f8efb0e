#define _GNU_SOURCE        /* program_invocation_short_name */

#include "fastcgi.h"
#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FASTCGI_BACKLOG  1024
#define FASTCGI_STACK    (512 * 1024)
#define FASTCGI_STALL_S  5      /* a peer silent that long in the middle of a request is gone */

struct fastcgi_pool_s {
    int               fd;
    ino_t             inode;
    char              path[sizeof(((struct sockaddr_un *) 0)->sun_path)];
    fastcgi_work_t    work;
    void             *data;
    atomic_bool       stopping;
    pthread_mutex_t   lock;
    pthread_cond_t    ended;
    unsigned          running;
};


/*
 * Removes a socket file that a crash left behind. Fails if another process listens on it.
 */
static bool fastcgi_clear_stale(const struct sockaddr_un *address, char *error, size_t size)
{
    int          fd, failed;
    struct stat  info;

    if (lstat(address->sun_path, &info) < 0) {
        return true;
    }

    if (!S_ISSOCK(info.st_mode)) {
        snprintf(error, size, "%s exists and is not a socket", address->sun_path);
        return false;
    }

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    failed = connect(fd, (const struct sockaddr *) address, sizeof(*address));
    failed = failed < 0 && errno == ECONNREFUSED;
    close(fd);

    if (!failed) {
        snprintf(error, size, "%s is in use: another %s runs with this DUOLU_HOME",
                 address->sun_path, program_invocation_short_name);
        return false;
    }

    unlink(address->sun_path);
    return true;
}


static int fastcgi_listen(const char *path, char *error, size_t size)
{
    int                 fd;
    mode_t              mask;
    struct sockaddr_un  address;

    if (strlen(path) >= sizeof(address.sun_path)) {
        snprintf(error, size, "socket path %.200s: longer than %zu bytes", path,
                 sizeof(address.sun_path) - 1);
        return -1;
    }

    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, path);

    if (!fastcgi_clear_stale(&address, error, size)) {
        return -1;
    }

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        snprintf(error, size, "socket: %s", strerror(errno));
        return -1;
    }

    /* 0660 from the start; umask affects the whole process, but there are no threads yet */
    mask = umask(0117);
    if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0
        || listen(fd, FASTCGI_BACKLOG) < 0)
    {
        snprintf(error, size, "listen on %s: %s", path, strerror(errno));
        umask(mask);
        close(fd);
        return -1;
    }
    umask(mask);

    return fd;
}


static void fastcgi_serve(fastcgi_pool_t *pool, FCGX_Request *request, void *own)
{
    int              result;
    struct timeval   stall = { FASTCGI_STALL_S, 0 };
    struct timespec  pause = { 0, 20 * 1000 * 1000 };

    while (!atomic_load(&pool->stopping)) {

        result = FCGX_Accept_r(request);

        if (result < 0) {
            if (!atomic_load(&pool->stopping)) {
                /* out of descriptors, for example: pause instead of spinning */
                log_error("accept on %s: error %d", pool->path, result);
                nanosleep(&pause, NULL);
            }
            continue;
        }

        setsockopt(request->ipcFd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall));
        setsockopt(request->ipcFd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall));

        pool->work.handle(request, own, pool->data);

        /* a kept connection would pin this thread to one peer */
        FCGX_Finish_r(request);
        FCGX_Free(request, 1);
    }
}


static void *fastcgi_thread(void *data)
{
    void            *own;
    FCGX_Request     request;
    fastcgi_pool_t  *pool = data;

    own = pool->work.begin ? pool->work.begin(pool->data) : NULL;

    if ((own || pool->work.begin == NULL)
        && FCGX_InitRequest(&request, pool->fd, FCGI_FAIL_ACCEPT_ON_INTR) == 0)
    {
        fastcgi_serve(pool, &request, own);
    } else {
        log_error("cannot start a thread for %s", pool->path);
    }

    if (own) {
        pool->work.end(own);
    }

    pthread_mutex_lock(&pool->lock);
    pool->running--;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);

    return NULL;
}


fastcgi_pool_t *fastcgi_start(const char *path, unsigned threads,
                              const fastcgi_work_t *work, void *data, char *error,
                              size_t error_size)
{
    unsigned         i;
    pthread_t        thread;
    struct stat      info;
    fastcgi_pool_t  *pool = calloc(1, sizeof(*pool));
    pthread_attr_t   attributes;

    if (pool == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }

    pool->fd = fastcgi_listen(path, error, error_size);
    if (pool->fd < 0) {
        free(pool);
        return NULL;
    }

    strcpy(pool->path, path);
    pool->inode = stat(path, &info) == 0 ? info.st_ino : 0;
    pool->work = *work;
    pool->data = data;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->ended, NULL);

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
#ifndef __SANITIZE_ADDRESS__
    pthread_attr_setstacksize(&attributes, FASTCGI_STACK);
#endif

    pthread_mutex_lock(&pool->lock);
    for (i = 0; i < threads; i++) {
        if (pthread_create(&thread, &attributes, fastcgi_thread, pool) == 0) {
            pool->running++;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    pthread_attr_destroy(&attributes);

    if (pool->running < threads) {
        snprintf(error, error_size, "started only %u of %u threads for %s", pool->running,
                 threads, path);
        fastcgi_stop(pool);
        return NULL;
    }

    return pool;
}


void fastcgi_stop(fastcgi_pool_t *pool)
{
    struct stat  info;

    atomic_store(&pool->stopping, true);

    /* wakes every thread that waits in accept */
    shutdown(pool->fd, SHUT_RDWR);

    if (stat(pool->path, &info) == 0 && info.st_ino == pool->inode) {
        unlink(pool->path);
    }
}


bool fastcgi_wait(fastcgi_pool_t *pool, const struct timespec *deadline)
{
    bool  done;

    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0
           && pthread_cond_timedwait(&pool->ended, &pool->lock, deadline) == 0)
    {
        /* void */
    }
    done = pool->running == 0;
    pthread_mutex_unlock(&pool->lock);

    if (done) {
        close(pool->fd);
        free(pool);
    }

    return done;
}


void fastcgi_deadline(struct timespec *deadline, unsigned ms)
{
    clock_gettime(CLOCK_REALTIME, deadline);

    deadline->tv_sec += ms / 1000;
    deadline->tv_nsec += ms % 1000 * 1000000L;
    if (deadline->tv_nsec >= 1000000000L) {
        deadline->tv_nsec -= 1000000000L;
        deadline->tv_sec++;
    }
}


const char *fastcgi_param(const FCGX_Request *request, const char *name)
{
    const char  *value = FCGX_GetParam(name, request->envp);

    return value ? value : "";
}


bool fastcgi_cookie(const FCGX_Request *request, const char *name, char *value, size_t size)
{
    size_t       length, name_length = strlen(name);
    const char  *p = fastcgi_param(request, "HTTP_COOKIE");

    for (; *p; p += strcspn(p, ";")) {
        p += strspn(p, "; ");
        if (strncmp(p, name, name_length) != 0 || p[name_length] != '=') {
            continue;
        }

        p += name_length + 1;
        length = strcspn(p, "; ");
        if (length >= size) {
            return false;
        }

        memcpy(value, p, length);
        value[length] = '\0';
        return true;
    }

    return false;
}


static const char *fastcgi_reason(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 429: return "Too Many Requests";
    case 503: return "Service Unavailable";
    default:  return "Internal Server Error";
    }
}


void fastcgi_reply(FCGX_Request *request, int status, const char *headers, json_t *body)
{
    bool   empty = status == 204;
    char  *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);

    if (text == NULL && !empty) {
        status = 500;
        headers = NULL;
    }

    FCGX_FPrintF(request->out, "Status: %d %s\r\n", status, fastcgi_reason(status));
    if (!empty) {
        FCGX_PutS("Content-Type: application/json\r\n", request->out);
    }
    FCGX_PutS("Cache-Control: no-store\r\n"
              "X-Content-Type-Options: nosniff\r\n", request->out);
    if (headers) {
        FCGX_PutS(headers, request->out);
    }
    FCGX_PutS("\r\n", request->out);
    if (!empty) {
        FCGX_PutS(text ? text : "{\"error\":\"internal\",\"message\":\"Out of memory.\"}",
                  request->out);
    }

    free(text);
}


body_result_t fastcgi_body(FCGX_Request *request, char **body, size_t *length)
{
    int            got;
    char          *end, *text;
    size_t         used = 0;
    const char    *declared = fastcgi_param(request, "CONTENT_LENGTH");
    unsigned long  expected;

    *body = NULL;
    *length = 0;

    expected = strtoul(declared, &end, 10);
    if (*end || (*declared && (*declared < '0' || *declared > '9'))) {
        return BODY_BROKEN;
    }
    if (expected > FASTCGI_BODY_MAX) {
        return BODY_TOO_LARGE;
    }

    /* try to read one byte too many, to detect a body larger than allowed */
    text = malloc(FASTCGI_BODY_MAX + 2);
    if (text == NULL) {
        return BODY_BROKEN;
    }

    while (used < FASTCGI_BODY_MAX + 1) {
        got = FCGX_GetStr(text + used, (int) (FASTCGI_BODY_MAX + 1 - used), request->in);
        if (got <= 0) {
            break;
        }
        used += (size_t) got;
    }

    if (used > FASTCGI_BODY_MAX || used != expected) {
        free(text);
        return used > FASTCGI_BODY_MAX ? BODY_TOO_LARGE : BODY_BROKEN;
    }

    text[used] = '\0';
    *body = text;
    *length = used;
    return BODY_OK;
}
