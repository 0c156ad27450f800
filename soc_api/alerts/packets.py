"""Get the packets of an alert's session, and keep in its history who looked at them."""

from __future__ import annotations

from cases.alerts.model import HistoryEntry
from cases.alerts.repository import note_alert
from soc_api.alerts.queries import card_of
from soc_api.security import Caller
from soc_api.services import CutPackets, Services
from soc_core.clock import format_instant


def cut_packets(services: Services, caller: Caller, alert_id: str, action: str) -> CutPackets | None:
    """Return the packets, or ``None`` when no imported capture has them.

    ``action`` names what the person does (``packets.seen``, ``packets.downloaded``); packets hold personal data, so
    each look is recorded before anything is given out. Raises ``NotAllowedError`` outside the scope.
    """
    card, _history = card_of(services, caller, alert_id)
    found = services.packets.cut(caller.scope, card.evidence)
    if found is None:
        return None
    at = format_instant(services.clock())
    entry = HistoryEntry(at, caller.user.name, action, {"packets": found.packets})
    with services.database.write() as connection:
        note_alert(connection, caller.scope, alert_id, entry)
    return found
