#include "dsn.h"
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DSN_SCHEME    "mysql://"
#define DSN_EXPECTED  "expected mysql://USER[:PASS]@HOST[:PORT]/DB[?ca=FILE] " \
                      "or mysql://USER@localhost/DB?socket=/PATH"


static bool dsn_fail(char *error, size_t size, const char *problem)
{
    /* leave the text out of the message: it may hold a password */
    snprintf(error, size, "DUOLU_DB: %s; " DSN_EXPECTED, problem);
    return false;
}


static bool dsn_part(char *out, size_t size, const char *from, size_t length)
{
    if (length >= size) {
        return false;
    }

    memcpy(out, from, length);
    out[length] = '\0';
    return name_percent_decode(out);
}


static bool dsn_port(const char *text, size_t length, unsigned *port)
{
    unsigned  value = 0;

    if (length == 0 || length > 5) {
        return false;
    }

    for (; length > 0; length--, text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        value = value * 10 + (unsigned) (*text - '0');
    }

    *port = value;
    return value >= 1 && value <= 65535;
}


static bool dsn_options(const char *query, dsn_t *dsn, char *error, size_t size)
{
    const char  *p, *end;

    for (p = query; *p; p = *end ? end + 1 : end) {
        end = p + strcspn(p, "&");
        if (strncmp(p, "socket=", 7) != 0 && strncmp(p, "ca=", 3) != 0) {
            return dsn_fail(error, size, "has an unknown option after '?'");
        }
    }

    if (query_value(query, "socket", dsn->socket, sizeof(dsn->socket)) == QUERY_BAD) {
        return dsn_fail(error, size, "has a socket path that is longer than 107 bytes");
    }
    if (query_value(query, "ca", dsn->ca, sizeof(dsn->ca)) == QUERY_BAD) {
        return dsn_fail(error, size, "has a ca path that is longer than 255 bytes");
    }
    if (dsn->socket[0] != '\0' && dsn->socket[0] != '/') {
        return dsn_fail(error, size, "has a socket path that is not absolute");
    }

    return true;
}


bool dsn_parse(const char *text, dsn_t *dsn, char *error, size_t error_size)
{
    const char  *at, *slash, *question, *colon, *host;
    size_t       host_length;

    memset(dsn, 0, sizeof(*dsn));
    dsn->port = 3306;

    if (strncmp(text, DSN_SCHEME, strlen(DSN_SCHEME)) != 0) {
        return dsn_fail(error, error_size, "does not start with mysql://");
    }
    text += strlen(DSN_SCHEME);

    slash = text + strcspn(text, "/?");
    if (*slash != '/') {
        return dsn_fail(error, error_size, "names no database");
    }
    question = slash + strcspn(slash, "?");

    /* the last @ before the slash, since a password may hold one */
    for (at = slash; at > text && at[-1] != '@'; at--) { /* void */ }
    if (at == text) {
        return dsn_fail(error, error_size, "names no user");
    }
    host = at;
    at--;

    colon = memchr(text, ':', (size_t) (at - text));
    if (colon && !dsn_part(dsn->password, sizeof(dsn->password), colon + 1,
                           (size_t) (at - colon - 1)))
    {
        return dsn_fail(error, error_size, "has a password that does not decode or is "
                        "longer than 128 bytes");
    }
    if (!dsn_part(dsn->user, sizeof(dsn->user), text, (size_t) ((colon ? colon : at) - text))
        || dsn->user[0] == '\0')
    {
        return dsn_fail(error, error_size, "names no user or one longer than 80 bytes");
    }

    if (*host == '[') {
        /* an IPv6 address */
        host++;
        host_length = strcspn(host, "]/");
        if (host[host_length] != ']') {
            return dsn_fail(error, error_size, "has an address without ']'");
        }
        colon = host + host_length + 1;
    } else {
        host_length = strcspn(host, ":/");
        colon = host + host_length;
    }

    if (host_length == 0 || !dsn_part(dsn->host, sizeof(dsn->host), host, host_length)) {
        return dsn_fail(error, error_size, "names no host or one longer than 255 bytes");
    }

    if (*colon == ':') {
        if (!dsn_port(colon + 1, (size_t) (slash - colon - 1), &dsn->port)) {
            return dsn_fail(error, error_size, "has a port outside 1 to 65535");
        }
    } else if (colon != slash) {
        return dsn_fail(error, error_size, "has text between the host and its port");
    }

    if (question - slash < 2
        || !dsn_part(dsn->database, sizeof(dsn->database), slash + 1,
                     (size_t) (question - slash - 1)))
    {
        return dsn_fail(error, error_size, "names no database or one longer than 64 bytes");
    }

    return *question == '\0' || dsn_options(question + 1, dsn, error, error_size);
}


void dsn_describe(const dsn_t *dsn, char *out, size_t size)
{
    if (dsn->socket[0]) {
        snprintf(out, size, "%s@%s (database %s)", dsn->user, dsn->socket, dsn->database);
    } else {
        snprintf(out, size, "%s@%s:%u (database %s, TLS)", dsn->user, dsn->host, dsn->port,
                 dsn->database);
    }
}
