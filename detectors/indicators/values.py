"""Write values in the one form in which lists and events are compared.

* Addresses: as RFC 5952 has it; an IPv4 address inside an IPv6 one (``::ffff:1.2.3.4``) is the IPv4 address.
* Networks: bits behind the prefix are cleared; one that holds a single address is that address.
* Names: lower case, no dot at the end, letters beyond ASCII as IDNA has them (UTS 46, ``xn--``).
* URLs: ``urls.py``.
* Hashes and TLS prints: lower case; a certificate's serial number in upper case without colons and leading zeros.

``normalise`` raises ``ValueError`` for what is no such value; ``objection`` says why a value that is one must not be
accused: what is private, far too wide or shared by all sorts of harmless things would accuse the innocent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import idna
from publicsuffixlist import PublicSuffixList

from detectors.indicators.model import Kind
from detectors.indicators.urls import canonical_url

WIDEST_IPV4: Final = 8
WIDEST_IPV6: Final = 19
"""The shortest prefixes taken: a typing error must not accuse half the Internet."""
LONGEST: Final = 4_096
_NAME: Final = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9_-]{1,63}")
_HEX: Final = re.compile(r"[0-9a-f]+")
_HASHES: Final = (32, 40, 64)
_JA4: Final = re.compile(r"[tqd][0-9s][0-9][di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
_SERIAL: Final = 8
_LONGEST_SERIAL: Final = 64
"""Hex digits a serial number must have to be accused, and may have (RFC 5280 allows 40)."""
NOTHING: Final = frozenset(
    {
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
)
"""MD5, SHA-1 and SHA-256 of no bytes at all: every empty file has them."""
Address = IPv4Address | IPv6Address


def normalise(kind: Kind, text: str) -> tuple[Kind, str]:
    """Return kind and normalised value; raise ``ValueError`` with a reason.

    The kind changes where a value says so itself: a network of one address, a "name" that is an address, ``*.name``.
    """
    plain = text.strip()
    if not plain:
        raise ValueError("the value is empty")
    if len(plain) > LONGEST:
        raise ValueError("the value is too long")
    return _NORMALISERS[kind](kind, plain)


def parse_address(text: str) -> Address | None:
    """Return the address a text is, an IPv4 address inside an IPv6 one as itself; ``None`` for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def canonical_name(text: str) -> str:
    """Return a DNS name in its one form, empty for what can't be one. Events' names go through this too."""
    plain = text.rstrip(".").lower() if text.isascii() else _encoded(text)
    return plain if _NAME.fullmatch(plain) else ""


def _encoded(text: str) -> str:
    try:
        return idna.encode(text.rstrip("."), uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return ""


@lru_cache(maxsize=4_096)
def shown_name(name: str) -> str:
    """Return a name as people write it: ``xn--`` parts in their letters where that is possible."""
    if "xn--" not in name:
        return name
    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name


@cache
def _suffixes() -> PublicSuffixList:
    """Return the public suffixes under which registries give out names, without those of hosting companies."""
    return PublicSuffixList(only_icann=True)


def _ip(_kind: Kind, text: str) -> tuple[Kind, str]:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "/" in bare:
        return _network(Kind.NETWORK, bare)
    address = parse_address(bare)
    if address is None:
        raise ValueError("this is no IP address")
    return Kind.IP, str(address)


def _network(kind: Kind, text: str) -> tuple[Kind, str]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("this is no network") from None
    if network.prefixlen == network.max_prefixlen:
        return _ip(kind, str(network.network_address))
    return Kind.NETWORK, str(network)


def _domain(kind: Kind, text: str) -> tuple[Kind, str]:
    if text.startswith(("*.", ".")):
        kind, text = Kind.DOMAIN, text.lstrip("*").lstrip(".")
    if parse_address(text) is not None:
        return _ip(Kind.IP, text)
    name = canonical_name(text)
    if not name:
        raise ValueError("this is no domain name")
    if name.rpartition(".")[2].isdigit():
        raise ValueError("this is no domain name")
    return kind, name


def _url(_kind: Kind, text: str) -> tuple[Kind, str]:
    url = canonical_url(text)
    if url is None:
        raise ValueError("this is no web address")
    _domain(Kind.HOSTNAME, url.host.strip("[]"))
    return Kind.URL, url.text


def _hash(kind: Kind, text: str) -> tuple[Kind, str]:
    plain = text.lower()
    if kind is Kind.CERTIFICATE:
        plain = plain.replace(":", "").replace(" ", "")
    if len(plain) not in _HASHES or not _HEX.fullmatch(plain):
        raise ValueError("this is no MD5, SHA-1 or SHA-256 in hexadecimal")
    return kind, plain


def _ja3(kind: Kind, text: str) -> tuple[Kind, str]:
    plain = text.lower()
    if len(plain) != 32 or not _HEX.fullmatch(plain):
        raise ValueError("this is no JA3: 32 hexadecimal digits")
    return kind, plain


def _ja4(kind: Kind, text: str) -> tuple[Kind, str]:
    plain = text.lower()
    if not _JA4.fullmatch(plain):
        raise ValueError("this is no JA4")
    return kind, plain


def canonical_serial(text: str) -> str:
    """Return a certificate's serial number in its one form, empty for what can't be one."""
    plain = text.replace(":", "").replace(" ", "").lower().removeprefix("0x")
    return plain.lstrip("0").upper() if _HEX.fullmatch(plain) else ""


def _serial(kind: Kind, text: str) -> tuple[Kind, str]:
    plain = canonical_serial(text)
    if not plain:
        raise ValueError("this is no serial number in hexadecimal")
    if len(plain) > _LONGEST_SERIAL:
        raise ValueError("this is no serial number in hexadecimal")
    return kind, plain


def objection(kind: Kind, value: str) -> str:
    """Return why a normalised value must not be accused, empty when nothing speaks against it."""
    if kind is Kind.URL:
        host = url_host(value)
        kind, value = (Kind.HOSTNAME, host) if parse_address(host) is None else (Kind.IP, host)
    if kind is Kind.IP:
        address = ip_address(value)
        if not address.is_global or address.is_multicast:
            return "the address is private or reserved: it means another device in every network"
    elif kind is Kind.NETWORK:
        return _objection_to(ip_network(value))
    elif kind in {Kind.DOMAIN, Kind.HOSTNAME}:
        if _suffixes().publicsuffix(value) == value:
            return "everybody's names lie under this domain"
    elif value in NOTHING:
        return "this is the hash of an empty file"
    elif kind is Kind.SERIAL and len(value) < _SERIAL:
        return "a serial number so short was given out by many"
    return ""


def _objection_to(network: IPv4Network | IPv6Network) -> str:
    if network.prefixlen < (WIDEST_IPV4 if network.version == 4 else WIDEST_IPV6):
        return "the network is too large to accuse"
    return "" if network.is_global and not network.is_multicast else "the network is private or reserved"


def url_host(form: str) -> str:
    """Return the host, without brackets, of a web address in its one form."""
    if form.startswith("["):
        return form[1:].partition("]")[0]
    return form.partition("/")[0].partition(":")[0]


_NORMALISERS: Final[dict[Kind, Callable[[Kind, str], tuple[Kind, str]]]] = {
    Kind.IP: _ip,
    Kind.NETWORK: _network,
    Kind.DOMAIN: _domain,
    Kind.HOSTNAME: _domain,
    Kind.URL: _url,
    Kind.HASH: _hash,
    Kind.JA3: _ja3,
    Kind.JA4: _ja4,
    Kind.CERTIFICATE: _hash,
    Kind.SERIAL: _serial,
}
