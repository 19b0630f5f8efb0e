#ifndef DUOLU_CONFIG_H
#define DUOLU_CONFIG_H

#include "dsn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PATH_SIZE  1024

/* Bytes, or a part of the disk; both 0: no limit. */
typedef struct {
    uint64_t  bytes;
    unsigned  percent;
} config_share_t;

/* What the environment says; the same for duolu-auth, duoluctl and duolu-thumb. */
typedef struct {
    char      home[CONFIG_PATH_SIZE];
    char      sql[CONFIG_PATH_SIZE];
    char      token_keys[CONFIG_PATH_SIZE + 32];
    char      gate_socket[CONFIG_PATH_SIZE + 32];
    char      api_socket[CONFIG_PATH_SIZE + 32];
    char      control_socket[CONFIG_PATH_SIZE + 32];
    char      thumb_socket[CONFIG_PATH_SIZE + 32];
    char      rec[CONFIG_PATH_SIZE + 32];       /* the folder of recordings, absolute */
    char      ffmpeg[CONFIG_PATH_SIZE];         /* what duolu-thumb runs */
    char      host[256];        /* for the URLs that are printed */
    bool      host_named;       /* by the operator, not guessed */
    unsigned  http_port;
    unsigned  rtmp_port;
    unsigned  rtmps_port;
    unsigned  gate_threads;
    unsigned  api_threads;
    unsigned  thumb_threads;    /* pictures made at once for a user */
    unsigned  audit_days;       /* days and rows, 0: no limit */
    unsigned  audit_rows;
    unsigned  rec_days;         /* of recordings: days and bytes, 0: no limit */
    uint64_t  rec_total;
    config_share_t  rec_free;   /* of their disk stays free */
    config_share_t  rec_quota;  /* of an owner without a rec_quota; at it, recording stops */
    unsigned  max_kbps;         /* of a stream without one, 0: no limit */
    dsn_t     dsn;
} config_t;

/* Of a disk of so many bytes. */
uint64_t config_share(const config_share_t *share, uint64_t disk);

bool config_load(config_t *config, char *error, size_t error_size);

#endif
