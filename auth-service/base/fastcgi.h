#ifndef DUOLU_FASTCGI_H
#define DUOLU_FASTCGI_H

#include <fcgiapp.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* A listening socket with its own threads. */
typedef struct fastcgi_pool_s  fastcgi_pool_t;

/*
 * Each thread may own a resource, such as a database connection, that begin() makes and
 * end() frees.
 */
typedef struct {
    void   (*handle)(FCGX_Request *request, void *own, void *data);
    void  *(*begin)(void *data);            /* NULL: nothing of its own */
    void   (*end)(void *own);
} fastcgi_work_t;

/* Returns NULL and a message when it cannot listen or start all threads. */
fastcgi_pool_t *fastcgi_start(const char *path, unsigned threads,
                              const fastcgi_work_t *work, void *data, char *error,
                              size_t error_size);

/* Stops accepting requests; fastcgi_wait() then waits for those under way, up to the deadline. */
void fastcgi_stop(fastcgi_pool_t *pool);
bool fastcgi_wait(fastcgi_pool_t *pool, const struct timespec *deadline);

/* Sets the deadline to `ms` milliseconds from now, on the clock that fastcgi_wait() uses. */
void fastcgi_deadline(struct timespec *deadline, unsigned ms);

/* A parameter of the request, "" when it is not there. */
const char *fastcgi_param(const FCGX_Request *request, const char *name);

/* The value of a cookie; false when it is not there or has size bytes or more. */
bool fastcgi_cookie(const FCGX_Request *request, const char *name, char *value, size_t size);

/* headers: extra lines, each ended by \r\n, or NULL. Frees the body; a 204 has none. */
void fastcgi_reply(FCGX_Request *request, int status, const char *headers, json_t *body);

#define FASTCGI_BODY_MAX  65536

typedef enum { BODY_OK, BODY_TOO_LARGE, BODY_BROKEN } body_result_t;

/* The caller frees the body, which ends with a NUL; it is NULL unless BODY_OK. */
body_result_t fastcgi_body(FCGX_Request *request, char **body, size_t *length);

#endif
