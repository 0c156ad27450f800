"""Tell what kind a bare value is, by its form, and what words lists use for kinds."""

from __future__ import annotations

import re
from typing import Final

from detectors.indicators.model import Kind

_HASH: Final = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_PRINT: Final = re.compile(r"(?:[0-9a-fA-F]{2}:){19}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}")
_JA4: Final = re.compile(r"[tqd][0-9s][0-9][di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
_ADDRESS: Final = re.compile(r"\[?(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]*)\]?")
_NETWORK: Final = re.compile(r"[0-9a-fA-F:.]+/[0-9]{1,3}")

WORDS: Final[dict[str, Kind]] = {
    "ip": Kind.IP, "ipv4": Kind.IP, "ipv6": Kind.IP, "ip-dst": Kind.IP, "ip-src": Kind.IP, "address": Kind.IP,
    "ip address": Kind.IP, "ipv4-addr": Kind.IP, "ipv6-addr": Kind.IP, "ip地址": Kind.IP, "地址": Kind.IP,
    "network": Kind.NETWORK, "cidr": Kind.NETWORK, "subnet": Kind.NETWORK, "netblock": Kind.NETWORK,
    "网段": Kind.NETWORK, "domain": Kind.DOMAIN, "domain-name": Kind.DOMAIN, "域名": Kind.DOMAIN,
    "hostname": Kind.HOSTNAME, "host": Kind.HOSTNAME, "fqdn": Kind.HOSTNAME, "主机名": Kind.HOSTNAME,
    "url": Kind.URL, "uri": Kind.URL, "link": Kind.URL, "网址": Kind.URL, "链接": Kind.URL,
    "hash": Kind.HASH, "md5": Kind.HASH, "sha1": Kind.HASH, "sha-1": Kind.HASH, "sha256": Kind.HASH,
    "sha-256": Kind.HASH, "file": Kind.HASH, "filehash": Kind.HASH, "md5_hash": Kind.HASH, "sha1_hash": Kind.HASH,
    "sha256_hash": Kind.HASH, "filehash-md5": Kind.HASH, "filehash-sha1": Kind.HASH, "filehash-sha256": Kind.HASH,
    "哈希": Kind.HASH, "文件哈希": Kind.HASH, "样本": Kind.HASH,
    "ja3": Kind.JA3, "ja3-fingerprint-md5": Kind.JA3, "ja3_md5": Kind.JA3, "ja4": Kind.JA4,
    "certificate": Kind.CERTIFICATE, "x509": Kind.CERTIFICATE, "证书": Kind.CERTIFICATE,
    "x509-fingerprint-sha1": Kind.CERTIFICATE, "x509-fingerprint-sha256": Kind.CERTIFICATE,
    "x509-fingerprint-md5": Kind.CERTIFICATE, "serial": Kind.SERIAL, "x509-serial": Kind.SERIAL,
    "证书序列号": Kind.SERIAL,
}  # fmt: skip
"""What lists call the kinds, in lower case."""


def guess(text: str, *, subdomains: bool) -> Kind:
    """Return what kind a value seems to be; a name where it is nothing else, which checking it may then refuse."""
    if "://" in text[:12]:
        return Kind.URL
    if _HASH.fullmatch(text):
        return Kind.HASH
    if _PRINT.fullmatch(text):
        return Kind.CERTIFICATE
    if _JA4.fullmatch(text):
        return Kind.JA4
    if _NETWORK.fullmatch(text):
        return Kind.NETWORK
    if _ADDRESS.fullmatch(text):
        return Kind.IP
    if "/" in text:
        return Kind.URL
    return Kind.DOMAIN if subdomains else Kind.HOSTNAME
