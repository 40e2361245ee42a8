"""The core scenarios with aiomqtt over each transport. Prints `ok NAME` or `not ok NAME: WHY` for each."""

import asyncio
import contextlib
import json
import ssl
import sys
import traceback

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

SITE = json.loads(sys.stdin.readline())
PATIENCE = 10
VERSIONS = {"3.1": aiomqtt.ProtocolVersion.V31, "3.1.1": aiomqtt.ProtocolVersion.V311,
            "5.0": aiomqtt.ProtocolVersion.V5}


def client(name, version, user="admin", password=None, will=None):
    """A client with credentials and the transport of the test, not yet connected."""
    options = {}
    if SITE["scheme"] in ("ws", "wss"):
        options |= {"transport": "websockets", "websocket_path": "/mqtt"}
    if SITE["scheme"] in ("mqtts", "wss"):
        options["tls_context"] = ssl.create_default_context(cafile=SITE["ca"])
    password = SITE["users"][user] if password is None else password
    return aiomqtt.Client(SITE["host"], SITE["port"], identifier=name, username=user,
                          password=password, protocol=VERSIONS[version], will=will,
                          timeout=PATIENCE, **options)


async def message(peer):
    return await asyncio.wait_for(anext(peer.messages), PATIENCE)


def equal(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


# ── scenarios ────────────────────────────────────────────────────────────────────────────────────

async def every_qos_is_delivered(version):
    async with client("aio", version) as peer:
        await peer.subscribe("aio/qos", qos=2)
        for qos in (0, 1, 2):
            await peer.publish("aio/qos", f"{version} {qos}", qos=qos)
            received = await message(peer)
            equal((received.payload.decode(), received.qos), (f"{version} {qos}", qos))


async def a_retained_message_reaches_who_subscribes_later(version):
    async with client("retainer", version) as publisher:
        await publisher.publish("aio/retained", version, qos=1, retain=True)
        async with client("late", version) as late:
            await late.subscribe("aio/retained", qos=1)
            received = await message(late)
            equal((received.payload.decode(), received.retain), (version, True))
        await publisher.publish("aio/retained", None, qos=1, retain=True)


async def a_will_is_published_when_the_connection_breaks(version):
    async with client("witness", version) as witness:
        await witness.subscribe("aio/will", qos=1)
        mortal = client("mortal", version, will=aiomqtt.Will("aio/will", version, qos=1))
        await mortal.__aenter__()
        # Taken over, it is cut off without a DISCONNECT of its own.
        async with client("mortal", version):
            equal((await message(witness)).payload.decode(), version)
        with contextlib.suppress(aiomqtt.MqttError):
            await mortal.__aexit__(None, None, None)


async def a_wrong_password_is_refused(version):
    try:
        async with client("guest", version, password="wrong"):
            pass
    except MqttConnectError as error:
        code = getattr(error.rc, "value", error.rc)
        # Return codes 4 and 5 of 3.1.1, or what paho makes of them.
        assert code in ({0x86} if version == "5.0" else {4, 5, 0x86, 0x87}), f"{code}"
        return
    raise AssertionError("accepted")


async def a_device_is_kept_to_its_topics(version):
    async with client("device1", version, user="device1") as device:
        answers = await device.subscribe("devices/device2/#")
        code = getattr(answers[0], "value", answers[0])
        equal(code, 0x87 if version == "5.0" else 0x80)


SCENARIOS = [
    every_qos_is_delivered,
    a_retained_message_reaches_who_subscribes_later,
    a_will_is_published_when_the_connection_breaks,
    a_wrong_password_is_refused,
    a_device_is_kept_to_its_topics,
]


async def main():
    failed = 0
    for version in VERSIONS:
        for scenario in SCENARIOS:
            name = f"{version}: {scenario.__name__.replace('_', ' ')}"
            try:
                await scenario(version)
                print(f"ok {name}", flush=True)
            except Exception as error:  # each scenario is judged by itself
                failed += 1
                print(f"not ok {name}: {type(error).__name__} {error}", flush=True)
                traceback.print_exc()
    return failed


sys.exit(1 if asyncio.run(main()) else 0)
