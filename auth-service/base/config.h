#ifndef DUOLU_CONFIG_H
#define DUOLU_CONFIG_H

#include "dsn.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PATH_SIZE  1024
#define CONFIG_EDGES_MAX  16
#define CONFIG_EDGE_SIZE  256

/* The settings in the environment. duolu-auth, duoluctl and duolu-thumb read the same ones. */
typedef struct {
    char      home[CONFIG_PATH_SIZE];
    char      sql[CONFIG_PATH_SIZE];
    char      token_keys[CONFIG_PATH_SIZE + 32];
    char      gate_socket[CONFIG_PATH_SIZE + 32];
    char      api_socket[CONFIG_PATH_SIZE + 32];
    char      control_socket[CONFIG_PATH_SIZE + 32];
    char      thumb_socket[CONFIG_PATH_SIZE + 32];
    char      thumb_kept[CONFIG_PATH_SIZE + 32];    /* folder of streams' last pictures */
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
    settings_t  defaults;       /* of settings that have no row */
    dsn_t     dsn;
} config_t;

bool config_load(config_t *config, char *error, size_t error_size);

#endif
