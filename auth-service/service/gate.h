#ifndef DUOLU_GATE_H
#define DUOLU_GATE_H

#include "../base/config.h"
#include "../base/fastcgi.h"
#include "../base/token.h"
#include "../limits/denials.h"
#include "../limits/refusals.h"

/* All threads that answer nginx share this. */
typedef struct {
    const config_t      *config;
    const token_keys_t  *keys;
    refusals_t          *refusals;
    denials_t           *denials;
} gate_service_t;

/* Answers one question of nginx; a fastcgi_work_t calls it. */
void gate_handle(FCGX_Request *request, void *store, void *service);

#endif
