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
    };

    return cmocka_run_group_tests_name("hub: window, blocks, revocations",
                                       tests, NULL, NULL);
}
