"""A press of a plant: it takes sealed commands, and answers each with a sealed report.

    python device.py SETTINGS

SETTINGS is a file with a line for each setting: host, port, user, password, key_id, topic_key, commands
and reports (topics), controller (whose commands it takes).
"""

import sys
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sealed_envelope import Key, Opener, Refused, Sealer


class Device:
    def __init__(self, settings):
        self.settings = settings
        topics = [settings["commands"], settings["reports"]]
        key = Key(settings["key_id"], settings["topic_key"], topics)
        self.sealer, self.opener = Sealer(key, settings["user"]), Opener([key])
        self.last_report = None
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=settings["user"])
        self.client.username_pw_set(settings["user"], settings["password"])
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = self.on_subscribe
        self.client.on_message = self.on_message
        self.client.on_publish = self.on_publish

    def run(self):
        self.client.connect(self.settings["host"], int(self.settings["port"]))
        self.client.loop_forever()

    def on_connect(self, client, _data, _flags, reason, _properties):
        if reason.is_failure:
            sys.exit(f"the broker says: {reason}")
        client.subscribe(self.settings["commands"], qos=1)

    def on_subscribe(self, _client, _data, _id, reasons, _properties):
        if reasons[0].is_failure:
            sys.exit(f"the broker says: {reasons[0]}")
        print("ready", flush=True)

    def on_message(self, _client, _data, message):
        try:
            command = self.opener.open(message.topic, message.payload, self.settings["controller"])
        except Refused as refused:
            print("refused", refused, flush=True)
            return
        print("command", command.decode(), flush=True)
        reports = self.settings["reports"]
        sent = self.client.publish(reports, self.sealer.seal(reports, b"done: " + command), qos=1)
        if command == b"stop":
            self.last_report = sent.mid

    def on_publish(self, client, _data, message_id, _reason, _properties):
        if message_id == self.last_report:
            client.disconnect()


def read_settings(path):
    return dict(line.split(" ", 1) for line in Path(path).read_text().splitlines() if line)


if __name__ == "__main__":
    Device(read_settings(sys.argv[1])).run()
