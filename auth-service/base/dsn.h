#ifndef DUOLU_DSN_H
#define DUOLU_DSN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * mysql://USER[:PASS]@HOST[:PORT]/DB[?ca=FILE]     TCP, always TLS, certificate verified
 * mysql://USER[:PASS]@localhost/DB?socket=/PATH    unix socket, no TLS
 */
typedef struct {
    char      user[81];
    char      password[129];
    char      host[256];
    char      database[65];
    char      socket[108];      /* empty: TCP */
    char      ca[256];          /* empty: the system's certificates */
    unsigned  port;
} dsn_t;

/* On failure returns false; error names the wrong part and the expected form. */
bool dsn_parse(const char *text, dsn_t *dsn, char *error, size_t error_size);

/* The server's address for messages, without the password. */
void dsn_describe(const dsn_t *dsn, char *out, size_t size);

#endif
