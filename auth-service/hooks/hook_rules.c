#include "hook_rules.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define HOOK_FIRST_S       10
#define HOOK_LONGEST_S     3600
#define HOOK_LIFE_S        (24 * 3600)
#define HOOK_SECRET_BYTES  24

const char *const  hook_events[HOOK_EVENTS] = {
    HOOK_PUBLISHED, HOOK_ENDED, HOOK_GAP, HOOK_RECORDED, HOOK_DISK, HOOK_LOGIN, HOOK_OFFLINE
};


static bool hook_word_known(const char *word, size_t length)
{
    size_t  i;

    for (i = 0; i < HOOK_EVENTS; i++) {
        if (strlen(hook_events[i]) == length && memcmp(hook_events[i], word, length) == 0) {
            return true;
        }
    }

    return false;
}


bool hook_event_known(const char *event)
{
    return hook_word_known(event, strlen(event));
}


bool hook_events_valid(const char *events)
{
    size_t  length;

    if (strlen(events) >= WEBHOOK_EVENTS_SIZE) {
        return false;
    }

    for (;;) {
        length = strcspn(events, ",");
        if (!hook_word_known(events, length)) {
            return false;
        }
        if (events[length] == '\0') {
            return true;
        }
        events += length + 1;
    }
}


/* Is this part of the address present? */
static bool hook_url_has(CURLU *url, CURLUPart part)
{
    char  *text = NULL;
    bool   has = curl_url_get(url, part, &text, 0) == CURLUE_OK && text != NULL;

    curl_free(text);
    return has;
}


bool hook_url_valid(const char *url)
{
    bool         valid;
    CURLU       *parts;
    const char  *p;

    if (strlen(url) > WEBHOOK_URL_MAX
        || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
    {
        return false;
    }

    for (p = url; *p; p++) {
        if ((unsigned char) *p <= 0x20 || (unsigned char) *p >= 0x7f || *p == '"'
            || *p == '\\' || *p == '<' || *p == '>')
        {
            return false;
        }
    }

    parts = curl_url();
    valid = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK
            && hook_url_has(parts, CURLUPART_HOST) && !hook_url_has(parts, CURLUPART_USER)
            && !hook_url_has(parts, CURLUPART_PASSWORD)
            && !hook_url_has(parts, CURLUPART_FRAGMENT);
    curl_url_cleanup(parts);
    return valid;
}


void hook_form_default(hook_form_t *form)
{
    size_t  i;

    if (form->set.events == NULL) {
        form->events[0] = '\0';
        for (i = 0; i < HOOK_EVENTS; i++) {
            strcat(strcat(form->events, i ? "," : ""), hook_events[i]);
        }
        form->set.events = form->events;
    }
    if (form->set.enabled == NULL) {
        form->enabled = 1;
        form->set.enabled = &form->enabled;
    }
    if (form->set.offline_minutes == NULL) {
        form->offline_minutes = HOOK_OFFLINE_DEFAULT;
        form->set.offline_minutes = &form->offline_minutes;
    }
}


void hook_secret(char secret[SECRET_SIZE])
{
    password_random(secret, SECRET_SIZE, HOOK_SECRET_BYTES);
}


const char *hook_name(uint64_t id, const char *url, char out[HOOK_NAME_SIZE])
{
    CURLU  *parts = curl_url();
    char   *host = NULL;

    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) {
        curl_url_get(parts, CURLUPART_HOST, &host, 0);
    }

    snprintf(out, HOOK_NAME_SIZE, "%" PRIu64 " %.255s", id, host ? host : "?");
    curl_free(host);
    curl_url_cleanup(parts);
    return out;
}


static bool hook_ipv4_private(uint32_t address)
{
    return address >> 24 == 127 || address >> 24 == 10 || address >> 20 == 0xac1
           || address >> 16 == 0xc0a8 || address >> 22 == 0x191;       /* 100.64.0.0/10 */
}


static bool hook_ipv6_private(const struct in6_addr *address)
{
    const unsigned char  *bytes = address->s6_addr;

    if (IN6_IS_ADDR_V4MAPPED(address)) {
        return hook_ipv4_private((uint32_t) bytes[12] << 24 | (uint32_t) bytes[13] << 16
                                 | (uint32_t) bytes[14] << 8 | bytes[15]);
    }

    return IN6_IS_ADDR_LOOPBACK(address) || (bytes[0] & 0xfe) == 0xfc;
}


bool hook_address_private(const char *address)
{
    struct in_addr   four;
    struct in6_addr  six;

    if (inet_pton(AF_INET, address, &four) == 1) {
        return hook_ipv4_private(ntohl(four.s_addr));
    }

    return inet_pton(AF_INET6, address, &six) == 1 && hook_ipv6_private(&six);
}


void hook_sign(char out[HOOK_SIGNATURE_SIZE], const char *secret, int64_t now, const char *body)
{
    int                               length;
    char                              time_text[24], hex[2 * crypto_auth_hmacsha256_BYTES + 1];
    unsigned char                     mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state      state;

    length = snprintf(time_text, sizeof(time_text), "%" PRId64, now);

    crypto_auth_hmacsha256_init(&state, (const unsigned char *) secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *) time_text, (size_t) length);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *) ".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *) body, strlen(body));
    crypto_auth_hmacsha256_final(&state, mac);

    sodium_bin2hex(hex, sizeof(hex), mac, sizeof(mac));
    snprintf(out, HOOK_SIGNATURE_SIZE, "t=%s,v1=%s", time_text, hex);
}


unsigned hook_pause(unsigned tries, uint64_t age_s)
{
    unsigned  pause = HOOK_FIRST_S;

    if (age_s >= HOOK_LIFE_S) {
        return 0;
    }

    while (tries-- > 0 && pause < HOOK_LONGEST_S) {
        pause *= 2;
    }

    return pause < HOOK_LONGEST_S ? pause : HOOK_LONGEST_S;
}
