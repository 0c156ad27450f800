"""Understand Ruijie's RGOS: switches, routers, wireless controllers; the layout is that of Cisco IOS.

What tells them from Cisco is the device's name (``Ruijie`` or ``RG-…``) or the configuration: ``device = "ruijie"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from collectors.devices.ios_layout import Record, put_record, read_record
from soc_core.model.event import Event, Value


class Ruijie:
    """Understand messages of Ruijie's switches, routers and wireless controllers."""

    name: str = "ruijie"
    title: tuple[str, str] = ("锐捷交换机、路由器、无线控制器（RGOS）", "Ruijie RGOS switches, routers, AC")
    datasets: tuple[str, ...] = (
        "ruijie.firewall",
        "ruijie.threat",
        "ruijie.access",
        "ruijie.admin",
        "ruijie.device",
    )
    reference: tuple[str, ...] = (
        "Ruijie RG-WLAN Series Configuration Guide, Configuring Syslog (layout, RFC 5424 layout, enterprise 4881)"
        " https://www.easymanua.ls/ruijie/rg-wlan-series/manual?p=1113",
        "Ruijie RG-S2900G-E Configuration Guide, Syslog https://www.easymanua.ls/ruijie/rg-s2900g-e-series/manual?p=83",
    )
    verified: bool = False
    setup: tuple[str, str] = (
        "logging on；logging server 本机地址；service sysname；service timestamps log datetime year；"
        '设备改过名的，在 syslog 输入里写 device = "ruijie"',
        "logging on; logging server ADDRESS; service sysname; service timestamps log datetime year; for devices with"
        ' names of their own write device = "ruijie" in the syslog input',
    )
    opening: str = (
        r"(?:\d{1,10}: ?)?(?:[*.]?[A-Z][a-z]{2} +\d{1,2} [\d:. ]{8,24}: ?)?(?:\S{1,64} )?%[A-Z]\w{1,31}-"
    )
    programs: frozenset[str] = frozenset()

    def recognise(self, message: str, head: Mapping[str, Value], /) -> bool:
        """Return true where the device's name is Ruijie's own or its enterprise number stands in the header."""
        record = read_record(message)
        name = (record.host if record is not None else "") or str(head.get("log.syslog.hostname", ""))
        return name.lower().startswith(("ruijie", "rg-"))

    def interpret(self, message: str, head: Mapping[str, Value], _zone: tzinfo, /) -> Event | None:
        """Return what an RGOS message says, in the old layout or that of RFC 5424."""
        record = read_record(message) or _new_layout(message, head)
        if record is None:
            return None
        found: Event = {"observer.vendor": "Ruijie", "observer.product": "RGOS"}
        put_record(found, record, self.name)
        return found


def _new_layout(message: str, head: Mapping[str, Value]) -> Record | None:
    """Return the parts of ``<priority>1 time name MODULE LEVEL MNEMONIC [data] text``."""
    module, level, mnemonic = (
        str(head.get(f"log.syslog.{name}", "")) for name in ("appname", "procid", "msgid")
    )
    if not (module.isupper() and mnemonic.isupper() and len(level) == 1 and level in "01234567"):
        return None
    return Record("", module, int(level), mnemonic, message)
