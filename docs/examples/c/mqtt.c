/* The client of mqtt.h, on POSIX sockets. */
#define _POSIX_C_SOURCE 200809L
#include "mqtt.h"

#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECT = 0x10,
    CONNACK = 0x20,
    PUBLISH = 0x30,
    PUBACK = 0x40,
    SUBSCRIBE = 0x82,
    SUBACK = 0x90,
    PINGREQ = 0xC0,
    PINGRESP = 0xD0,
    DISCONNECT = 0xE0,
};

#define QOS_1 0x02
#define HEADER_BYTES 5 /* the first byte, and a remaining length of up to four */
#define PATIENCE_MS 30000

/* ── sending ──────────────────────────────────────────────────────────────────────────────────── */

static bool send_all(const mqtt *client, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(client->socket, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Sends the packet whose body begins at out[HEADER_BYTES]. */
static bool send_packet(mqtt *client, uint8_t first, size_t body) {
    uint8_t length[4];
    size_t size = 0, left = body;
    do {
        length[size] = (uint8_t)(left % 128 | (left >= 128 ? 0x80 : 0));
        left /= 128;
        size++;
    } while (left > 0);
    uint8_t *start = client->out + HEADER_BYTES - size - 1;
    start[0] = first;
    memcpy(start + 1, length, size);
    return send_all(client, start, 1 + size + body);
}

/* Puts a string with its length at `*at`, if it fits. */
static bool put_text(mqtt *client, size_t *at, const char *text) {
    size_t length = strlen(text);
    if (length > 0xFFFF || length + 2 > MQTT_BUFFER - *at) return false;
    client->out[*at] = (uint8_t)(length >> 8);
    client->out[*at + 1] = (uint8_t)length;
    memcpy(client->out + *at + 2, text, length);
    *at += 2 + length;
    return true;
}

static void put_id(mqtt *client, size_t *at) {
    client->last_id = (uint16_t)(client->last_id == 0xFFFF ? 1 : client->last_id + 1);
    client->out[(*at)++] = (uint8_t)(client->last_id >> 8);
    client->out[(*at)++] = (uint8_t)client->last_id;
}

/* ── receiving ────────────────────────────────────────────────────────────────────────────────── */

/* Where the first packet in the buffer has its body and its end. 0: more is to come; -1: too long. */
static int whole_packet(const mqtt *client, size_t *body, size_t *end) {
    size_t length = 0;
    for (size_t at = 1; at < HEADER_BYTES; at++) {
        if (at >= client->filled) return 0;
        length |= (size_t)(client->in[at] & 0x7F) << 7 * (at - 1);
        if (client->in[at] & 0x80) continue;
        *body = at + 1;
        *end = *body + length;
        if (*end > MQTT_BUFFER) return -1;
        return *end <= client->filled;
    }
    return -1;
}

static void drop(mqtt *client, size_t end) {
    memmove(client->in, client->in + end, client->filled - end);
    client->filled -= end;
}

/* Reads until a packet is whole. */
static mqtt_event await_packet(mqtt *client, size_t *body, size_t *end, int wait_ms) {
    for (;;) {
        int whole = whole_packet(client, body, end);
        if (whole < 0) return MQTT_ENDED;
        if (whole > 0) return MQTT_MESSAGE;
        struct pollfd ready = {.fd = client->socket, .events = POLLIN};
        int count = poll(&ready, 1, wait_ms);
        if (count == 0) return MQTT_IDLE;
        ssize_t got = recv(client->socket, client->in + client->filled, MQTT_BUFFER - client->filled, 0);
        if (count < 0 || got <= 0) return MQTT_ENDED;
        client->filled += (size_t)got;
    }
}

/* Whether the broker lets us in. */
static bool await_connack(mqtt *client) {
    size_t body, end;
    if (await_packet(client, &body, &end, PATIENCE_MS) != MQTT_MESSAGE) return false;
    bool welcome = client->in[0] == CONNACK && end == body + 2 && client->in[body + 1] == 0;
    drop(client, end);
    return welcome;
}

/* ── the client ───────────────────────────────────────────────────────────────────────────────── */

static int tcp(const char *host, const char *port) {
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &wanted, &found) != 0) return -1;
    int made = -1;
    for (struct addrinfo *at = found; at != NULL && made < 0; at = at->ai_next) {
        made = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (made >= 0 && connect(made, at->ai_addr, at->ai_addrlen) != 0) {
            close(made);
            made = -1;
        }
    }
    freeaddrinfo(found);
    return made;
}

bool mqtt_connect(mqtt *client, const char *host, const char *port, const char *client_id,
                  const char *user, const char *password, uint16_t keep_alive_s) {
    memset(client, 0, sizeof *client);
    client->socket = tcp(host, port);
    if (client->socket < 0) return false;
    static const uint8_t protocol[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2};
    memcpy(client->out + HEADER_BYTES, protocol, sizeof protocol);
    size_t at = HEADER_BYTES + sizeof protocol;
    client->out[at++] = (uint8_t)(keep_alive_s >> 8);
    client->out[at++] = (uint8_t)keep_alive_s;
    return put_text(client, &at, client_id) && put_text(client, &at, user) &&
           put_text(client, &at, password) && send_packet(client, CONNECT, at - HEADER_BYTES) &&
           await_connack(client);
}

bool mqtt_subscribe(mqtt *client, const char *filter) {
    size_t at = HEADER_BYTES;
    put_id(client, &at);
    if (!put_text(client, &at, filter) || at == MQTT_BUFFER) return false;
    client->out[at++] = 1;
    return send_packet(client, SUBSCRIBE, at - HEADER_BYTES);
}

uint8_t *mqtt_payload(mqtt *client, const char *topic, size_t *size) {
    size_t before = HEADER_BYTES + 2 + strlen(topic) + 2;
    if (before > MQTT_BUFFER) return NULL;
    *size = MQTT_BUFFER - before;
    return client->out + before;
}

bool mqtt_publish(mqtt *client, const char *topic, size_t length) {
    size_t at = HEADER_BYTES;
    if (!put_text(client, &at, topic) || MQTT_BUFFER - at < 2 || length > MQTT_BUFFER - at - 2) return false;
    put_id(client, &at);
    return send_packet(client, PUBLISH | QOS_1, at + length - HEADER_BYTES);
}

bool mqtt_ping(mqtt *client) {
    return send_packet(client, PINGREQ, 0);
}

/* Reads the PUBLISH whose body is at `at`. */
static bool read_message(mqtt *client, size_t at, size_t end, mqtt_message *message) {
    uint8_t qos = client->in[0] & 0x06;
    if (end - at < 2) return false;
    size_t length = (size_t)client->in[at] << 8 | client->in[at + 1];
    at += 2;
    if (length >= sizeof message->topic || length > end - at) return false;
    memcpy(message->topic, client->in + at, length);
    message->topic[length] = '\0';
    at += length;
    if (qos != 0) {
        if (qos != QOS_1 || end - at < 2) return false;
        memcpy(client->unacknowledged, client->in + at, 2);
        at += 2;
    }
    message->payload = client->in + at;
    message->length = end - at;
    return true;
}

/* Acknowledges the message that the caller has had, and makes room for the next. */
static bool take_back(mqtt *client) {
    drop(client, client->handed_over);
    client->handed_over = 0;
    if (client->unacknowledged[0] == 0 && client->unacknowledged[1] == 0) return true;
    memcpy(client->out + HEADER_BYTES, client->unacknowledged, 2);
    memset(client->unacknowledged, 0, 2);
    return send_packet(client, PUBACK, 2);
}

mqtt_event mqtt_next(mqtt *client, mqtt_message *message, int wait_ms) {
    if (!take_back(client)) return MQTT_ENDED;
    for (;;) {
        size_t body, end;
        mqtt_event event = await_packet(client, &body, &end, wait_ms);
        if (event != MQTT_MESSAGE) return event;
        uint8_t type = client->in[0] & 0xF0, last = client->in[end - 1];
        if (type == PUBLISH) {
            client->handed_over = end;
            return read_message(client, body, end, message) ? MQTT_MESSAGE : MQTT_ENDED;
        }
        drop(client, end);
        if (type == PUBACK) return MQTT_ACKNOWLEDGED;
        if (type == SUBACK) return last == 1 ? MQTT_SUBSCRIBED : MQTT_ENDED;
        if (type != PINGRESP) return MQTT_ENDED;
    }
}

void mqtt_disconnect(mqtt *client) {
    send_packet(client, DISCONNECT, 0);
    close(client->socket);
}
