#include "backoff.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>


void backoff_init(backoff_t *backoff, const backoff_rule_t *rule)
{
    memset(backoff, 0, sizeof(*backoff));
    pthread_mutex_init(&backoff->lock, NULL);
    randombytes_buf(backoff->hash_key, sizeof(backoff->hash_key));
    backoff->rule = *rule;
}


static uint64_t backoff_hash(const backoff_t *backoff, const char *key)
{
    uint64_t  hash;

    crypto_shorthash((unsigned char *) &hash, (const unsigned char *) key, strlen(key),
                     backoff->hash_key);
    return hash ? hash : 1;
}


static backoff_entry_t *backoff_find(backoff_t *backoff, uint64_t hash)
{
    size_t            way;
    backoff_entry_t  *set = backoff->entries[hash % BACKOFF_SETS];

    for (way = 0; way < BACKOFF_WAYS; way++) {
        if (set[way].key == hash) {
            return &set[way];
        }
    }

    return NULL;
}


/* Replaces the entry with the fewest attempts; of equals, the older one. */
static backoff_entry_t *backoff_replace(backoff_t *backoff, uint64_t hash)
{
    size_t            way;
    backoff_entry_t  *set = backoff->entries[hash % BACKOFF_SETS], *victim = &set[0];

    for (way = 0; way < BACKOFF_WAYS; way++) {
        if (set[way].key == 0) {
            victim = &set[way];
            break;
        }
        if (set[way].attempts < victim->attempts
            || (set[way].attempts == victim->attempts && set[way].last < victim->last))
        {
            victim = &set[way];
        }
    }

    memset(victim, 0, sizeof(*victim));
    victim->key = hash;
    return victim;
}


static int64_t backoff_wait(const backoff_rule_t *rule, uint32_t attempts)
{
    int64_t   wait = rule->first_ms;
    uint32_t  i;

    if (attempts < rule->free_attempts) {
        return 0;
    }

    for (i = rule->free_attempts; i < attempts && wait < rule->longest_ms; i++) {
        wait *= 2;
    }

    return wait < rule->longest_ms ? wait : rule->longest_ms;
}


int64_t backoff_peek(backoff_t *backoff, const char *key, int64_t now)
{
    int64_t           wait = 0;
    backoff_entry_t  *entry;

    pthread_mutex_lock(&backoff->lock);

    entry = backoff_find(backoff, backoff_hash(backoff, key));
    if (entry && entry->until > now) {
        wait = entry->until - now;
    }

    pthread_mutex_unlock(&backoff->lock);
    return wait;
}


int64_t backoff_attempt(backoff_t *backoff, const char *key, int64_t now)
{
    int64_t           wait = 0;
    uint64_t          hash = backoff_hash(backoff, key);
    backoff_entry_t  *entry;

    pthread_mutex_lock(&backoff->lock);

    entry = backoff_find(backoff, hash);

    if (entry && now - entry->last >= backoff->rule.forget_ms && now >= entry->until) {
        entry->attempts = 0;
        entry->until = 0;
    }

    if (entry && entry->until > now) {
        wait = entry->until - now;
    } else {
        if (entry == NULL) {
            entry = backoff_replace(backoff, hash);
        }
        if (entry->attempts < UINT32_MAX) {
            entry->attempts++;
        }
        entry->last = now;
        entry->until = now + backoff_wait(&backoff->rule, entry->attempts);
    }

    pthread_mutex_unlock(&backoff->lock);
    return wait;
}


void backoff_success(backoff_t *backoff, const char *key)
{
    backoff_entry_t  *entry;

    pthread_mutex_lock(&backoff->lock);

    entry = backoff_find(backoff, backoff_hash(backoff, key));
    if (entry) {
        memset(entry, 0, sizeof(*entry));
    }

    pthread_mutex_unlock(&backoff->lock);
}


void backoff_forgive(backoff_t *backoff, const char *key)
{
    backoff_entry_t  *entry;

    pthread_mutex_lock(&backoff->lock);

    entry = backoff_find(backoff, backoff_hash(backoff, key));
    if (entry && entry->attempts > 0) {
        entry->attempts--;
        entry->until = 0;       /* its wait was over when the attempt was admitted */
    }

    pthread_mutex_unlock(&backoff->lock);
}


bool backoff_network(const char *address, unsigned bits, char *out, size_t size)
{
    char             text[INET6_ADDRSTRLEN];
    unsigned         i;
    struct in6_addr  six;

    if (inet_pton(AF_INET6, address, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six)) {
        snprintf(out, size, "%s", address);
        return false;
    }

    for (i = bits / 8; i < sizeof(six.s6_addr); i++) {
        six.s6_addr[i] = 0;
    }

    inet_ntop(AF_INET6, &six, text, sizeof(text));
    snprintf(out, size, "%s/%u", text, bits);
    return true;
}
