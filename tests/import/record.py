"""Asks a real Mosquitto what answers.toml says it answers, and prints each answer that is another.

Not a test: run it by hand with `mosquitto` and paho-mqtt at hand, as

    python3 tests/import/record.py
"""

import pathlib
import queue
import socket
import subprocess
import tempfile
import time
import tomllib

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes

HERE = pathlib.Path(__file__).parent
PATIENCE = 0.4


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    def __init__(self, port, user, client_id):
        version = mqtt.CallbackAPIVersion.VERSION2
        self.client = mqtt.Client(version, client_id=client_id, protocol=mqtt.MQTTv5)
        self.messages, self.acknowledged = queue.Queue(), queue.Queue()
        if user is not None:
            self.client.username_pw_set(user, "")
        connected = queue.Queue()
        self.client.on_connect = lambda *call: connected.put(call[3])
        self.client.on_message = lambda c, u, message: self.messages.put(message.topic)
        self.client.on_publish = lambda c, u, mid, reason, p: self.acknowledged.put(reason)
        self.client.on_subscribe = lambda *call: self.acknowledged.put(None)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert not connected.get(timeout=5).is_failure

    def publish(self, topic):
        self.client.publish(topic, "x", qos=1)
        return not self.acknowledged.get(timeout=5).is_failure

    def subscribe(self, *filters):
        self.client.subscribe([(text, mqtt.SubscribeOptions(qos=1)) for text in filters])
        self.acknowledged.get(timeout=5)

    def receives(self, topic):
        try:
            while True:
                if self.messages.get(timeout=PATIENCE) == topic:
                    return True
        except queue.Empty:
            return False

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def answer(port, case):
    user, client_id = case.get("user"), case.get("client_id", "c")
    client = Client(port, user, client_id)
    observer = Client(port, "observer", "observer")
    try:
        topic = case["topic"]
        client.subscribe(topic)
        write = client.publish(topic)
        client.receives(None)
        if topic.startswith("$SYS"):
            client.subscribe(topic)
        else:
            observer.publish(topic)
        read = client.receives(topic)
        return "r" * read + "w" * write
    finally:
        client.close()
        observer.close()


def main():
    cases = tomllib.loads((HERE / "answers.toml").read_text())["case"]
    with tempfile.TemporaryDirectory() as directory:
        port, file = free_port(), pathlib.Path(directory) / "mosquitto.conf"
        acl = HERE / "differences.acl"
        file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {acl}\nuser root\n")
        broker = subprocess.Popen(["mosquitto", "-c", str(file)], stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            for case in cases:
                found = answer(port, case)
                if found != case.get("mosquitto"):
                    print(f"{case}: {found!r}")
        finally:
            broker.terminate()
            broker.wait()


if __name__ == "__main__":
    main()
