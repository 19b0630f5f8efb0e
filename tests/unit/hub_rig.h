/*
 * A hub on a real zone in shared memory, with processes for workers and what of
 * nginx it calls, without nginx.
 */

#ifndef DUOLU_UNIT_HUB_RIG_H
#define DUOLU_UNIT_HUB_RIG_H

#include "../../modules/hub/hub.h"

extern ngx_log_t  rig_log;

/* A fresh zone of SIZE bytes, shared with children. */
hub_t *rig_zone(size_t size);

/* A copy of H's zone as it is now, for one that looks what comes of it; the
 * next copy is written over it. */
hub_t *rig_copy(const hub_t *h);

/* Lets go of the mutex that process PID died with, as nginx's master does. */
void rig_unlock(hub_t *h, pid_t pid);

/* This process is a worker of H from now on. */
void rig_worker(hub_t *h);

/* The pid of a process that is gone. */
pid_t rig_dead(void);

void rig_identity(hub_identity_t *who, enum hub_protocol protocol);

/* Publishes NAME with the key that OWNER stands for. */
typedef struct {
    hub_client_t  client;
    hub_writer_t  writer;
} rig_publisher_t;

enum hub_refusal rig_publish(hub_t *h, rig_publisher_t *p, const char *name,
    u_char owner);

/* Appends a key frame, or another, whose body is SIZE bytes at BODY. */
ngx_int_t rig_append(hub_t *h, rig_publisher_t *p, int key, u_char *body,
    size_t size);

/* What is wrong with the zone, NULL when nothing is.  LOST: blocks that nobody
 * has. */
const char *rig_wrong(hub_t *h, uint32_t *lost);

uint64_t rig_us(void);

#endif
