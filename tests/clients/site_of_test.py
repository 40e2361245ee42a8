"""Where the broker is: the harness writes it to standard input, as one line of JSON."""

import json
import ssl
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SITE = json.loads(sys.stdin.readline())
IS_WEBSOCKET = SITE["scheme"] in ("ws", "wss")
IS_SECURE = SITE["scheme"] in ("mqtts", "wss")
PATIENCE = 10


def client(name, user="admin", password=None, version=mqtt.MQTTv5, clean=True):
    """A client with credentials and the transport of the test, not yet connected."""
    options = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
    if IS_WEBSOCKET:
        options["transport"] = "websockets"
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version, **options)
    if IS_WEBSOCKET:
        made.ws_set_options(path="/mqtt")
    if IS_SECURE:
        made.tls_set(ca_certs=SITE["ca"], tls_version=ssl.PROTOCOL_TLS_CLIENT)
    made.username_pw_set(user, SITE["users"].get(user) if password is None else password)
    return made


def properties(packet, **values):
    """The MQTT 5 properties of one packet."""
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def session(seconds):
    """CONNECT properties of a session that outlives its connection."""
    return properties(PacketTypes.CONNECT, SessionExpiryInterval=seconds)


def await_event(event: threading.Event, what: str):
    """Waits for an event, and fails when it does not come."""
    if not event.wait(PATIENCE):
        raise AssertionError(f"waited {PATIENCE} s in vain for {what}")
