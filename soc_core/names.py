"""Split DNS names into registered domain and what stands before it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

# Suffixes of two labels under which names are registered: China's (CNNIC) and the commonest others. A full public
# suffix list is not needed here: a wrong guess merges or splits a group, it never changes who asked what.
_SECOND_LEVEL: Final = frozenset(
    {"ac", "co", "com", "edu", "gov", "mil", "net", "or", "org", "ne", "go", "sch", "k12"}
)
_CHINESE_PROVINCES: Final = frozenset(
    {
        "bj", "sh", "tj", "cq", "he", "sx", "nm", "ln", "jl", "hl", "js", "zj", "ah", "fj", "jx", "sd", "ha", "hb",
        "hn", "gd", "gx", "hi", "sc", "gz", "yn", "xz", "sn", "gs", "qh", "nx", "xj", "tw", "hk", "mo",
    }
)  # fmt: skip


@lru_cache(maxsize=65_536)
def split_name(name: str) -> tuple[str, str]:
    """Return (subdomain, registered domain) of ``name`` in lower case; the subdomain is empty for the domain itself."""
    labels = name.lower().rstrip(".").split(".")
    size = 2
    if len(labels) >= 3 and len(labels[-1]) == 2:
        second = labels[-2]
        if second in _SECOND_LEVEL or (labels[-1] == "cn" and second in _CHINESE_PROVINCES):
            size = 3
    return ".".join(labels[:-size]), ".".join(labels[-size:])
