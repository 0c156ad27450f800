"""Understand ``name=value`` messages of devices we do not know, and of Linux netfilter, when both addresses are there.

Only names that mean the same everywhere are taken; all others are kept in ``edusoc.extra``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, ip_text, put
from collectors.devices.mapping import (
    connection,
    finish_flow,
    own_time,
    put_pairs,
    put_web,
    split_address,
    verdict,
)
from collectors.devices.text import SEMICOLON_EQUALS, Pairs, marked_pairs, quoted_pairs
from soc_core.model.event import Event, Value

_SPELLINGS: Final[Mapping[str, str]] = {
    "source.ip": "src srcip src_ip sip source_ip sourceip srcaddr src_addr saddr source-ip source_address 源ip 源地址",
    "destination.ip": "dst dstip dst_ip dip dest_ip destination_ip destinationip dstaddr dst_addr daddr destination-ip"
    " destination_address 目的ip 目的地址",
    "source.port": "spt sport srcport src_port source_port sourceport source-port 源端口",
    "destination.port": "dpt dport dstport dst_port dest_port destination_port destinationport destination-port"
    " 目的端口",
    "source.mac": "smac srcmac src_mac",
    "destination.mac": "dmac dstmac dst_mac",
    "user.name": "user username user_name usr 用户 用户名",
    "rule.name": "policyname policy_name rule_name rulename",
    "rule.id": "policyid policy_id rule_id ruleid",
    "source.bytes": "sent sentbyte sent_bytes bytes_sent",
    "destination.bytes": "rcvd rcvdbyte rcvd_bytes bytes_received",
    "observer.ingress.interface.name": "indev in_if iif",
    "observer.egress.interface.name": "outdev out_if oif",
}  # fmt: skip
_FIELDS: Final[Mapping[str, str]] = {
    **{name: field for field, names in _SPELLINGS.items() for name in names.split()},
    "proto": "", "protocol": "", "action": "", "act": "", "time": "", "url": "", "in": "", "out": "", "mac": "",
}  # fmt: skip
_ADDRESSES: Final = tuple(frozenset(_SPELLINGS[field].split()) for field in ("source.ip", "destination.ip"))
_START: Final = re.compile(
    r"(?:^|[\s,;])(?:SRC|src|srcip|src_ip|sip|source_ip|sourceip|srcaddr|src_addr|saddr|源IP)\s?=", re.ASCII
)
_UPTIME: Final = re.compile(r"^\[ {0,8}\d{1,10}\.\d{1,9}\] ?")
_LEAST: Final = 4


class KeyValue:
    """Understand pairs with a source and a destination address."""

    name: str = "keyvalue"
    title: tuple[str, str] = ("其他“名=值”日志、Linux netfilter", "Other name=value logs, Linux netfilter")
    datasets: tuple[str, ...] = ("keyvalue.firewall",)
    reference: tuple[str, ...] = (
        "Linux netfilter, xt_LOG and nf_log output (IN= OUT= MAC= SRC= DST= PROTO= SPT= DPT=)",
        "Names that firewalls of Topsec, Fortinet, QiAnXin and LeadSec share in the samples named there",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "按设备说明书填本机地址和 514 端口",
        "as the device's manual says: this address, port 514",
    )
    opening: str = r"(?!)"
    programs: frozenset[str] = frozenset()

    def recognise(self, message: str, _head: Mapping[str, Value], /) -> bool:
        """Return true where several pairs and a name for a source address stand in the message."""
        return message.count("=", 0, 2_048) >= _LEAST and _START.search(message, 0, 2_048) is not None

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what the pairs say; ``None`` unless both addresses are addresses."""
        pairs = (
            marked_pairs(message, SEMICOLON_EQUALS) if message.count(";") >= _LEAST else quoted_pairs(message)
        )
        if not _has_both(pairs):
            return None
        found: Event = {"event.dataset": "keyvalue.firewall"}
        values = put_pairs(found, pairs, _FIELDS)
        words = values.get("action") or values.get("act", "")
        connection(found, verdict(words))
        if words:
            extra(found, "action", words)
        if "in" in values or "out" in values:
            _netfilter(found, message, values)
        own_time(found, values.get("time", ""), zone)
        put_web(found, values.get("url", ""))
        finish_flow(found, values.get("proto") or values.get("protocol", ""))
        return found


def _has_both(pairs: Pairs) -> bool:
    ends = [False, False]
    for name, value in pairs:
        for index, names in enumerate(_ADDRESSES):
            if name.lower() in names and ip_text(split_address(value)[0]) is not None:
                ends[index] = True
    return all(ends)


def _netfilter(found: Event, message: str, values: Mapping[str, str]) -> None:
    """Map netfilter's interfaces and MACs: destination, source and type in one; the prefix says what was done."""
    put(found, "observer.ingress.interface.name", values.get("in"))
    put(found, "observer.egress.interface.name", values.get("out"))
    parts = values.get("mac", "").split(":")
    if len(parts) == 14:
        put(found, "destination.mac", "-".join(parts[:6]).upper())
        put(found, "source.mac", "-".join(parts[6:12]).upper())
    prefix = _UPTIME.sub("", message.partition("IN=")[0]).strip()
    action = verdict(prefix.replace("[", " ").replace("]", " "))
    if action:
        connection(found, action)
    put(found, "rule.name", prefix.strip("[] ") or None)
