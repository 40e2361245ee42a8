"""The core scenarios with paho-mqtt over TLS or WebSocket. Prints `ok NAME` or `not ok NAME: WHY` for each."""

import queue
import ssl
import sys
import traceback

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from site_of_test import IS_SECURE, PATIENCE, SITE, client, properties, session

VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5.0": mqtt.MQTTv5}
DISCONNECTED_BY_TAKE_OVER = 0x8E


class Peer:
    """A connected client whose events are queues."""

    def __init__(self, name, user="admin", password=None, version=mqtt.MQTTv5, clean=True,
                 will=None, connect=None):
        self.messages, self.subscribed = queue.Queue(), queue.Queue()
        self.published, self.ended = queue.Queue(), queue.Queue()
        connected = queue.Queue()
        self.client = client(name, user, password, version, clean)
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.subscribed.put(codes)
        self.client.on_publish = lambda _c, _u, _m, code, _p: self.published.put(code)
        self.client.on_disconnect = lambda _c, _u, _f, code, _p: self.ended.put(code)
        self.client.on_connect = lambda _c, _u, flags, code, props: connected.put(
            (flags, code, props))
        if will:
            self.client.will_set(**will)
        arguments = {}
        if version == mqtt.MQTTv5:
            arguments = {"clean_start": clean, "properties": connect}
        self.client.connect(SITE["host"], SITE["port"], **arguments)
        self.client.loop_start()
        self.flags, self.code, self.properties = connected.get(timeout=PATIENCE)

    def subscribe(self, *arguments, **options):
        self.client.subscribe(*arguments, **options)
        return self.subscribed.get(timeout=PATIENCE)

    def publish(self, *arguments, **options):
        """Publishes, and waits for the acknowledgement."""
        self.client.publish(*arguments, **options)
        return self.published.get(timeout=PATIENCE)

    def message(self):
        return self.messages.get(timeout=PATIENCE)

    def end(self):
        return self.ended.get(timeout=PATIENCE)

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def sever(self):
        """Ends the connection without DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()


def equal(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


# ── scenarios ────────────────────────────────────────────────────────────────────────────────────

def every_version_delivers_every_qos():
    for name, version in VERSIONS.items():
        peer = Peer(f"paho-{name}", version=version)
        peer.subscribe(f"paho/{name}", qos=2)
        for qos in (0, 1, 2):
            peer.publish(f"paho/{name}", f"{name} {qos}", qos=qos)
            message = peer.message()
            equal((message.payload.decode(), message.qos), (f"{name} {qos}", qos))
        peer.disconnect()


def a_large_message_arrives_whole():
    peer = Peer("large")
    peer.subscribe("large", qos=1)
    payload = bytes(range(256)) * 2_000
    peer.publish("large", payload, qos=1)
    equal(peer.message().payload, payload)
    peer.disconnect()


def a_retained_message_reaches_who_subscribes_later():
    publisher = Peer("retainer")
    publisher.publish("retained/paho", "kept", qos=1, retain=True)
    late = Peer("late", version=mqtt.MQTTv311)
    late.subscribe("retained/paho")
    message = late.message()
    equal((message.payload, message.retain), (b"kept", True))
    publisher.publish("retained/paho", "", qos=1, retain=True)
    publisher.disconnect()
    late.disconnect()


def a_will_is_published_when_the_connection_breaks():
    witness = Peer("witness")
    witness.subscribe("wills/paho", qos=1)
    for name, version in VERSIONS.items():
        will = {"topic": "wills/paho", "payload": name, "qos": 1}
        Peer(f"mortal-{name}", version=version, will=will).sever()
        equal(witness.message().payload.decode(), name)
    witness.disconnect()


def a_session_keeps_messages_while_its_client_is_away():
    kept = {"connect": session(3_600)}
    subscriber = Peer("away", **kept)
    subscriber.subscribe("away", qos=2)
    subscriber.disconnect()
    publisher = Peer("home")
    for qos in (1, 2):
        publisher.publish("away", str(qos), qos=qos)
    subscriber = Peer("away", clean=False, **kept)
    assert subscriber.flags.session_present
    equal([subscriber.message().payload for _ in range(2)], [b"1", b"2"])
    subscriber.disconnect()
    publisher.disconnect()


def a_take_over_is_told_to_the_first_client():
    first = Peer("twice")
    first.client.on_connect = None
    second = Peer("twice")
    equal(first.end().value, DISCONNECTED_BY_TAKE_OVER)
    first.client.loop_stop()
    second.subscribe("twice")
    second.publish("twice", "second", qos=1)
    equal(second.message().payload, b"second")
    second.disconnect()


def a_wrong_password_and_an_unknown_user_are_refused():
    for user in ("admin", "nobody"):
        peer = Peer("guest", user=user, password="wrong")
        equal(peer.code.value, 0x86)
        peer.client.loop_stop()
        for name in ("3.1", "3.1.1"):
            peer = Peer("guest", user=user, password="wrong", version=VERSIONS[name])
            # paho translates the return codes 4 and 5 of 3.1.1.
            assert peer.code.value in (0x86, 0x87), f"{name}: {peer.code}"
            peer.client.loop_stop()


def an_unknown_authority_is_refused_by_the_client():
    if not IS_SECURE:
        return
    sceptic = client("sceptic")
    sceptic._ssl_context = None
    sceptic.tls_set_context(ssl.create_default_context())
    try:
        sceptic.connect(SITE["host"], SITE["port"])
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError("connected to a broker of an unknown authority")


def a_device_is_kept_to_its_topics():
    admin = Peer("admin")
    admin.subscribe("#", qos=1)
    device = Peer("device1", user="device1")
    equal([code.value for code in device.subscribe("devices/device2/#")], [0x87])
    equal(device.publish("devices/device2/x", "forged", qos=1).value, 0x87)
    device.publish("devices/device1/x", "true", qos=1)
    equal(admin.message().payload, b"true")
    device.disconnect()
    admin.disconnect()


def properties_travel_with_a_message():
    peer = Peer("properties")
    peer.subscribe("properties", qos=1)
    sent = properties(
        PacketTypes.PUBLISH,
        ResponseTopic="answers/here",
        CorrelationData=b"\x00\xff42",
        ContentType="text/plain",
        PayloadFormatIndicator=1,
        UserProperty=[("b", "1"), ("a", "2"), ("b", "3")],
    )
    peer.publish("properties", "?", qos=1, properties=sent)
    received = peer.message().properties
    for name in ("ResponseTopic", "CorrelationData", "ContentType", "UserProperty"):
        equal(getattr(received, name), getattr(sent, name))
    peer.disconnect()


def options_of_a_subscription_are_kept():
    peer = Peer("options")
    own = SubscribeOptions(qos=1, noLocal=True)
    peer.subscribe("room", options=own)
    identified = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=42)
    peer.subscribe("fence", options=SubscribeOptions(qos=1), properties=identified)
    peer.publish("room", "own", qos=1)
    peer.publish("fence", "fence", qos=1)
    message = peer.message()
    equal((message.payload, message.properties.SubscriptionIdentifier), (b"fence", [42]))
    peer.disconnect()


def a_shared_subscription_gives_each_message_to_one_member():
    members = [Peer(f"member-{number}") for number in range(2)]
    for member in members:
        member.subscribe("$share/team/work", qos=1)
        member.subscribe("end", qos=1)
    publisher = Peer("foreman")
    for number in range(40):
        publisher.publish("work", str(number), qos=1)
    publisher.publish("end", "end", qos=1)
    seen = []
    for member in members:
        while (payload := member.message().payload) != b"end":
            seen.append(int(payload))
    equal(sorted(seen), list(range(40)))
    for peer in (*members, publisher):
        peer.disconnect()


SCENARIOS = [
    every_version_delivers_every_qos,
    a_large_message_arrives_whole,
    a_retained_message_reaches_who_subscribes_later,
    a_will_is_published_when_the_connection_breaks,
    a_session_keeps_messages_while_its_client_is_away,
    a_take_over_is_told_to_the_first_client,
    a_wrong_password_and_an_unknown_user_are_refused,
    an_unknown_authority_is_refused_by_the_client,
    a_device_is_kept_to_its_topics,
    properties_travel_with_a_message,
    options_of_a_subscription_are_kept,
    a_shared_subscription_gives_each_message_to_one_member,
]


def main():
    failed = 0
    for scenario in SCENARIOS:
        name = scenario.__name__.replace("_", " ")
        try:
            scenario()
            print(f"ok {name}", flush=True)
        except Exception as error:  # each scenario is judged by itself
            failed += 1
            print(f"not ok {name}: {type(error).__name__} {error}", flush=True)
            traceback.print_exc()
    return failed


sys.exit(1 if main() else 0)
