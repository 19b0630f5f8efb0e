/*
 * A stream in a real zone, whose publisher appends in simulated time, and the store of
 * HLS that reads it; another worker, whose store begins when the test says so.
 */

#ifndef DUOLU_UNIT_HLS_STORE_RIG_H
#define DUOLU_UNIT_HLS_STORE_RIG_H

#include "hub_rig.h"
#include "../../modules/http/hls_store.h"

#include <ngx_event.h>

#define RATE      44100
#define PICTURE   40                 /* ms */
#define NAME      ((const u_char *) "live/a")
#define NAME_LEN  6
#define AVC_720P  "014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001" \
                  "000568ebe3cb20"

extern hub_t            *h;
extern hub_stream_t     *s;
extern rig_publisher_t   p;
extern ngx_event_t      *timer;      /* the store's */

/* Begins and ends a test. */
int begin(void **state);
int finish(void **state);

#define store_test(name)  cmocka_unit_test_setup_teardown(name, begin, finish)

/* Sets the clock to timestamp TS of the publisher. */
void at(int64_t ts);

/* Sends the headers of sound, and of pictures: AVC is a record in hexadecimal. */
void configure(const char *avc);

/* Appends a frame at timestamp TS, of SIZE bytes at BODY. */
void append(uint8_t type, int key, int32_t cts, int64_t ts, u_char *body, size_t size);
void sound(int64_t ts);

/* Appends the frames of [FROM, TO), with a key frame every GOP ms. */
void publish(int64_t from, int64_t to, int64_t gop);

void end_stream(void);

hls_stream_t *opened(void);

/* A list's segments and parts. */
typedef struct {
    uint64_t  first, end;
    uint64_t  hash[HUB_SEGMENTS];    /* of a segment: its parts, and their bytes */
    uint64_t  frames;
} list_t;

void read_list(list_t *list);
uint64_t hash_segment(hls_stream_t *st, uint64_t number, uint64_t *frames);

/* Forks another worker, which has no store yet; compare_other() has it begin, and checks
 * that both have the same list and bytes. */
void fork_other(void);
void compare_other(void);

/* Checks that the parts of all listed segments continue one another.  Returns the
 * number of their frames. */
uint64_t check_times(hls_stream_t *st);

#endif
