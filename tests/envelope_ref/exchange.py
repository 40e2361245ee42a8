"""Answers another implementation: a request in JSON a line of standard input, an answer a line of output.

`{"seal": INPUTS}` is answered by `{"envelope": HEX}`, `{"judge": VECTOR}` by `{"answers": [[NAME, PAYLOAD]]}`;
both are in the words of tests/vectors/README.md.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from .judge import answers, key_of
from .scene import hexed, unhexed
from .sealing import Sealer
from .signing import Signer
from .wire import Suite, Type


def sealed_from(inputs: dict[str, Any]) -> bytes:
    """The envelope that a vector of a good one says it was sealed from."""
    notes = {kind: unhexed(value) for kind, value in inputs["private"]}
    for kind, name in ((Type.CONTENT_TYPE, "content_type"), (Type.TRACE, "trace")):
        if inputs[name] is not None:
            notes[kind] = inputs[name].encode()
    signer = inputs.get("signer")
    key = key_of({**inputs, "state": "active"})
    return Sealer(key, inputs["sealed_by"], bytes.fromhex(inputs["stream"]), inputs["seq"]).seal(
        inputs["topic"],
        inputs["time_ms"],
        unhexed(inputs["payload"]),
        Suite(inputs["suite"]),
        notes,
        signer and Signer(signer["algorithm"], bytes.fromhex(signer["private_key"])),
    )


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    if "seal" in request:
        return {"envelope": hexed(sealed_from(request["seal"]))}
    judged = answers(request["judge"])
    return {"answers": [[name, None if payload is None else hexed(payload)] for name, payload in judged]}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer_to(json.loads(line))), flush=True)
