#include "flv_tag.h"


static uint8_t *
put_be(uint8_t *p, uint32_t value, unsigned bytes)
{
    while (bytes--) {
        *p++ = (uint8_t) (value >> 8 * bytes);
    }

    return p;
}


static uint32_t
get_be(const uint8_t *p, unsigned bytes)
{
    uint32_t  value = 0;

    while (bytes--) {
        value = value << 8 | *p++;
    }

    return value;
}


size_t
flv_write_tag_header(uint8_t out[FLV_TAG_HEADER_SIZE], uint8_t type,
    size_t size, uint32_t timestamp)
{
    uint8_t  *p = out;

    *p++ = type;
    p = put_be(p, (uint32_t) size, 3);
    p = put_be(p, timestamp, 3);
    p = put_be(p, timestamp >> 24, 1);          /* TimestampExtended */
    (void) put_be(p, 0, 3);                     /* StreamID */

    return FLV_TAG_HEADER_SIZE;
}


int
flv_read_tag_header(const uint8_t head[FLV_TAG_HEADER_SIZE], flv_tag_t *tag)
{
    tag->type = head[0];
    tag->size = get_be(head + 1, 3);
    tag->time = get_be(head + 4, 3) | (uint32_t) head[7] << 24;

    return (tag->type == FLV_AUDIO || tag->type == FLV_VIDEO
            || tag->type == FLV_SCRIPT) && get_be(head + 8, 3) == 0 ? 0 : -1;
}


size_t
flv_write_back(uint8_t out[FLV_BACK_SIZE], size_t size)
{
    (void) put_be(out, (uint32_t) (size + FLV_TAG_HEADER_SIZE), FLV_BACK_SIZE);

    return FLV_BACK_SIZE;
}


int32_t
flv_read_back(const uint8_t back[FLV_BACK_SIZE])
{
    uint32_t  size = get_be(back, FLV_BACK_SIZE);

    return size < FLV_TAG_HEADER_SIZE
           || size > FLV_TAG_HEADER_SIZE + FLV_MAX_BODY
           ? -1 : (int32_t) (size - FLV_TAG_HEADER_SIZE);
}
