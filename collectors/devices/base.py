"""Define what a device parser is: it turns a syslog message of one product family into ECS fields.

A parser exists only with a source: a vendor's document or a real sample, named in ``reference``. ``verified`` says
whether it was written against real output of a device; one with a document only is marked 未经实机验证 to users.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Protocol

from soc_core.model.event import Event, Value


class Device(Protocol):
    """Understand the messages of one product family. Has no state: one object serves all threads."""

    name: str
    """Also the first part of its data sets and its ``event.module``, e.g. ``huawei`` of ``huawei.firewall``."""
    title: tuple[str, str]
    """In Chinese and English, as on the nameplate."""
    datasets: tuple[str, ...]
    reference: tuple[str, ...]
    """Titles (and addresses) of the documents or samples it was written from."""
    verified: bool
    setup: tuple[str, str]
    """How to have the device send its log, in Chinese and English, from the vendor's document where we found one."""
    opening: str
    """A regular expression without capturing groups: how its messages begin. The registry tries all at once."""
    programs: frozenset[str]
    """Program names (``log.syslog.appname``) that its messages have, lower case."""

    def recognise(self, message: str, head: Mapping[str, Value], /) -> bool:
        """Tell whether a message that opens like theirs is of this family; not asked where the device is configured."""
        ...

    def interpret(self, message: str, head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return the fields that ``message`` says, or ``None`` if it is none of this family.

        ``head`` are the fields read so far (the syslog header), ``zone`` is that of times without one. Never raises
        for content. The result has ``event.dataset``, category, type and, where the message has a better one, a time of
        the device's own in ``@timestamp``.
        """
        ...


def undocumented_setup(chinese: str, english: str) -> tuple[str, str]:
    """Return the ``setup`` of a device whose vendor's document we didn't find: what to send, but no names of menus."""
    return (
        f"在设备网页的日志设置里添加 syslog 服务器：本机地址、UDP 514，勾选{chinese}；能选编码时选 UTF-8"
        "（没有找到厂商文档，菜单名称以设备为准）",
        f"in the device's log settings add a syslog server: this address, UDP 514, {english}; UTF-8 where offered"
        " (we found no document of the vendor's, so no names of menus)",
    )


class Family:
    """Give devices whose openings are theirs alone the usual ``recognise``."""

    __slots__ = ()

    def recognise(self, _message: str, _head: Mapping[str, Value], /) -> bool:
        """Return true: the opening was enough."""
        return True
