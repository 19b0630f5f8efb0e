/* Parses the URLs that viewers play. */

#include "viewer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static void
target_parse(target_t *t, char *url)
{
    char        *rest = strstr(url, "://"), *port;
    size_t       i, n;
    const char  *error = "http|https|ws|wss|rtmp|hls|hlss|llhls|llhlss://IPV4:PORT/PATH";

    static const struct { const char *scheme; const protocol_t *protocol; int tls; }
    all[] = {
        { "http", &protocol_flv, 0 }, { "https", &protocol_flv, 1 },
        { "ws", &protocol_ws, 0 }, { "wss", &protocol_ws, 1 },
        { "rtmp", &protocol_rtmp, 0 },
        { "hls", &protocol_hls, 0 }, { "hlss", &protocol_hls, 1 },
        { "llhls", &protocol_llhls, 0 }, { "llhlss", &protocol_llhls, 1 },
    };

    if (rest == NULL || strchr(rest + 3, '/') == NULL) {
        bench_fail("address", url, error);
    }

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        n = strlen(all[i].scheme);
        if ((size_t) (rest - url) == n && memcmp(url, all[i].scheme, n) == 0) {
            t->protocol = all[i].protocol;
            t->tls = all[i].tls;
        }
    }

    t->path = strdup(strchr(rest + 3, '/'));
    t->host = strndup(rest + 3, strcspn(rest + 3, "/"));
    port = strchr(t->host, ':');
    t->address.sin_family = AF_INET;

    if (t->protocol == NULL || port == NULL) {
        bench_fail("address", url, error);
    }

    *port = '\0';
    if (inet_pton(AF_INET, t->host, &t->address.sin_addr) != 1) {
        bench_fail("host", t->host, "an IPv4 address");
    }
    *port = ':';
    t->address.sin_port = htons((uint16_t) bench_number("port", port + 1, 1,
                                                        65535));

    t->app = strdup(t->path + 1);
    t->name = strchr(t->app, '/');
    if (t->name) {
        *t->name++ = '\0';
    } else if (t->protocol == &protocol_rtmp) {
        bench_fail("address", url, "an application and a stream");
    }
}


target_t *
targets_read(const char *path, int *count)
{
    int        n = 0;
    char       line[2048];
    FILE      *file = fopen(path, "r");
    target_t  *targets = NULL;

    if (file == NULL) {
        bench_fail("file", path, "to be readable");
    }

    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\r\n")] = '\0';
        targets = realloc(targets, ((size_t) n + 1) * sizeof(target_t));
        if (targets == NULL) {
            bench_fail("memory", "for addresses", "enough");
        }
        memset(&targets[n], 0, sizeof(target_t));
        target_parse(&targets[n++], line);
    }

    fclose(file);

    if (n == 0) {
        bench_fail("file", path, "an address in it");
    }

    *count = n;
    return targets;
}
