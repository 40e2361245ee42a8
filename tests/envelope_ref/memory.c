/* Seals and opens a thousand messages, and counts how often memory was asked for meanwhile, by whomever. */
#include "bmq_envelope.h"

#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

static unsigned long asked;

void *malloc(size_t size) {
    asked++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    asked++;
    return __libc_calloc(count, size);
}

static bmq_sealer sealer;
static bmq_opener opener;

static bool pass_on(uint64_t now_ms) {
    static const uint8_t payload[64] = "pressed";
    uint8_t envelope[sizeof payload + BMQ_OVERHEAD], opened[sizeof envelope];
    size_t sealed, length;
    bmq_check check = {.topic = "plant/press", .now_ms = now_ms, .max_age_ms = 300000, .max_skew_ms = 60000};
    return bmq_seal(&sealer, "plant/press", now_ms, payload, sizeof payload, envelope,
                    sizeof envelope, &sealed) == BMQ_OK &&
           bmq_open(&opener, &check, envelope, sealed, opened, sizeof opened, &length) == BMQ_OK &&
           length == sizeof payload;
}

int main(void) {
    static const uint8_t bytes[BMQ_KEY_BYTES] = {1, 2, 3};
    static const char *const topics[] = {"plant/#"};
    bmq_key key;
    bool fine = bmq_key_init(&key, bytes, bytes, topics, 1) == BMQ_OK &&
                bmq_sealer_init(&sealer, &key, "press-7", bytes) == BMQ_OK &&
                bmq_opener_init(&opener, &key, 1) == BMQ_OK && pass_on(1000000);
    unsigned long before = asked;
    for (uint64_t number = 0; fine && number < 1000; number++) fine = pass_on(1000000 + number);
    unsigned long meanwhile = asked - before;
    printf("%s, %lu before, %lu meanwhile\n", fine ? "fine" : "failed", before, meanwhile);
    return fine && before > 0 && meanwhile == 0 ? 0 : 1;
}
