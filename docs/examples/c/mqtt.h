/* A small client of MQTT 3.1.1: one connection, QoS 1, buffers of a fixed size. It waits where a
 * device with more to do would go on; its socket is plain TCP, where a device in the field has TLS. */
#ifndef MQTT_H
#define MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQTT_BUFFER 4096 /* the longest packet, either way */

typedef struct {
    int socket;
    uint16_t last_id;
    size_t filled;
    size_t handed_over;           /* what the caller has of `in`, until it asks for more */
    uint8_t unacknowledged[2];    /* the identifier of that message; 0 where it has none */
    uint8_t in[MQTT_BUFFER];
    uint8_t out[MQTT_BUFFER];
} mqtt;

typedef enum { MQTT_MESSAGE, MQTT_ACKNOWLEDGED, MQTT_SUBSCRIBED, MQTT_IDLE, MQTT_ENDED } mqtt_event;

/* A message as it stands in the client's buffer, until the next call. */
typedef struct {
    char topic[256 + 1];
    const uint8_t *payload;
    size_t length;
} mqtt_message;

/* Connects with a clean session. False: refused, or nobody there. */
bool mqtt_connect(mqtt *client, const char *host, const char *port, const char *client_id,
                  const char *user, const char *password, uint16_t keep_alive_s);
/* Asks for messages at QoS 1; MQTT_SUBSCRIBED follows. */
bool mqtt_subscribe(mqtt *client, const char *filter);
/* The room for the payload of the next message on `topic`; NULL where the topic is too long. */
uint8_t *mqtt_payload(mqtt *client, const char *topic, size_t *size);
/* Publishes the first `length` bytes of that room at QoS 1. */
bool mqtt_publish(mqtt *client, const char *topic, size_t length);
/* Asks whether the broker is there. */
bool mqtt_ping(mqtt *client);
/* What comes next: MQTT_IDLE where nothing has come for `wait_ms`. The message before is acknowledged
 * only now, so one that the device did not live to handle comes again. */
mqtt_event mqtt_next(mqtt *client, mqtt_message *message, int wait_ms);
void mqtt_disconnect(mqtt *client);

#endif
