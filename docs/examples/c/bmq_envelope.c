/* Sealing and opening: see bmq_envelope.h, and docs/envelope-format.md for what each step is for. */
#include "bmq_envelope.h"

#include <mbedtls/constant_time.h>
#include <mbedtls/hkdf.h>
#include <mbedtls/platform_util.h>
#include <string.h>

enum {
    SUITE = 0x01,
    KEY_ID = 0x02,
    SENDER = 0x03,
    STREAM = 0x04,
    SEQ = 0x05,
    TIME = 0x06,
    CIPHERTEXT = 0x10,
    PLAINTEXT = 0x11,
    SIGNATURE = 0x20,
    HMAC = 0x7F,
    CONTENT_TYPE = 0x80,
    TRACE = 0x81,
};

enum { AES_256_GCM = 1, HMAC_ONLY = 2 };

#define GCM_TAG_BYTES 16
#define NONCE_BYTES 12
#define EXTENDED 0xFFFF
#define WINDOW 1024
#define WINDOW_WORDS 17 /* one more than the window has: the word that is being filled */

static const uint8_t HEADER[4] = {0xBA, 0x57, 0x01, 0x00};

const char *bmq_name(bmq_result result) {
    static const char *const names[] = {
        [BMQ_OK] = "ok",
        [BMQ_MALFORMED] = "malformed",
        [BMQ_UNKNOWN_KEY] = "unknown_key",
        [BMQ_WRONG_TOPIC] = "wrong_topic",
        [BMQ_SENDER_MISMATCH] = "sender_mismatch",
        [BMQ_BAD_TAG] = "bad_tag",
        [BMQ_NOT_ENCRYPTED] = "not_encrypted",
        [BMQ_EXPIRED] = "expired",
        [BMQ_FROM_FUTURE] = "from_future",
        [BMQ_REPLAYED] = "replayed",
        [BMQ_TOO_MANY_STREAMS] = "too_many_streams",
        [BMQ_DECRYPT_FAILED] = "decrypt_failed",
        [BMQ_TOO_LARGE] = "too_large",
        [BMQ_INTERNAL] = "internal",
    };
    return names[result];
}

/* ── keys ─────────────────────────────────────────────────────────────────────────────────────── */

static bmq_result hkdf(const uint8_t key[BMQ_KEY_BYTES], const uint8_t *info, size_t info_length,
                       uint8_t out[BMQ_KEY_BYTES]) {
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    int failed = mbedtls_hkdf(sha256, NULL, 0, key, BMQ_KEY_BYTES, info, info_length, out,
                              BMQ_KEY_BYTES);
    return failed ? BMQ_INTERNAL : BMQ_OK;
}

bmq_result bmq_key_init(bmq_key *key, const uint8_t id[BMQ_KEY_ID_BYTES],
                        const uint8_t topic_key[BMQ_KEY_BYTES], const char *const *topics,
                        size_t topic_count) {
    uint8_t info[8 + BMQ_KEY_ID_BYTES];
    memcpy(key->id, id, BMQ_KEY_ID_BYTES);
    memcpy(info + 8, id, BMQ_KEY_ID_BYTES);
    key->topics = topics;
    key->topic_count = topic_count;
    memcpy(info, "bmq1 enc", 8);
    bmq_result result = hkdf(topic_key, info, sizeof info, key->enc_root);
    if (result != BMQ_OK) return result;
    memcpy(info, "bmq1 mac", 8);
    return hkdf(topic_key, info, sizeof info, key->mac_root);
}

static bmq_result stream_key(const uint8_t root[BMQ_KEY_BYTES], const uint8_t *sender,
                             size_t sender_length, const uint8_t stream[BMQ_STREAM_BYTES],
                             uint8_t out[BMQ_KEY_BYTES]) {
    uint8_t info[1 + BMQ_MOST_SENDER_BYTES + BMQ_STREAM_BYTES];
    info[0] = (uint8_t)sender_length;
    memcpy(info + 1, sender, sender_length);
    memcpy(info + 1 + sender_length, stream, BMQ_STREAM_BYTES);
    return hkdf(root, info, 1 + sender_length + BMQ_STREAM_BYTES, out);
}

static bmq_result gcm_of_stream(mbedtls_gcm_context *gcm, const bmq_key *key, const uint8_t *sender,
                                size_t sender_length, const uint8_t stream[BMQ_STREAM_BYTES]) {
    uint8_t enc_key[BMQ_KEY_BYTES];
    bmq_result result = stream_key(key->enc_root, sender, sender_length, stream, enc_key);
    if (result == BMQ_OK &&
        mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, enc_key, BMQ_KEY_BYTES * 8)) {
        result = BMQ_INTERNAL;
    }
    mbedtls_platform_zeroize(enc_key, sizeof enc_key);
    return result;
}

static bmq_result hmac_init(mbedtls_md_context_t *hmac) {
    mbedtls_md_init(hmac);
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    return mbedtls_md_setup(hmac, sha256, 1) ? BMQ_INTERNAL : BMQ_OK;
}

/* Whether a topic filter matches: `#` takes its parent too, and a wildcard in front leaves topics
 * alone that begin with `$`. */
static bool matches(const char *filter, const char *topic) {
    if (topic[0] == '$' && (filter[0] == '#' || filter[0] == '+')) return false;
    for (;;) {
        if (strcmp(filter, "#") == 0) return true;
        size_t wanted = strcspn(filter, "/"), level = strcspn(topic, "/");
        bool any = wanted == 1 && filter[0] == '+';
        if (!any && (wanted != level || memcmp(filter, topic, level) != 0)) return false;
        filter += wanted;
        topic += level;
        if (*topic == '\0') return *filter == '\0' || strcmp(filter, "/#") == 0;
        if (*filter == '\0') return false;
        filter++;
        topic++;
    }
}

static bool is_for(const bmq_key *key, const char *topic) {
    for (size_t at = 0; at < key->topic_count; at++) {
        if (matches(key->topics[at], topic)) return true;
    }
    return false;
}

/* ── bytes ────────────────────────────────────────────────────────────────────────────────────── */

static uint8_t *put_number(uint8_t *to, uint64_t value, size_t size) {
    for (size_t at = size; at-- > 0; value >>= 8) to[at] = (uint8_t)value;
    return to + size;
}

static uint64_t number(const uint8_t *from, size_t size) {
    uint64_t value = 0;
    for (size_t at = 0; at < size; at++) value = value << 8 | from[at];
    return value;
}

static uint8_t *put_bytes(uint8_t *to, const void *from, size_t length) {
    if (length > 0) memcpy(to, from, length);
    return to + length;
}

static uint8_t *put_tlv(uint8_t *to, uint8_t type, const void *value, size_t length) {
    *to++ = type;
    to = put_number(to, length, 2);
    return put_bytes(to, value, length);
}

static void nonce_of(uint64_t seq, uint8_t nonce[NONCE_BYTES]) {
    memset(nonce, 0, 4);
    put_number(nonce + 4, seq, 8);
}

/* `context`, and how long it is: "BMQ1", the topic's length, the topic. */
static size_t put_context(uint8_t *to, const char *topic) {
    size_t length = strlen(topic);
    uint8_t *end = put_bytes(to, "BMQ1", 4);
    end = put_number(end, length, 2);
    return (size_t)(put_bytes(end, topic, length) - to);
}

static bmq_result tag_of(mbedtls_md_context_t *hmac, const uint8_t mac_key[BMQ_KEY_BYTES],
                         const uint8_t *context, size_t context_length, const uint8_t *tagged,
                         size_t tagged_length, uint8_t tag[BMQ_TAG_BYTES]) {
    int failed = mbedtls_md_hmac_starts(hmac, mac_key, BMQ_KEY_BYTES) ||
                 mbedtls_md_hmac_update(hmac, context, context_length) ||
                 mbedtls_md_hmac_update(hmac, tagged, tagged_length) ||
                 mbedtls_md_hmac_finish(hmac, tag);
    return failed ? BMQ_INTERNAL : BMQ_OK;
}

/* ── sealing ──────────────────────────────────────────────────────────────────────────────────── */

bmq_result bmq_sealer_init(bmq_sealer *sealer, const bmq_key *key, const char *sender,
                           const uint8_t stream[BMQ_STREAM_BYTES]) {
    memset(sealer, 0, sizeof *sealer);
    mbedtls_gcm_init(&sealer->gcm);
    bmq_result result = hmac_init(&sealer->hmac);
    if (result != BMQ_OK) return result;
    size_t length = strlen(sender);
    if (length < 1 || length > BMQ_MOST_SENDER_BYTES) return BMQ_TOO_LARGE;
    sealer->key = key;
    sealer->sender = sender;
    sealer->next_seq = 1;
    memcpy(sealer->stream, stream, BMQ_STREAM_BYTES);
    const uint8_t *name = (const uint8_t *)sender;
    result = stream_key(key->mac_root, name, length, stream, sealer->mac_key);
    if (result != BMQ_OK) return result;
    return gcm_of_stream(&sealer->gcm, key, name, length, stream);
}

void bmq_sealer_free(bmq_sealer *sealer) {
    mbedtls_gcm_free(&sealer->gcm);
    mbedtls_md_free(&sealer->hmac);
    mbedtls_platform_zeroize(sealer, sizeof *sealer);
}

/* All that stands before the payload. */
static uint8_t *put_head(uint8_t *to, const bmq_sealer *sealer, uint64_t seq, uint64_t time_ms) {
    uint8_t suite = AES_256_GCM, numbers[16];
    put_number(put_number(numbers, seq, 8), time_ms, 8);
    to = put_bytes(to, HEADER, sizeof HEADER);
    to = put_tlv(to, SUITE, &suite, 1);
    to = put_tlv(to, KEY_ID, sealer->key->id, BMQ_KEY_ID_BYTES);
    to = put_tlv(to, SENDER, sealer->sender, strlen(sealer->sender));
    to = put_tlv(to, STREAM, sealer->stream, BMQ_STREAM_BYTES);
    to = put_tlv(to, SEQ, numbers, 8);
    return put_tlv(to, TIME, numbers + 8, 8);
}

bmq_result bmq_seal(bmq_sealer *sealer, const char *topic, uint64_t time_ms, const uint8_t *payload,
                    size_t length, uint8_t *out, size_t out_size, size_t *out_length) {
    if (strlen(topic) > BMQ_MOST_TOPIC_BYTES || length > EXTENDED - 1 - GCM_TAG_BYTES ||
        out_size < BMQ_OVERHEAD || length > out_size - BMQ_OVERHEAD) {
        return BMQ_TOO_LARGE;
    }
    if (!is_for(sealer->key, topic)) return BMQ_WRONG_TOPIC;
    /* The number is the nonce: whatever goes wrong from here on, it is not used again. */
    uint64_t seq = sealer->next_seq;
    if (seq == 0) return BMQ_INTERNAL;
    sealer->next_seq++;

    uint8_t *end = put_head(out, sealer, seq, time_ms);
    size_t head = (size_t)(end - out), context = put_context(sealer->aad, topic);
    memcpy(sealer->aad + context, out, head);

    uint8_t nonce[NONCE_BYTES];
    nonce_of(seq, nonce);
    *end++ = CIPHERTEXT;
    end = put_number(end, length + GCM_TAG_BYTES, 2);
    if (mbedtls_gcm_crypt_and_tag(&sealer->gcm, MBEDTLS_GCM_ENCRYPT, length, nonce, NONCE_BYTES,
                                  sealer->aad, context + head, payload, end, GCM_TAG_BYTES,
                                  end + length)) {
        return BMQ_INTERNAL;
    }
    end += length + GCM_TAG_BYTES;

    uint8_t tag[BMQ_TAG_BYTES];
    bmq_result result = tag_of(&sealer->hmac, sealer->mac_key, sealer->aad, context, out,
                               (size_t)(end - out), tag);
    if (result != BMQ_OK) return result;
    *out_length = (size_t)(put_tlv(end, HMAC, tag, BMQ_TAG_BYTES) - out);
    return BMQ_OK;
}

/* ── parsing ──────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    const uint8_t *at; /* NULL where the field is absent */
    size_t length;
} field;

typedef struct {
    field suite, key_id, sender, stream, seq, time, content_type, trace, ciphertext, plaintext;
    field signature, hmac;
    size_t head_length;   /* up to the body */
    size_t tagged_length; /* up to the HMAC */
} envelope_view;

/* Where a type stands among the others; 0 where it is critical and unknown. */
static unsigned rank(uint8_t type) {
    if (type == CIPHERTEXT || type == PLAINTEXT) return 0x100;
    if (type == SIGNATURE) return 0x101;
    if (type == HMAC) return 0x102;
    return type >= 0x80 || (type >= SUITE && type <= TIME) ? type : 0;
}

static field *place(envelope_view *view, uint8_t type) {
    switch (type) {
    case SUITE: return &view->suite;
    case KEY_ID: return &view->key_id;
    case SENDER: return &view->sender;
    case STREAM: return &view->stream;
    case SEQ: return &view->seq;
    case TIME: return &view->time;
    case CONTENT_TYPE: return &view->content_type;
    case TRACE: return &view->trace;
    case CIPHERTEXT: return &view->ciphertext;
    case PLAINTEXT: return &view->plaintext;
    case SIGNATURE: return &view->signature;
    case HMAC: return &view->hmac;
    default: return NULL;
    }
}

/* Reads the field at `*at`; false where it does not end within the envelope. */
static bool next_field(const uint8_t *raw, size_t length, size_t *at, uint8_t *type, field *found) {
    if (length - *at < 3) return false;
    *type = raw[*at];
    uint64_t size = number(raw + *at + 1, 2);
    *at += 3;
    if (size == EXTENDED) {
        if ((*type != CIPHERTEXT && *type != PLAINTEXT) || length - *at < 4) return false;
        size = number(raw + *at, 4);
        *at += 4;
        if (size < EXTENDED) return false;
    }
    if (size > length - *at) return false;
    *found = (field){raw + *at, (size_t)size};
    *at += (size_t)size;
    return true;
}

static bool is_printable(field text) {
    for (size_t at = 0; at < text.length; at++) {
        if (text.at[at] < ' ' || text.at[at] > '~') return false;
    }
    return true;
}

static bool is_utf8(field text) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t at = 0; at < text.length;) {
        uint8_t first = text.at[at];
        size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (size == 0 || size > text.length - at) return false;
        uint32_t character = size == 1 ? first : first & (0x7Fu >> size);
        for (size_t next = 1; next < size; next++) {
            if (text.at[at + next] >> 6 != 2) return false;
            character = character << 6 | (text.at[at + next] & 0x3Fu);
        }
        if (character < least[size] && size > 1) return false;
        if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) return false;
        at += size;
    }
    return true;
}

/* Its form is all that is checked: this device keeps no public keys of senders. */
static bool signature_is_known(field signature) {
    if (signature.at == NULL) return true;
    return signature.length == 1 + 64 && (signature.at[0] == 1 || signature.at[0] == 2);
}

static bool parse(const uint8_t *raw, size_t length, envelope_view *view) {
    memset(view, 0, sizeof *view);
    if (length < sizeof HEADER || memcmp(raw, HEADER, sizeof HEADER) != 0) return false;
    unsigned last = 0;
    for (size_t at = sizeof HEADER; at < length;) {
        size_t start = at;
        uint8_t type;
        field found;
        if (!next_field(raw, length, &at, &type, &found) || rank(type) <= last) return false;
        last = rank(type);
        field *kept = place(view, type);
        if (kept != NULL) *kept = found;
        if (type == CIPHERTEXT || type == PLAINTEXT) view->head_length = start;
        if (type == HMAC) view->tagged_length = start;
    }
    const envelope_view *v = view;
    if (v->suite.length != 1 || v->key_id.length != BMQ_KEY_ID_BYTES || v->seq.length != 8 ||
        v->stream.length != BMQ_STREAM_BYTES || v->time.length != 8 ||
        v->hmac.length != BMQ_TAG_BYTES || number(v->seq.at, 8) == 0) {
        return false;
    }
    if (v->sender.length < 1 || v->sender.length > BMQ_MOST_SENDER_BYTES) return false;
    bool encrypted = v->suite.at[0] == AES_256_GCM && v->ciphertext.length >= GCM_TAG_BYTES;
    bool plain = v->suite.at[0] == HMAC_ONLY && v->plaintext.at != NULL;
    return (encrypted || plain) && is_utf8(v->sender) && is_utf8(v->content_type) &&
           is_printable(v->trace) && signature_is_known(v->signature);
}

/* ── the replay window ────────────────────────────────────────────────────────────────────────── */

static bool is_replay(const bmq_window *window, uint64_t seq) {
    if (seq > window->newest) return false;
    if (window->newest - seq >= WINDOW) return true;
    return window->seen[seq / 64 % WINDOW_WORDS] >> seq % 64 & 1;
}

static void accept(bmq_window *window, uint64_t seq) {
    if (seq > window->newest) {
        uint64_t words = seq / 64 - window->newest / 64;
        if (words > WINDOW_WORDS) words = WINDOW_WORDS;
        for (uint64_t word = 0; word < words; word++) {
            window->seen[(seq / 64 - word) % WINDOW_WORDS] = 0;
        }
        window->newest = seq;
    }
    window->seen[seq / 64 % WINDOW_WORDS] |= UINT64_C(1) << seq % 64;
}

/* ── streams ──────────────────────────────────────────────────────────────────────────────────── */

static bmq_stream *stream_of(bmq_opener *opener, const bmq_key *key, const envelope_view *view) {
    for (size_t at = 0; at < BMQ_MOST_STREAMS; at++) {
        bmq_stream *stream = &opener->streams[at];
        if (stream->key == key && stream->sender_length == view->sender.length &&
            memcmp(stream->sender, view->sender.at, view->sender.length) == 0 &&
            memcmp(stream->stream, view->stream.at, BMQ_STREAM_BYTES) == 0) {
            return stream;
        }
    }
    return NULL;
}

/* A place that is free, or whose stream the clock has outlived. What is forgotten cannot come again,
 * even where the clock is set back: an unknown stream has to be newer. */
static bmq_stream *room(bmq_opener *opener, uint64_t now_ms) {
    for (size_t at = 0; at < BMQ_MOST_STREAMS; at++) {
        bmq_stream *stream = &opener->streams[at];
        if (stream->key == NULL) return stream;
        if (stream->fresh_until_ms < now_ms) {
            if (opener->floor_ms < stream->newest_ms) opener->floor_ms = stream->newest_ms;
            return stream;
        }
    }
    return NULL;
}

static bmq_result keep_stream(bmq_stream *stream, const bmq_key *key, const envelope_view *view,
                              const uint8_t mac_key[BMQ_KEY_BYTES]) {
    stream->key = NULL;
    bmq_result result = gcm_of_stream(&stream->gcm, key, view->sender.at, view->sender.length,
                                      view->stream.at);
    if (result != BMQ_OK) return result;
    memcpy(stream->sender, view->sender.at, view->sender.length);
    stream->sender_length = view->sender.length;
    memcpy(stream->stream, view->stream.at, BMQ_STREAM_BYTES);
    memcpy(stream->mac_key, mac_key, BMQ_KEY_BYTES);
    memset(&stream->window, 0, sizeof stream->window);
    stream->newest_ms = 0;
    stream->fresh_until_ms = 0;
    stream->key = key;
    return BMQ_OK;
}

static void remember(bmq_stream *stream, uint64_t seq, uint64_t time_ms, uint64_t max_age_ms) {
    bool is_bounded = max_age_ms <= UINT64_MAX - time_ms;
    uint64_t until_ms = is_bounded ? time_ms + max_age_ms : UINT64_MAX;
    accept(&stream->window, seq);
    if (stream->newest_ms < time_ms) stream->newest_ms = time_ms;
    if (stream->fresh_until_ms < until_ms) stream->fresh_until_ms = until_ms;
}

/* ── opening ──────────────────────────────────────────────────────────────────────────────────── */

bmq_result bmq_opener_init(bmq_opener *opener, const bmq_key *keys, size_t key_count) {
    memset(opener, 0, sizeof *opener);
    opener->keys = keys;
    opener->key_count = key_count;
    for (size_t at = 0; at < BMQ_MOST_STREAMS; at++) mbedtls_gcm_init(&opener->streams[at].gcm);
    return hmac_init(&opener->hmac);
}

void bmq_opener_free(bmq_opener *opener) {
    for (size_t at = 0; at < BMQ_MOST_STREAMS; at++) mbedtls_gcm_free(&opener->streams[at].gcm);
    mbedtls_md_free(&opener->hmac);
    mbedtls_platform_zeroize(opener, sizeof *opener);
}

static const bmq_key *key_named(const bmq_opener *opener, const uint8_t *id) {
    for (size_t at = 0; at < opener->key_count; at++) {
        if (memcmp(opener->keys[at].id, id, BMQ_KEY_ID_BYTES) == 0) return &opener->keys[at];
    }
    return NULL;
}

static bmq_result check_time(uint64_t time_ms, const bmq_check *check) {
    if (check->max_age_ms == BMQ_ANY_AGE) return BMQ_OK;
    if (check->now_ms > time_ms && check->now_ms - time_ms > check->max_age_ms) return BMQ_EXPIRED;
    if (time_ms > check->now_ms && time_ms - check->now_ms > check->max_skew_ms) {
        return BMQ_FROM_FUTURE;
    }
    return BMQ_OK;
}

/* Puts the payload into `out`. What did not decrypt leaves nothing there. */
static bmq_result decrypt(bmq_opener *opener, bmq_stream *stream, const envelope_view *view,
                          const uint8_t *raw, size_t context, uint8_t *out, size_t *out_length) {
    if (view->suite.at[0] == HMAC_ONLY) {
        *out_length = view->plaintext.length;
        put_bytes(out, view->plaintext.at, view->plaintext.length);
        return BMQ_OK;
    }
    size_t length = view->ciphertext.length - GCM_TAG_BYTES;
    uint8_t nonce[NONCE_BYTES];
    nonce_of(number(view->seq.at, 8), nonce);
    memcpy(opener->aad + context, raw, view->head_length);
    int failed = mbedtls_gcm_auth_decrypt(&stream->gcm, length, nonce, NONCE_BYTES, opener->aad,
                                          context + view->head_length, view->ciphertext.at + length,
                                          GCM_TAG_BYTES, view->ciphertext.at, out);
    if (failed == MBEDTLS_ERR_GCM_AUTH_FAILED) return BMQ_DECRYPT_FAILED;
    *out_length = length;
    return failed ? BMQ_INTERNAL : BMQ_OK;
}

/* Checks 2 and 3, and the bounds of this device. */
static bmq_result check_names(const bmq_opener *opener, const bmq_check *check,
                              const envelope_view *view, const bmq_key **key) {
    *key = key_named(opener, view->key_id.at);
    if (*key == NULL) return BMQ_UNKNOWN_KEY;
    if (!is_for(*key, check->topic)) return BMQ_WRONG_TOPIC;
    if (check->sender != NULL &&
        (strlen(check->sender) != view->sender.length ||
         memcmp(check->sender, view->sender.at, view->sender.length) != 0)) {
        return BMQ_SENDER_MISMATCH;
    }
    bool fits = strlen(check->topic) <= BMQ_MOST_TOPIC_BYTES &&
                view->head_length <= BMQ_MOST_HEAD_BYTES;
    return fits ? BMQ_OK : BMQ_TOO_LARGE;
}

/* Check 4. `mac_key` is that of the stream: kept beside its window, or derived. */
static bmq_result check_tag(bmq_opener *opener, const bmq_key *key, const bmq_stream *stream,
                            const envelope_view *view, const uint8_t *envelope, size_t context,
                            uint8_t mac_key[BMQ_KEY_BYTES]) {
    uint8_t tag[BMQ_TAG_BYTES];
    bmq_result result = BMQ_OK;
    if (stream != NULL) {
        memcpy(mac_key, stream->mac_key, BMQ_KEY_BYTES);
    } else {
        result = stream_key(key->mac_root, view->sender.at, view->sender.length, view->stream.at,
                            mac_key);
    }
    if (result != BMQ_OK) return result;
    result = tag_of(&opener->hmac, mac_key, opener->aad, context, envelope, view->tagged_length, tag);
    if (result != BMQ_OK) return result;
    return mbedtls_ct_memcmp(tag, view->hmac.at, BMQ_TAG_BYTES) == 0 ? BMQ_OK : BMQ_BAD_TAG;
}

/* Whether only what is encrypted is taken, and checks 5 and 6. */
static bmq_result check_freshness(const bmq_opener *opener, const bmq_check *check,
                                  const bmq_stream *stream, const envelope_view *view) {
    uint64_t time_ms = number(view->time.at, 8);
    if (view->suite.at[0] != AES_256_GCM && !check->takes_plaintext) return BMQ_NOT_ENCRYPTED;
    bmq_result result = check_time(time_ms, check);
    if (result != BMQ_OK) return result;
    if (stream == NULL && opener->floor_ms > 0 && time_ms <= opener->floor_ms) return BMQ_EXPIRED;
    bool replay = stream != NULL && is_replay(&stream->window, number(view->seq.at, 8));
    return replay ? BMQ_REPLAYED : BMQ_OK;
}

bmq_result bmq_open(bmq_opener *opener, const bmq_check *check, const uint8_t *envelope,
                    size_t length, uint8_t *out, size_t out_size, size_t *out_length) {
    envelope_view view;
    const bmq_key *key;
    if (!parse(envelope, length, &view)) return BMQ_MALFORMED;
    bmq_result result = check_names(opener, check, &view, &key);
    if (result != BMQ_OK) return result;

    bmq_stream *stream = stream_of(opener, key, &view);
    size_t context = put_context(opener->aad, check->topic);
    uint8_t mac_key[BMQ_KEY_BYTES];
    result = check_tag(opener, key, stream, &view, envelope, context, mac_key);
    if (result == BMQ_OK) result = check_freshness(opener, check, stream, &view);
    bool fits = view.ciphertext.length <= out_size && view.plaintext.length <= out_size;
    if (result == BMQ_OK && !fits) result = BMQ_TOO_LARGE;
    /* A stream gets its place now that its HMAC was right: nobody without the key takes one. */
    if (result == BMQ_OK && stream == NULL) {
        stream = room(opener, check->now_ms);
        result = stream == NULL ? BMQ_TOO_MANY_STREAMS : keep_stream(stream, key, &view, mac_key);
    }
    mbedtls_platform_zeroize(mac_key, sizeof mac_key);
    if (result != BMQ_OK) return result;

    result = decrypt(opener, stream, &view, envelope, context, out, out_length);
    if (result != BMQ_OK) return result;
    remember(stream, number(view.seq.at, 8), number(view.time.at, 8), check->max_age_ms);
    return BMQ_OK;
}
