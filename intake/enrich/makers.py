"""Say who made the network card: a camera, a printer and a telephone tell themselves by it (IEEE register)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from netaddr import EUI, AddrFormatError, NotRegisteredError

from soc_core.model.event import Event

_CARDS: Final = tuple((f"{side}.mac", f"edusoc.asset.{side}.maker") for side in ("source", "destination"))
OWN_CHOICE: Final = "locally administered"
"""What telephones and virtual machines have that choose their address themselves: it names no maker and no device."""
_LOCAL_BIT: Final = 0x02


class Makers:
    """Write ``edusoc.asset.source.maker`` and the like; of a host that of its first card."""

    name = "makers"

    def enrich(self, event: Event) -> None:
        """Add the makers of the cards the event names."""
        for field, target in _CARDS:
            value = event.get(field)
            if isinstance(value, str):
                _add(event, target, value)
        cards = event.get("host.mac")
        if isinstance(cards, list) and cards:
            _add(event, "edusoc.asset.host.maker", str(cards[0]))


def _add(event: Event, target: str, address: str) -> None:
    maker = maker_of(address)
    if maker:
        event.setdefault(target, maker)


@lru_cache(maxsize=16_384)
def maker_of(address: str) -> str:
    """Return the maker of a card by its MAC address (48 bits, any usual notation), empty when nobody knows it."""
    try:
        card = EUI(address, version=48)
    except (AddrFormatError, ValueError, TypeError):
        return ""
    if int(card) >> 40 & _LOCAL_BIT:
        return OWN_CHOICE
    try:
        return str(card.oui.registration().org)
    except NotRegisteredError:
        return ""
