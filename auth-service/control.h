#ifndef DUOLU_CONTROL_H
#define DUOLU_CONTROL_H

#include <jansson.h>
#include <stddef.h>

/*
 * What nginx tells on its private control socket. NULL when nginx does not
 * answer within a second, and then error says why.
 */
json_t *control_status(const char *socket_path, char *error, size_t error_size);

#endif
