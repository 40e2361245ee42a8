"""A QoS 2 flow between two MQTT 5 clients whose sessions outlive every cut of the network.

Usage: paho_qos2.py MESSAGES STEP < site.json
Says `received N` at each multiple of STEP, and `complete MESSAGES` at the end.
"""

import sys
import threading

import paho.mqtt.client as mqtt

from site_of_test import SITE, await_event, client, session

MESSAGES, STEP = int(sys.argv[1]), int(sys.argv[2])
IN_FLIGHT = 100


class Flow:
    def __init__(self):
        self.next = 0
        self.fault = None
        self.done = threading.Event()
        self.subscribed = threading.Event()
        self.sent = 0

    def on_message(self, _client, _userdata, message):
        number = int(message.payload)
        if number != self.next or message.qos != 2:
            self.fault = f"QoS {message.qos} message {number} came where {self.next} was due"
            self.done.set()
            return
        self.next += 1
        if self.next % STEP == 0:
            print(f"received {self.next}", flush=True)
        if self.next == MESSAGES:
            self.done.set()

    def publish(self, publisher, *_):
        """Publishes the next message. After the first ones this is done by each acknowledgement.

        While paho reconnects, what another thread publishes would overtake what it resends.
        """
        if self.sent < MESSAGES:
            self.sent += 1
            publisher.publish("flow", str(self.sent - 1), qos=2)


def connected(name):
    made = client(name)
    made.reconnect_delay_set(min_delay=0.05, max_delay=0.05)
    made.max_inflight_messages_set(IN_FLIGHT)
    made.connect(
        SITE["host"],
        SITE["port"],
        clean_start=mqtt.MQTT_CLEAN_START_FIRST_ONLY,
        properties=session(3_600),
    )
    return made


def main():
    flow = Flow()
    subscriber, publisher = connected("paho-subscriber"), connected("paho-publisher")
    subscriber.on_message = flow.on_message
    subscriber.on_subscribe = lambda *_: flow.subscribed.set()
    subscriber.subscribe("flow", qos=2)
    subscriber.loop_start()
    await_event(flow.subscribed, "SUBACK")
    for _ in range(IN_FLIGHT):
        flow.publish(publisher)
    publisher.on_publish = flow.publish
    publisher.loop_start()
    # The harness has its own limit for each step: this one is the net below it.
    if not flow.done.wait(300):
        flow.fault = f"stuck at {flow.next}"
    if flow.fault:
        print(f"not ok: {flow.fault}", flush=True)
        return 1
    print(f"complete {flow.next}", flush=True)
    # Nothing comes twice: the fence is the last thing that the publisher sends.
    fenced = threading.Event()
    surplus = []

    def on_surplus(_client, _userdata, message):
        if message.payload == b"fence":
            fenced.set()
        else:
            surplus.append(message.payload)

    subscriber.on_message = on_surplus
    publisher.publish("flow", "fence", qos=2)
    await_event(fenced, "the fence")
    if surplus:
        print(f"not ok: {surplus[:5]} came twice", flush=True)
        return 1
    return 0


sys.exit(main())
