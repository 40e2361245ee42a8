/* Seals and opens BastionMQ envelopes on a small device, with Mbed TLS 2.28 or 3.
 *
 * Every buffer is bounded and is the caller's. Memory is asked for when a sealer is made and when a
 * stream is heard of for the first time, by Mbed TLS alone, and never while messages pass. */
#ifndef BMQ_ENVELOPE_H
#define BMQ_ENVELOPE_H

#include <mbedtls/gcm.h>
#include <mbedtls/md.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BMQ_KEY_ID_BYTES 8
#define BMQ_KEY_BYTES 32
#define BMQ_STREAM_BYTES 16
#define BMQ_TAG_BYTES 32
#define BMQ_MOST_SENDER_BYTES 128
/* What an envelope adds to a payload, at most, without optional fields. */
#define BMQ_OVERHEAD 245

/* Bounds of this device's own: raise them where there is room. */
#define BMQ_MOST_TOPIC_BYTES 256
#define BMQ_MOST_HEAD_BYTES 768 /* all that stands before the payload */
#ifndef BMQ_MOST_STREAMS
#define BMQ_MOST_STREAMS 4 /* senders that are heard at a time; some 800 bytes for each */
#endif

#define BMQ_ANY_AGE UINT64_MAX

typedef enum {
    BMQ_OK,
    BMQ_MALFORMED,
    BMQ_UNKNOWN_KEY,
    BMQ_WRONG_TOPIC,
    BMQ_SENDER_MISMATCH,
    BMQ_BAD_TAG,
    BMQ_NOT_ENCRYPTED,
    BMQ_EXPIRED,
    BMQ_FROM_FUTURE,
    BMQ_REPLAYED, /* also what others call stream_reused: the bitmap is all that is kept */
    BMQ_TOO_MANY_STREAMS,
    BMQ_DECRYPT_FAILED,
    BMQ_TOO_LARGE, /* for the bounds above, or for the caller's buffer */
    BMQ_INTERNAL,  /* Mbed TLS has no memory, or was built without what is needed */
} bmq_result;

/* The name of a result, as the page of the format has it. */
const char *bmq_name(bmq_result result);

/* A topic key, and the topic filters that it is meant for. */
typedef struct {
    uint8_t id[BMQ_KEY_ID_BYTES];
    uint8_t enc_root[BMQ_KEY_BYTES];
    uint8_t mac_root[BMQ_KEY_BYTES];
    const char *const *topics;
    size_t topic_count;
} bmq_key;

/* `topics` has to live as long as the key. */
bmq_result bmq_key_init(bmq_key *key, const uint8_t id[BMQ_KEY_ID_BYTES],
                        const uint8_t topic_key[BMQ_KEY_BYTES], const char *const *topics,
                        size_t topic_count);

/* One sender's stream. Draw `stream` anew whenever the device starts. */
typedef struct {
    const bmq_key *key;
    const char *sender;
    uint8_t stream[BMQ_STREAM_BYTES];
    uint8_t mac_key[BMQ_KEY_BYTES];
    uint64_t next_seq;
    mbedtls_gcm_context gcm;
    mbedtls_md_context_t hmac;
    uint8_t aad[6 + BMQ_MOST_TOPIC_BYTES + BMQ_MOST_HEAD_BYTES];
} bmq_sealer;

/* `key` and `sender` have to live as long as the sealer. To be freed whatever the result is. */
bmq_result bmq_sealer_init(bmq_sealer *sealer, const bmq_key *key, const char *sender,
                           const uint8_t stream[BMQ_STREAM_BYTES]);
void bmq_sealer_free(bmq_sealer *sealer);

/* Seals a payload of up to 65,518 bytes into `out`. */
bmq_result bmq_seal(bmq_sealer *sealer, const char *topic, uint64_t time_ms, const uint8_t *payload,
                    size_t length, uint8_t *out, size_t out_size, size_t *out_length);

/* Which sequence numbers of a stream have been accepted (RFC 6479). */
typedef struct {
    uint64_t newest;
    uint64_t seen[17];
} bmq_window;

/* What is kept of a stream that others send. */
typedef struct {
    const bmq_key *key; /* NULL where the place is free */
    uint8_t sender[BMQ_MOST_SENDER_BYTES];
    size_t sender_length;
    uint8_t stream[BMQ_STREAM_BYTES];
    uint8_t mac_key[BMQ_KEY_BYTES];
    mbedtls_gcm_context gcm;
    bmq_window window;
    uint64_t newest_ms;      /* the newest TIME that was accepted */
    uint64_t fresh_until_ms; /* later the clock refuses all that was accepted */
} bmq_stream;

typedef struct {
    const bmq_key *keys;
    size_t key_count;
    bmq_stream streams[BMQ_MOST_STREAMS];
    uint64_t floor_ms; /* the newest TIME of all that was forgotten */
    mbedtls_md_context_t hmac;
    uint8_t aad[6 + BMQ_MOST_TOPIC_BYTES + BMQ_MOST_HEAD_BYTES];
} bmq_opener;

/* `keys` has to live as long as the opener: the one in use, and while keys are rolled the next one
 * too. To be freed whatever the result is. */
bmq_result bmq_opener_init(bmq_opener *opener, const bmq_key *keys, size_t key_count);
void bmq_opener_free(bmq_opener *opener);

/* What an envelope is judged by. */
typedef struct {
    const char *topic;
    const char *sender; /* whom alone to listen to; NULL: anybody who has the key */
    uint64_t now_ms;
    uint64_t max_age_ms; /* 300,000 as a rule; BMQ_ANY_AGE: TIME is not looked at */
    uint64_t max_skew_ms;
    bool takes_plaintext; /* suite 2 as well: a broker with the verify-only key could have made it */
} bmq_check;

/* Opens an envelope: its payload goes to `out`. */
bmq_result bmq_open(bmq_opener *opener, const bmq_check *check, const uint8_t *envelope,
                    size_t length, uint8_t *out, size_t out_size, size_t *out_length);

#endif
