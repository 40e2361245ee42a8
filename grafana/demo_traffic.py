"""What `grafana/demo` shows: devices that send measurements, somebody who reads them, an archive that is away for
half of the time, and now and then an attacker who guesses passwords, scans, and publishes where it may not. MQTT 3.1.1
by hand, so that nothing has to be installed.

    demo_traffic.py DIRECTORY [--fast]

With --fast one attack follows the other, from the start.
"""

import pathlib
import random
import socket
import ssl
import sys
import threading
import time

DEVICES = 20
AWAY = 60
BETWEEN_ATTACKS = 40
ATTACK = 20
# The attacker has an address of its own, so that nobody else is locked out, where all of 127.0.0.0/8 is this machine.
ATTACKER = ("127.66.6.6", 0) if sys.platform == "linux" else None


def field(text):
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    length, size = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        size += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + size + body


def publish(topic, payload, qos=0, packet_id=1):
    identifier = packet_id.to_bytes(2, "big") if qos else b""
    return packet(0x30 | qos << 1, field(topic) + identifier + payload)


class Client:
    """A connection that is let in, or not: see `code`. With `tls`, the port is the one of TLS."""

    def __init__(self, port, client_id, user, password, tls=None, is_kept=False, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=source)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        flags = b"\xc0" if is_kept else b"\xc2"
        connect = field("MQTT") + b"\x04" + flags + b"\x00\x3c" + field(client_id) + field(user) + field(password)
        self.socket.sendall(packet(0x10, connect))
        self.code = self.read()[1][1]

    def read(self):
        """The first byte and the body of the next packet."""
        first, size, shift = self.exactly(1)[0], 0, 0
        while True:
            digit = self.exactly(1)[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return first, self.exactly(size)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the broker has hung up")
            data += more
        return data

    def say(self, data):
        self.socket.sendall(data)


def read_all(port, password, tls, client_id="reader", seconds=float("inf")):
    client = Client(port, client_id, "admin", password, tls, is_kept=seconds != float("inf"))
    client.say(packet(0x82, b"\x00\x01" + field("sensors/#") + b"\x01"))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        first, body = client.read()
        if first & 0xF6 == 0x32:
            topic = int.from_bytes(body[:2], "big")
            client.say(packet(0x40, body[2 + topic : 4 + topic]))
    client.say(packet(0xE0, b""))
    client.socket.close()


def come_and_go(port, password, tls):
    read_all(port, password, tls, "archive", seconds=AWAY)
    time.sleep(AWAY)


def measure(port, password, tls, number):
    client = Client(port, f"device-{number}", "device", password, tls)
    turn = 0
    while True:
        turn = turn % 65_000 + 1
        qos = turn % 2
        payload = b"%.2f" % random.gauss(20, 2)
        client.say(publish(f"sensors/device/{number}", payload, qos, turn))
        if qos:
            client.read()
        time.sleep(random.expovariate(10))


def attack(port, password):
    names = ["root", "user", "pi", "mqtt", "test", "guest"]
    curious = Client(port, "curious", "device", password, source=ATTACKER)
    end = time.monotonic() + ATTACK
    while time.monotonic() < end:
        Client(port, "guesser", random.choice(names), "123456", source=ATTACKER).socket.close()
        with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=ATTACKER) as scanner:
            scanner.sendall(b"GET / HTTP/1.1\r\n\r\n")
        curious.say(publish("sensors/another/1", b"mine"))
        time.sleep(0.02)


def attack_now_and_then(port, password, pause):
    while True:
        time.sleep(pause)
        attack(port, password)


def for_ever(work, *arguments):
    """Begins again when it is done, and comes back after any fault of the network, as devices do."""

    def run():
        while True:
            try:
                work(*arguments)
            except OSError as error:
                print(f"{work.__name__}: {error}", flush=True)
                time.sleep(1)

    threading.Thread(target=run, daemon=True).start()


def main():
    directory = pathlib.Path(sys.argv[1])
    plain, secure = (int((directory / name).read_text()) for name in ("mqtt.port", "mqtts.port"))
    passwords = dict(line.split() for line in (directory / "passwords.txt").read_text().splitlines())
    tls = ssl.create_default_context(cafile=directory / "certs/ca.crt")
    for_ever(read_all, secure, passwords["admin"], tls)
    for_ever(come_and_go, secure, passwords["admin"], tls)
    for number in range(DEVICES):
        for_ever(measure, secure, passwords["device"], tls, number)
    for_ever(attack_now_and_then, plain, passwords["device"], 0 if "--fast" in sys.argv[2:] else BETWEEN_ATTACKS)
    threading.Event().wait()


main()
