/* Shows envelopes to the device's code in C, one step of a vector a line, and prints what it makes of
 * each: the name of the result, and the payload in hexadecimal where it is `ok`.
 *
 *     new KEY_ID TOPIC_KEY FILTER...       a verifier that has seen nothing
 *     open TOPIC SENDER NOW MAX_AGE MAX_SKEW any|encrypted ENVELOPE
 *     seal TOPIC SENDER STREAM SEQ TIME PAYLOAD
 *
 * `-` stands for no sender, no limit of age, and no bytes. */
#define _POSIX_C_SOURCE 200809L
#include "bmq_envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 16

static bmq_key key;
static bmq_opener opener;
static const char *topics[MOST_WORDS];
static char ring[4096];

static uint8_t *bytes(const char *text, size_t *length) {
    *length = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    uint8_t *made = malloc(*length + 1);
    if (made == NULL) abort();
    for (size_t at = 0; at < *length; at++) {
        if (sscanf(text + 2 * at, "%2hhx", &made[at]) != 1) abort();
    }
    /* Exactly as long as it is, so that a byte read beyond it is found out. */
    uint8_t *exact = malloc(*length);
    if (exact == NULL && *length > 0) abort();
    if (*length > 0) memcpy(exact, made, *length);
    free(made);
    return exact;
}

static void print(bmq_result result, const uint8_t *payload, size_t length) {
    printf("%s ", bmq_name(result));
    for (size_t at = 0; result == BMQ_OK && at < length; at++) printf("%02x", payload[at]);
    printf("\n");
}

static void begin(char **words, size_t count) {
    size_t size, at = 0;
    uint8_t *id = bytes(words[1], &size), *topic_key = bytes(words[2], &size);
    for (size_t word = 3; word < count; word++) {
        topics[word - 3] = ring + at;
        at += strlen(strcpy(ring + at, words[word])) + 1;
    }
    if (bmq_key_init(&key, id, topic_key, topics, count - 3) != BMQ_OK) abort();
    bmq_opener_free(&opener);
    if (bmq_opener_init(&opener, &key, 1) != BMQ_OK) abort();
    free(id);
    free(topic_key);
    printf("new\n");
}

static void open_one(char **words) {
    bmq_check check = {
        .topic = words[1],
        .sender = strcmp(words[2], "-") == 0 ? NULL : words[2],
        .now_ms = strtoull(words[3], NULL, 10),
        .max_age_ms = strcmp(words[4], "-") == 0 ? BMQ_ANY_AGE : strtoull(words[4], NULL, 10),
        .max_skew_ms = strtoull(words[5], NULL, 10),
        .takes_plaintext = strcmp(words[6], "any") == 0,
    };
    size_t length, opened = 0;
    uint8_t *envelope = bytes(words[7], &length), *payload = malloc(length + 1);
    bmq_result result = bmq_open(&opener, &check, envelope, length, payload, length, &opened);
    print(result, payload, opened);
    free(envelope);
    free(payload);
}

static void seal_one(char **words) {
    size_t size, length, sealed = 0;
    uint8_t *stream = bytes(words[3], &size), *payload = bytes(words[6], &length);
    uint8_t *out = malloc(length + BMQ_OVERHEAD);
    bmq_sealer sealer;
    if (out == NULL || bmq_sealer_init(&sealer, &key, words[2], stream) != BMQ_OK) abort();
    sealer.next_seq = strtoull(words[4], NULL, 10);
    bmq_result result = bmq_seal(&sealer, words[1], strtoull(words[5], NULL, 10), payload, length,
                                 out, length + BMQ_OVERHEAD, &sealed);
    print(result, out, sealed);
    bmq_sealer_free(&sealer);
    free(stream);
    free(payload);
    free(out);
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    if (bmq_opener_init(&opener, &key, 0) != BMQ_OK) return 1;
    while (getline(&line, &size, stdin) > 0) {
        char *words[MOST_WORDS], *rest = NULL;
        size_t count = 0;
        for (char *word = strtok_r(line, "\t\n", &rest); word != NULL && count < MOST_WORDS;
             word = strtok_r(NULL, "\t\n", &rest)) {
            words[count++] = word;
        }
        if (count > 2 && strcmp(words[0], "new") == 0) begin(words, count);
        else if (count == 8 && strcmp(words[0], "open") == 0) open_one(words);
        else if (count == 7 && strcmp(words[0], "seal") == 0) seal_one(words);
        else return 1;
    }
    bmq_opener_free(&opener);
    free(line);
    return 0;
}
