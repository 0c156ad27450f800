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
    """How to have the device send its log, in Chinese and English, from the vendor's document."""
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


class Family:
    """Give devices whose openings are theirs alone the usual ``recognise``."""

    __slots__ = ()

    def recognise(self, _message: str, _head: Mapping[str, Value], /) -> bool:
        """Return true: the opening was enough."""
        return True
