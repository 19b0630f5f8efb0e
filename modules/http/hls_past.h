/*
 * Reads from the indexes of a stream's recordings which of its live segments they have
 * (hls.md, "Reaching back").
 *
 * Pool thread; nothing here touches nginx's pools, the request or the hub.
 */

#ifndef DUOLU_HTTP_HLS_PAST_H
#define DUOLU_HTTP_HLS_PAST_H

#include "history_find.h"
#include "hls.h"

#define HLS_PAST_ROWS  8192            /* at most */
#define HLS_PAST_MS    (4 * 3600 * 1000)

/* Where the next read goes on: the end of the newest index. */
typedef struct {
    int64_t   file;                    /* its utc; 0: all indexes are to be read */
    uint64_t  offset;                  /* 0: nothing of it was read */
    uint32_t  init_size;
    unsigned  ended:1;                 /* its file has ended: the next one is to be read */
} hls_past_end_t;

/* The caller zeroes it, locates `history` and sets its `now`, and sets what goes in. */
typedef struct {
    history_t       history;
    uint64_t        session;           /* in: utc ms, the stream's start */
    int64_t         oldest;            /* in: utc of the file of the oldest row, 0: none */
    hls_past_end_t  end;               /* in and out */
    hls_past_t      past;              /* out: of consecutive numbers, the newest ones */
    unsigned        whole:1;           /* out: `past` is all; else it goes on from what was
                                          read before */
} hls_past_read_t;

/* Reads what is new; or all, if the oldest file was deleted: as many rows as HLS_PAST_MS or
 * HLS_PAST_ROWS allow.  The status of `history` tells of failures. */
void hls_past_read(hls_past_read_t *q);

/* Adds the row of segment NUMBER.  If it does not follow the last one, those that do not
 * lead to it are dropped, as are old ones beyond HLS_PAST_ROWS, now and then.  Returns 0;
 * -1: no memory.  The rows are for free(). */
int hls_past_add(hls_past_t *past, uint64_t number, const hls_row_t *row);

/* Finds in the recordings of SESSION that lists may name now the row of segment NUMBER,
 * or of one with the headers NUMBER if HEADERS.  Returns 1; 0: there is none, or H's status
 * tells why. */
int hls_past_find(history_t *h, uint64_t session, uint64_t number, int headers,
    hls_row_t *row);

#endif
