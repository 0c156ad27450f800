"""Write heads of chains for keeping elsewhere, and read them back: what is kept outside is all an anchor is.

One JSON object a line: it can be printed, mailed, or sent to the parent unit. Signatures come with the parent's keys;
until then an anchor is as good as the place it was kept in.
"""

from __future__ import annotations

import json
import re
from typing import Final

from soc_core.audit.chain import ALGORITHMS, Head
from soc_core.errors import UsageError

_HASH: Final = re.compile(r"[0-9a-f]{64}")
MOST_LINES: Final = 100_000


def write_head(head: Head) -> str:
    """Return the line that names a head."""
    parts = {"stream": head.stream, "number": head.number, "at": head.at, "algorithm": head.algorithm}
    return json.dumps({**parts, "hash": head.hash}, ensure_ascii=False)


def parse_hash(text: str) -> Head:
    """Return the anchor that is a bare hash; raise ``UsageError`` for anything else."""
    plain = "".join(text.split()).lower()
    if not _HASH.fullmatch(plain):
        raise UsageError(
            f"'{text[:80]}' is no hash", todo="give the 64 characters that edusoc audit heads printed"
        )
    return Head("", 0, "", "", plain)


def parse_anchors(text: str, where: str) -> list[Head]:
    """Return the anchors of a file: lines of ``write_head`` or bare hashes; raise ``UsageError`` naming a bad line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if number > MOST_LINES:
            raise UsageError("too many anchors", where=where, todo="leave out the oldest")
        try:
            found.append(_parse(line) if line.lstrip().startswith("{") else parse_hash(line))
        except (UsageError, ValueError, TypeError, KeyError, RecursionError):
            raise UsageError("this line is no anchor", where=f"{where}:{number}") from None
    if not found:
        raise UsageError("there is no anchor in it", where=where)
    return found


def _parse(line: str) -> Head:
    body = json.loads(line)
    head = Head(body["stream"], body["number"], body["at"], body["algorithm"], body["hash"])
    texts = (head.stream, head.at, head.algorithm, head.hash)
    sound = all(isinstance(text, str) for text in texts) and type(head.number) is int and head.number > 0
    if not sound or head.algorithm not in ALGORITHMS or not _HASH.fullmatch(head.hash):
        raise ValueError
    return head
