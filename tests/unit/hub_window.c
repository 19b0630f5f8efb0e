/* A stream's window and its blocks, and the table of revocations. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hub_rig.h"

#define ZONE  (4 * 1024 * 1024)
#define FULL  (HUB_BLOCK_SIZE - FLV_TAG_OVERHEAD)    /* a tag of one block */

static hub_t            *h;
static rig_publisher_t   p;
static u_char            body[FULL];


static int
begin(void **state)
{
    h = rig_zone(ZONE);
    rig_worker(h);

    return rig_publish(h, &p, "live/a", 1) != HUB_ADMITTED;
}


static void
test_the_window_keeps_to_its_bytes(void **state)
{
    int            i;
    uint32_t       lost;
    hub_stream_t  *s = p.writer.ref.stream;

    for (i = 0; i < 100; i++) {
        assert_int_equal(rig_append(h, &p, 1, body, FULL), NGX_OK);
        assert_true(s->end - s->tail <= h->stream_max);
        assert_true(s->first_block == s->tail >> HUB_BLOCK_SHIFT);
        assert_null(rig_wrong(h, &lost));
        assert_int_equal(lost, 0);
    }
}


static void
test_an_ended_stream_gives_all_its_blocks_back(void **state)
{
    uint32_t  lost, nfree;

    assert_int_equal(rig_append(h, &p, 1, body, FULL), NGX_OK);
    assert_int_equal(rig_append(h, &p, 1, body, FULL), NGX_OK);

    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, p.writer.ref.stream);
    ngx_shmtx_unlock(&h->pool->mutex);

    nfree = h->header->nfree;
    assert_int_equal(nfree, h->header->nblocks);
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_DONE);
    hub_close(h, &p.client, &p.writer);
    assert_null(rig_wrong(h, &lost));
    assert_int_equal(lost, 0);
}


static void
test_a_revocation_ends_only_the_streams_it_covers(void **state)
{
    uint32_t          ended;
    rig_publisher_t   other;
    hub_revocation_t  r = { .at = ngx_time(), .key = 1 };

    assert_int_equal(rig_publish(h, &other, "live/b", 2), HUB_ADMITTED);
    assert_int_equal(hub_revoke(h, &r, NULL, &ended, &rig_log), NGX_OK);

    assert_int_equal(ended, 1);
    assert_null(hub_find(h, (const u_char *) "live/a", 6));
    assert_non_null(hub_find(h, (const u_char *) "live/b", 6));
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_DONE);
    assert_int_equal(rig_append(h, &other, 1, body, 100), NGX_OK);
    assert_true(hub_revoked(h, 7, 0, 1, r.at));
    assert_false(hub_revoked(h, 7, 0, 1, r.at + 1));
    assert_false(hub_revoked(h, 7, 0, 2, r.at));
}


static void
test_a_full_table_of_revocations_refuses_more_never_less(void **state)
{
    uint32_t          i, ended;
    hub_revocation_t  r = { 0 };

    for (i = 0; i < HUB_REVOCATIONS + 10; i++) {
        r.at = 1000 + i;
        r.key = 100 + i;
        assert_int_equal(hub_revoke(h, &r, NULL, &ended, &rig_log), NGX_OK);
    }

    for (i = 0; i < HUB_REVOCATIONS + 10; i++) {
        assert_true(hub_revoked(h, 7, 0, 100 + i, 1000 + i));
    }

    assert_false(hub_revoked(h, 7, 0, 99, 1000 + HUB_REVOCATIONS));
}


/* Empties the pool, or fills it again with what it had. */
static void
pool(int empty)
{
    static uint32_t  free, nfree;

    if (empty) {
        free = h->header->free;
        nfree = h->header->nfree;
        h->header->free = HUB_NO_BLOCK;
    } else {
        h->header->free = free;
        h->header->nfree = nfree;
    }
}


static ngx_int_t
configure_track(rig_publisher_t *to, enum hub_config_kind kind,
    const char *header)
{
    flv_frame_t  frame;

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.codec = kind == HUB_CONFIG_VIDEO ? FLV_CODEC_H264 : FLV_CODEC_AAC;
    frame.config = 1;

    return hub_configure(h, &to->writer, kind, &frame, (const u_char *) header,
                         ngx_strlen(header));
}


static ngx_int_t
configure(rig_publisher_t *to, const char *header)
{
    return configure_track(to, HUB_CONFIG_VIDEO, header);
}


/* Is entry I a header whose bytes are TEXT? */
static int
entry_is_header(const hub_stream_t *s, uint64_t i, const char *text)
{
    const hub_entry_t  *e = hub_entry(h, s, i);
    hub_reader_t        r = { .ref = { (hub_stream_t *) s, s->generation } };
    u_char              bytes[256];

    return i < s->head && (e->flags & HUB_CONFIG)
           && e->size == ngx_strlen(text) + FLV_TAG_OVERHEAD
           && hub_reader_copy(h, &r, e->offset, bytes, e->size) == NGX_OK
           && ngx_memcmp(bytes + FLV_TAG_HEADER_SIZE, text, ngx_strlen(text))
              == 0;
}


static void
test_a_header_without_room_comes_before_the_next_key_frame(void **state)
{
    hub_stream_t  *s = p.writer.ref.stream;

    assert_int_equal(configure(&p, "header one"), NGX_OK);
    assert_int_equal(rig_append(h, &p, 1, body, FULL - 40), NGX_OK);
    assert_int_equal(s->head, 2);

    pool(1);
    assert_int_equal(configure(&p, "header two"), NGX_DECLINED);
    assert_int_equal(configure(&p, "header two"), NGX_DECLINED);
    assert_int_equal(rig_append(h, &p, 0, body, 100), NGX_AGAIN);
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_DECLINED);
    pool(0);

    assert_int_equal(rig_append(h, &p, 0, body, 100), NGX_AGAIN);
    assert_int_equal(s->head, 2);
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_OK);
    assert_true(entry_is_header(s, 2, "header two"));
    assert_true(hub_entry(h, s, 3)->flags & HUB_KEY);

    assert_int_equal(configure(&p, "header two"), NGX_OK);    /* repeated */
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_OK);
    assert_int_equal(s->head, 5);
}


/* Nor is it lost with the publisher that had no room for it. */
static void
test_the_next_publisher_with_the_same_header_brings_it(void **state)
{
    hub_stream_t     *s = p.writer.ref.stream;
    rig_publisher_t   next;

    assert_int_equal(rig_append(h, &p, 1, body, FULL - 10), NGX_OK);
    pool(1);
    assert_int_equal(configure(&p, "header"), NGX_DECLINED);
    pool(0);
    hub_close(h, &p.client, &p.writer);

    assert_int_equal(rig_publish(h, &next, "live/a", 1), HUB_ADMITTED);
    assert_int_equal(configure(&next, "header"), NGX_OK);
    assert_true(entry_is_header(s, 1, "header"));
}


/* The next publisher has no sound.  Forgetting the header of the sound must not keep
 * viewers from the key frame that it has sent, even when it leaves. */
static void
test_a_forgotten_header_leaves_the_key_frame_joinable(void **state)
{
    hub_reader_t      reader;
    rig_publisher_t   next;

    assert_int_equal(configure_track(&p, HUB_CONFIG_AUDIO, "sound"), NGX_OK);
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_OK);
    hub_close(h, &p.client, &p.writer);

    assert_int_equal(rig_publish(h, &next, "live/a", 1), HUB_ADMITTED);
    assert_int_equal(configure(&next, "header"), NGX_OK);
    assert_int_equal(rig_append(h, &next, 1, body, 100), NGX_OK);
    next.writer.ref.stream->started_ms -= 5000;
    assert_int_equal(rig_append(h, &next, 0, body, 100), NGX_OK);
    assert_int_equal(next.writer.ref.stream->config[HUB_CONFIG_AUDIO].size, 0);
    hub_close(h, &next.client, &next.writer);

    assert_int_equal(hub_reader_open(h, (u_char *) "live/a", 6, &reader), NGX_OK);
    assert_int_equal(hub_reader_join(&reader), NGX_OK);
    assert_false(reader.blind);
    assert_int_equal(reader.index, 3);
}


static void
test_robbing_a_stream_in_grace_takes_its_index_too(void **state)
{
    int            i;
    uint32_t       lost, block;
    hub_stream_t  *s = p.writer.ref.stream;

    for (i = 0; i < 3 << HUB_INDEX_SHIFT; i++) {
        assert_int_equal(rig_append(h, &p, 1, body, 60), NGX_OK);
    }

    assert_true(s->end_block - s->first_block >= 5);
    assert_int_equal(s->end_index - s->first_index, 3);
    hub_close(h, &p.client, &p.writer);

    ngx_shmtx_lock(&h->pool->mutex);
    pool(1);

    do {
        block = hub_block_take(h);
    } while (block != HUB_NO_BLOCK);

    assert_int_equal(s->end_block - s->first_block, 1);
    assert_int_equal(s->end_index - s->first_index, 1);
    assert_true(s->first < s->head);
    assert_null(rig_wrong(h, &lost));
    pool(0);
    ngx_shmtx_unlock(&h->pool->mutex);
}


/* A large key frame is alone in the window, and the pool needs its blocks. */
static void
test_robbing_a_stream_in_grace_takes_its_last_tag_whole(void **state)
{
    static u_char  large[8 * HUB_BLOCK_SIZE];
    hub_stream_t  *s = p.writer.ref.stream;

    assert_int_equal(rig_append(h, &p, 1, large, sizeof(large)), NGX_OK);
    assert_int_equal(s->end_block - s->first_block, 9);
    hub_close(h, &p.client, &p.writer);

    ngx_shmtx_lock(&h->pool->mutex);
    pool(1);
    assert_int_not_equal(hub_block_take(h), HUB_NO_BLOCK);
    assert_int_equal(s->end_block - s->first_block, 1);
    pool(0);
    ngx_shmtx_unlock(&h->pool->mutex);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_the_window_keeps_to_its_bytes, begin),
        cmocka_unit_test_setup(test_an_ended_stream_gives_all_its_blocks_back,
                               begin),
        cmocka_unit_test_setup(test_a_revocation_ends_only_the_streams_it_covers,
                               begin),
        cmocka_unit_test_setup(
            test_a_full_table_of_revocations_refuses_more_never_less, begin),
        cmocka_unit_test_setup(
            test_a_header_without_room_comes_before_the_next_key_frame, begin),
        cmocka_unit_test_setup(
            test_the_next_publisher_with_the_same_header_brings_it, begin),
        cmocka_unit_test_setup(
            test_a_forgotten_header_leaves_the_key_frame_joinable, begin),
        cmocka_unit_test_setup(
            test_robbing_a_stream_in_grace_takes_its_index_too, begin),
        cmocka_unit_test_setup(
            test_robbing_a_stream_in_grace_takes_its_last_tag_whole, begin),
    };

    return cmocka_run_group_tests_name("hub: window, blocks, revocations",
                                       tests, NULL, NULL);
}
