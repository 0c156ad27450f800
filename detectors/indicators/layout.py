"""Say how a file of indicators lies on disk.

Eight bytes of magic, the header's length (4 bytes), the header (JSON), padding to eight bytes, then the sections, each
aligned to eight bytes, all numbers little-endian. The header holds the sections' places and sizes, the lists' heads,
the count, and the SHA-256 of everything behind it. Entries are sorted by the CRC-32 of their key, then the key, then
the list, so that one is found by one step into ``buckets`` and a few comparisons, and always compared byte by byte:
a CRC that happens to be equal never makes a hit.
"""

from __future__ import annotations

from typing import Final

MAGIC: Final = b"EDUSOCI1"
VERSION: Final = 1
BUCKETS: Final = 65_536
MOST_ENTRIES: Final = 20_000_000
MOST_LISTS: Final = 65_535
SECTIONS: Final[dict[str, str]] = {
    "buckets": "I",
    "crcs": "I",
    "keys_at": "I",
    "lists": "H",
    "confidences": "B",
    "tlps": "B",
    "since": "I",
    "expires": "I",
    "reasons": "I",
    "references": "I",
    "texts_at": "I",
    "lengths": "B",
    "hosts": "I",
    "keys": "B",
    "texts": "B",
}
"""Names of the sections in their order, and the type of their items.

``buckets``: for each upper half of a CRC the first entry. ``keys_at``: where each key begins in ``keys``, one more at
the end. ``reasons``, ``references``: numbers of texts. ``lengths``: the prefix lengths of networks that occur, those of
IPv6 with ``IPV6`` added. ``hosts``: the CRC-32 of the hosts of URLs, sorted.
"""
IPV6: Final = 100
"""Added to a prefix length of IPv6 in ``lengths``."""


def aligned(size: int) -> int:
    """Return ``size`` rounded up to eight bytes."""
    return (size + 7) & ~7
