"""Measure the labels of DNS names."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

INFRASTRUCTURE: Final = ("in-addr.arpa", "ip6.arpa", "local", "lan", "localdomain", "home.arpa", "internal")


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of ``text`` in bits each; 0 for empty text."""
    counts = Counter(text)
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0


def is_infrastructure(name: str) -> bool:
    """Tell whether ``name`` is about addresses or the local network: reverse lookups, mDNS, private zones."""
    plain = name.lower().rstrip(".")
    return "." not in plain or any(plain == zone or plain.endswith("." + zone) for zone in INFRASTRUCTURE)
