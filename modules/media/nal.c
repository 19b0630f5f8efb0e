#include "nal.h"

#include <string.h>


/* Returns the offset of the next start code of three bytes, or SIZE. */
static size_t
find_start_code(const uint8_t *data, size_t size, size_t at)
{
    for ( ; at + 3 <= size; at++) {
        if (data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1) {
            return at;
        }
    }

    return size;
}


static const uint8_t *
next_behind_start_code(nal_row_t *row, size_t *size)
{
    size_t  begin, end;

    while ((begin = find_start_code(row->data, row->size, row->at)) < row->size) {
        begin += 3;
        end = find_start_code(row->data, row->size, begin);
        row->at = end;

        while (end > begin && row->data[end - 1] == 0) {
            end--;                       /* of the next code, or trailing */
        }

        if (end > begin) {
            *size = end - begin;
            return row->data + begin;
        }
    }

    row->at = row->size;

    return NULL;
}


static const uint8_t *
next_behind_length(nal_row_t *row, size_t *size)
{
    size_t          length, left;
    unsigned        i;
    const uint8_t  *unit;

    while (row->size - row->at > row->prefix) {
        length = 0;
        for (i = 0; i < row->prefix; i++) {
            length = length << 8 | row->data[row->at++];
        }

        if (length == 0) {
            continue;
        }

        unit = row->data + row->at;
        left = row->size - row->at;
        row->cut = length > left;
        *size = row->cut ? left : length;
        row->at += *size;

        return unit;
    }

    row->at = row->size;

    return NULL;
}


const uint8_t *
nal_next(nal_row_t *row, size_t *size)
{
    row->cut = 0;

    return row->prefix == NAL_START_CODES ? next_behind_start_code(row, size)
                                          : next_behind_length(row, size);
}


int
nal_has_start_codes(const uint8_t *data, size_t size)
{
    return size > 4 && memcmp(data, "\0\0\0\1", 4) == 0;
}


size_t
nal_write_length(uint8_t *out, unsigned prefix, size_t length)
{
    unsigned  i;

    for (i = prefix; i > 0; i--) {
        *out++ = i > sizeof(length) ? 0 : (uint8_t) (length >> 8 * (i - 1));
    }

    return prefix;
}


size_t
nal_to_lengths(const uint8_t *data, size_t size, uint8_t *out, size_t max)
{
    size_t          length, used = 0;
    nal_row_t       row = { data, size, 0, NAL_START_CODES, 0 };
    const uint8_t  *unit;

    while ((unit = nal_next(&row, &length)) != NULL) {
        if (length > max - used || max - used - length < 4) {
            return 0;
        }

        used += nal_write_length(out + used, 4, length);
        memcpy(out + used, unit, length);
        used += length;
    }

    return used;
}
