"""Say in the user's language how the event store is."""

from __future__ import annotations

import sys

from edusoc.composition import open_events
from edusoc.options import said, say
from soc_core.config import Settings
from soc_core.errors import EdusocError
from soc_core.printing import printable
from soc_core.store.interface import Health


def read_health(settings: Settings) -> Health:
    """Return how the configured event store is; one that can't even be opened is down."""
    try:
        reader = open_events(settings, writer=False)
    except EdusocError as error:
        return Health("down", (str(error),))
    try:
        return reader.health()
    finally:
        reader.close()


def in_words(health: Health) -> list[str]:
    """Return the state and each reason as a line."""
    state = say("edusoc.health.state", state=say(f"edusoc.health.{health.state}"))
    return [state, *(f"  · {printable(said(reason))}" for reason in health.reasons)]


def warn(health: Health) -> None:
    """Print on stderr what is wrong with the store, nothing when all is well."""
    if health.state != "ok":
        print("\n".join(in_words(health)), file=sys.stderr)
