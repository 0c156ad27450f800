"""Define what a device parser is: it turns a syslog event's message into ECS fields.

A parser exists only with a source: a vendor's document or a real sample, named in ``reference``. ``verified`` says
whether it was seen with real output of a device; one with a document only is marked 未经实机验证 to users.
"""

from __future__ import annotations

from typing import Protocol

from soc_core.model.event import Event


class Device(Protocol):
    """Understand the messages of one product family."""

    name: str
    """Also the first part of its data sets, e.g. ``huawei`` of ``huawei.firewall``."""
    title: tuple[str, str]
    """In Chinese and English, as on the nameplate."""
    datasets: tuple[str, ...]
    reference: tuple[str, ...]
    """Titles (and addresses) of the documents or samples it was written from."""
    verified: bool

    def recognise(self, event: Event, message: str, /) -> bool:
        """Tell cheaply whether the message may be of this family; only then ``interpret`` is asked."""
        ...

    def interpret(self, event: Event, message: str, /) -> bool:
        """Add what the message says to the syslog event in place; return ``False`` and leave it alone if it says none.

        Never raises for content. Sets ``event.dataset``, category, type, outcome and action, ``observer.*`` (vendor,
        product, type), and a time of the device's own in ``@timestamp`` where the message has a better one.
        """
        ...
