"""Call an outside address now and then, so that somebody else notices when this centre stops (a dead man's switch).

For a centre without a parent: a monitoring service, or a script at another place, alarms when the calls cease. It is
called only while events are taken and detected. That it is due is a row of the table of jobs.
"""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from soc_core.clock import Clock
from soc_core.config import Settings
from soc_core.errors import UsageError
from soc_core.jobs import jobs
from soc_core.state.database import Database

KIND: Final = "centre.heartbeat"
KEY: Final = "outside"
LEASE: Final = timedelta(minutes=1)
SECONDS: Final = 10.0
LOG: Final = logging.getLogger("edusoc.pipeline")


class DeadMansSwitch:
    """Call the configured address when it is due."""

    def __init__(
        self, settings: Settings, database: Database, is_well: Callable[[], bool], clock: Clock
    ) -> None:
        """Take the settings and what tells whether this centre works; raise ``UsageError`` when it is no address."""
        self._url = settings.heartbeat_url
        self._every = timedelta(minutes=max(1, settings.heartbeat_minutes))
        self._database, self._is_well, self._clock = database, is_well, clock
        self._failing = False
        if self._url and urlsplit(self._url).scheme not in {"http", "https"}:
            raise UsageError(
                "setting 'heartbeat_url' is no address", todo="write https://monitor.example/ping/…"
            )

    def ping(self) -> bool:
        """Call when it is due and all is well; return whether a call was made and answered."""
        if not self._url:
            return False
        now = self._clock()
        with self._database.write() as connection:
            due = jobs.due_of(connection, KIND, KEY)
            if due is None or due > now + self._every:
                jobs.put(connection, KIND, KEY, now)
            taken = jobs.lease(connection, KIND, now=now, length=LEASE)
        if not taken:
            return False
        answered = self._is_well() and self._call()
        with self._database.write() as connection:
            jobs.put(connection, KIND, KEY, now + self._every)
        return answered

    def _call(self) -> bool:
        try:
            with urllib.request.urlopen(self._url, timeout=SECONDS) as answer:  # noqa: S310 - http and https only
                answer.read(1_024)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            if not self._failing:
                LOG.warning("the heartbeat can't be sent: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True
