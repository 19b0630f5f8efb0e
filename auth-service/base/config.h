#ifndef DUOLU_CONFIG_H
#define DUOLU_CONFIG_H

#include "dsn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PATH_SIZE  1024
#define CONFIG_EDGES_MAX  16
#define CONFIG_EDGE_SIZE  256

/* Bytes, or a part of the disk; both 0: no limit. */
typedef struct {
    uint64_t  bytes;
    unsigned  percent;
} config_share_t;

/* The settings in the environment. duolu-auth, duoluctl and duolu-thumb read the same ones. */
typedef struct {
    char      home[CONFIG_PATH_SIZE];
    char      sql[CONFIG_PATH_SIZE];
    char      token_keys[CONFIG_PATH_SIZE + 32];
    char      gate_socket[CONFIG_PATH_SIZE + 32];
    char      api_socket[CONFIG_PATH_SIZE + 32];
    char      control_socket[CONFIG_PATH_SIZE + 32];
    char      thumb_socket[CONFIG_PATH_SIZE + 32];
    char      edges[CONFIG_EDGES_MAX][CONFIG_EDGE_SIZE];    /* their control sockets */
    unsigned  edge_count;
    char      rec[CONFIG_PATH_SIZE + 32];       /* the folder of recordings, absolute */
    char      ffmpeg[CONFIG_PATH_SIZE];         /* duolu-thumb runs it */
    char      host[256];        /* for the URLs that are printed */
    bool      host_named;       /* the operator set it; otherwise we guessed */
    unsigned  http_port;
    unsigned  https_port;
    unsigned  rtmp_port;
    unsigned  rtmps_port;
    unsigned  gate_threads;
    unsigned  api_threads;
    unsigned  thumb_threads;    /* pictures made at once for a user */
    unsigned  audit_days;       /* days and rows, 0: no limit */
    unsigned  audit_rows;
    unsigned  rec_days;         /* days and bytes of recordings, 0: no limit */
    uint64_t  rec_total;
    config_share_t  rec_free;   /* of their disk that must stay free */
    config_share_t  rec_quota;  /* for owners without a rec_quota; recording stops there */
    unsigned  max_kbps;         /* for streams without one, 0: no limit */
    dsn_t     dsn;
} config_t;

/* The share in bytes, on a disk of this size. */
uint64_t config_share(const config_share_t *share, uint64_t disk);

bool config_load(config_t *config, char *error, size_t error_size);

#endif
