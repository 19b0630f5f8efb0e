#ifndef DUOLU_CONTROL_H
#define DUOLU_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Requests to nginx on its private control socket, which is the path of a unix socket, or
 * the begin of an http:// or https:// address, as edges have. Each call returns within a
 * second and explains every result but CONTROL_OK in error.
 */
#define CONTROL_ERROR_SIZE  512

typedef enum {
    CONTROL_OK,
    CONTROL_NONE,       /* no such session, or the stream is not live */
    CONTROL_REFUSED,    /* nginx answered, but did not do it */
    CONTROL_AWAY        /* no answer */
} control_result_t;


/* Returns NULL unless nginx answered with JSON. */
json_t *control_status(const char *socket_path, char error[CONTROL_ERROR_SIZE]);
json_t *control_sessions(const char *socket_path, char error[CONTROL_ERROR_SIZE]);

control_result_t control_kick(const char *socket_path, const char *id,
                              char error[CONTROL_ERROR_SIZE]);

/*
 * Ends the sessions that began in this second or before, and voids the tokens issued by
 * then, of a user, a stream ("live/demo"), a user on a stream, or a key. 0 and "" match
 * any. Idempotent.
 */
control_result_t control_revoke(const char *socket_path, uint64_t user, const char *stream,
                                uint64_t key, int64_t at, uint64_t *ended,
                                char error[CONTROL_ERROR_SIZE]);

/* Starts or stops recording a live stream ("live/demo"). Idempotent. */
control_result_t control_record(const char *socket_path, const char *stream, bool on,
                                char error[CONTROL_ERROR_SIZE]);

/*
 * Ends the event streams of a user's pages (0: of all), so that the pages ask for their
 * rights again.
 */
control_result_t control_refresh(const char *socket_path, uint64_t user,
                                 char error[CONTROL_ERROR_SIZE]);

#endif
