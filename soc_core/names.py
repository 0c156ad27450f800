"""Split DNS names into registered domain and what stands before it, by the public suffix list (publicsuffix.org)."""

from __future__ import annotations

from functools import cache, lru_cache

from publicsuffixlist import PublicSuffixList


@cache
def _suffixes() -> PublicSuffixList:
    """Return the list, read once: it takes 30 ms, which not every command needs to spend.

    Names under domains where strangers get names of their own (dynamic DNS, hosting) belong to those strangers: the
    list's private section says which.
    """
    return PublicSuffixList()


@lru_cache(maxsize=65_536)
def split_name(name: str) -> tuple[str, str]:
    """Return (subdomain, registered domain) of ``name`` in lower case; the subdomain is empty for the domain itself.

    A name that is a public suffix itself counts as its own registered domain.
    """
    plain = name.lower().rstrip(".")
    registered = _suffixes().privatesuffix(plain) or plain
    return plain[: -len(registered) - 1], registered
