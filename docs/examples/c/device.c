/* A press of a plant: it takes sealed commands, and answers each with a sealed report.
 *
 *     device SETTINGS
 *
 * SETTINGS is a file with a line for each setting: host, port, user, password, key_id, topic_key,
 * commands and reports (topics), controller (whose commands it takes). On a microcontroller they are
 * in flash, the clock is set by NTP and the randomness comes from the chip. */
#define _GNU_SOURCE
#include "bmq_envelope.h"
#include "mqtt.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define KEEP_ALIVE_S 60
#define MAX_AGE_MS 300000
#define MAX_SKEW_MS 60000
#define VALUE_BYTES 257

typedef struct {
    char host[VALUE_BYTES], port[VALUE_BYTES], user[VALUE_BYTES], password[VALUE_BYTES];
    char key_id[VALUE_BYTES], topic_key[VALUE_BYTES];
    char commands[VALUE_BYTES], reports[VALUE_BYTES], controller[VALUE_BYTES];
} settings;

typedef struct {
    settings settings;
    const char *topics[2];
    bmq_key key;
    bmq_sealer sealer;
    bmq_opener opener;
    mqtt client;
} device;

static char *place(settings *all, const char *name) {
    struct { const char *name; char *value; } places[] = {
        {"host", all->host}, {"port", all->port}, {"user", all->user}, {"password", all->password},
        {"key_id", all->key_id}, {"topic_key", all->topic_key}, {"commands", all->commands},
        {"reports", all->reports}, {"controller", all->controller},
    };
    for (size_t at = 0; at < sizeof places / sizeof *places; at++) {
        if (strcmp(places[at].name, name) == 0) return places[at].value;
    }
    return NULL;
}

static bool read_settings(const char *path, settings *all) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    char name[32], value[VALUE_BYTES];
    memset(all, 0, sizeof *all);
    while (fscanf(file, "%31s %256[^\n]", name, value) == 2) {
        char *to = place(all, name);
        if (to != NULL) memcpy(to, value, sizeof value);
    }
    fclose(file);
    return true;
}

static bool from_hex(const char *text, uint8_t *bytes, size_t size) {
    if (strlen(text) != 2 * size) return false;
    for (size_t at = 0; at < size; at++) {
        if (sscanf(text + 2 * at, "%2hhx", &bytes[at]) != 1) return false;
    }
    return true;
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The key that the operator gave this device, a stream of its own, and room for others' streams. */
static bool prepare_keys(device *device) {
    const settings *all = &device->settings;
    uint8_t key_id[BMQ_KEY_ID_BYTES], topic_key[BMQ_KEY_BYTES], stream[BMQ_STREAM_BYTES];
    device->topics[0] = all->commands;
    device->topics[1] = all->reports;
    return from_hex(all->key_id, key_id, sizeof key_id) &&
           from_hex(all->topic_key, topic_key, sizeof topic_key) &&
           getrandom(stream, sizeof stream, 0) == sizeof stream &&
           bmq_key_init(&device->key, key_id, topic_key, device->topics, 2) == BMQ_OK &&
           bmq_sealer_init(&device->sealer, &device->key, all->user, stream) == BMQ_OK &&
           bmq_opener_init(&device->opener, &device->key, 1) == BMQ_OK;
}

/* Seals a report into the packet that carries it. */
static bool report(device *device, const uint8_t *text, size_t length) {
    size_t room, sealed;
    uint8_t *payload = mqtt_payload(&device->client, device->settings.reports, &room);
    if (payload == NULL) return false;
    bmq_result result = bmq_seal(&device->sealer, device->settings.reports, now_ms(), text, length,
                                 payload, room, &sealed);
    return result == BMQ_OK && mqtt_publish(&device->client, device->settings.reports, sealed);
}

/* Opens a command and carries it out. What is refused is named, and nothing else is done. */
static bool obey(device *device, const mqtt_message *message, bool *stopped) {
    uint8_t command[MQTT_BUFFER], answer[MQTT_BUFFER + 8];
    size_t length;
    bmq_check check = {
        .topic = message->topic,
        .sender = device->settings.controller,
        .now_ms = now_ms(),
        .max_age_ms = MAX_AGE_MS,
        .max_skew_ms = MAX_SKEW_MS,
    };
    bmq_result result = bmq_open(&device->opener, &check, message->payload, message->length,
                                 command, sizeof command, &length);
    if (result != BMQ_OK) {
        printf("refused %s\n", bmq_name(result));
        return true;
    }
    printf("command %.*s\n", (int)length, (const char *)command);
    *stopped = length == 4 && memcmp(command, "stop", 4) == 0;
    memcpy(answer, "done: ", 6);
    memcpy(answer + 6, command, length);
    return report(device, answer, 6 + length);
}

static bool run(device *device) {
    mqtt_message message;
    bool stopped = false, has_reported = false;
    while (!stopped || !has_reported) {
        switch (mqtt_next(&device->client, &message, KEEP_ALIVE_S * 1000 / 2)) {
        case MQTT_MESSAGE:
            if (!obey(device, &message, &stopped)) return false;
            has_reported = false;
            break;
        case MQTT_ACKNOWLEDGED: has_reported = true; break;
        case MQTT_SUBSCRIBED: printf("ready\n"); break;
        case MQTT_IDLE:
            if (!mqtt_ping(&device->client)) return false;
            break;
        case MQTT_ENDED: return false;
        }
    }
    mqtt_disconnect(&device->client);
    return true;
}

int main(int count, char **arguments) {
    static device device;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count != 2 || !read_settings(arguments[1], &device.settings)) {
        fprintf(stderr, "usage: device SETTINGS\n");
        return 2;
    }
    const settings *all = &device.settings;
    bool fine = prepare_keys(&device);
    if (!fine) fprintf(stderr, "key_id has 16 hex digits, topic_key 64\n");
    fine = fine && mqtt_connect(&device.client, all->host, all->port, all->user, all->user,
                                all->password, KEEP_ALIVE_S);
    fine = fine && mqtt_subscribe(&device.client, all->commands) && run(&device);
    bmq_sealer_free(&device.sealer);
    bmq_opener_free(&device.opener);
    if (!fine) fprintf(stderr, "the connection has ended\n");
    return fine ? 0 : 1;
}
