"""Makes the test vectors; in tests/: `python -m envelope_ref.vectors >vectors/envelope.json`."""

from __future__ import annotations

import json
import sys
from typing import Any

from . import good_vectors, malformed_vectors, refused_vectors, sequence_vectors

ABOUT = "Made by tests/envelope_ref/vectors.py; explained in tests/vectors/README.md."


def text() -> str:
    """The whole file."""
    parts = (good_vectors, malformed_vectors, refused_vectors, sequence_vectors)
    vectors: list[dict[str, Any]] = [vector for part in parts for vector in part.vectors()]
    return json.dumps({"about": ABOUT, "vectors": vectors}, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
