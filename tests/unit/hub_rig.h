/*
 * Runs the hub without nginx: on a real zone in shared memory, with processes as
 * workers, and with replacements for the functions of nginx that the hub calls.
 */

#ifndef DUOLU_UNIT_HUB_RIG_H
#define DUOLU_UNIT_HUB_RIG_H

#include "../../modules/hub/hub.h"

extern ngx_log_t  rig_log;

/* The time in ms for tests that set it, also as UTC; 0: the real one. */
extern uint64_t   rig_now;

/* A new zone of SIZE bytes, shared with children. */
hub_t *rig_zone(size_t size);

/* Copies H's zone in its present state, so that a test can sweep the copy.  The next
 * call overwrites it. */
hub_t *rig_copy(const hub_t *h);

/* Releases the mutex if process PID died holding it, as nginx's master does. */
void rig_unlock(hub_t *h, pid_t pid);

/* Makes this process a worker of H. */
void rig_worker(hub_t *h);

/* The pid of a process that has ended. */
pid_t rig_dead(void);

void rig_identity(hub_identity_t *who, enum hub_protocol protocol);

/* Publishes NAME with a credential that depends on OWNER alone. */
typedef struct {
    hub_client_t  client;
    hub_writer_t  writer;
} rig_publisher_t;

enum hub_refusal rig_publish(hub_t *h, rig_publisher_t *p, const char *name,
    u_char owner);

/* Appends a frame, a key frame with KEY, whose body is SIZE bytes at BODY. */
ngx_int_t rig_append(hub_t *h, rig_publisher_t *p, int key, u_char *body,
    size_t size);

/* Checks the zone: returns its first error as a sentence, or NULL.  LOST is the number
 * of leaked blocks. */
const char *rig_wrong(hub_t *h, uint32_t *lost);

uint64_t rig_us(void);

#endif
