"""Keep the state of one SMB conversation: requests that wait, shares and files that are open, who logged in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from collectors.packets.dissectors.base import CLIENT, Fields, Message
from collectors.packets.dissectors.ntlm import Authenticate, authenticate_fields
from collectors.packets.dissectors.smb_activity import RENAMED, Activity, OpenFile
from collectors.packets.dissectors.smb_tables import MORE_PROCESSING, status_name

DATASET: Final = "packets.smb"
MAX_PENDING: Final = 512
MAX_EARLY: Final = 256
MAX_TREES: Final = 256
MAX_FILES: Final = 1_024
MAX_EVENTS: Final = 50_000

Key = TypeVar("Key")
Item = TypeVar("Item")


@dataclass(slots=True)
class Request:
    """Hold a request that waits for its response.

    ``what`` is what it does to ``file`` when it succeeds (a counter's name), ``text`` the share or the new name.
    """

    command: int
    file: OpenFile | None = None
    what: str = ""
    text: str = ""
    login: Authenticate | None = None
    tree: int = 0


@dataclass(frozen=True, slots=True)
class Early:
    """Hold a response that came before its request: pieces of the other direction may wait for a hole to fill."""

    command: int
    name: str
    apply: Callable[[Request], None]


def remember(table: OrderedDict[Key, Item], key: Key, item: Item, limit: int) -> None:
    """Keep ``item``; the oldest goes when there are more than ``limit``."""
    table[key] = item
    if len(table) > limit:
        table.popitem(last=False)


class Session:
    """Hold the state of one conversation and the events that are ready."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.pending: OrderedDict[int, Request] = OrderedDict()
        self._early: OrderedDict[int, Early] = OrderedDict()
        self.trees: OrderedDict[int, str] = OrderedDict()
        self.files: OrderedDict[bytes, OpenFile] = OrderedDict()
        self.version = ""
        self.dialect = ""
        self.encrypted = False
        self.answered = False  # responses are seen at all: else requests count as done
        self.client = CLIENT
        self._login: Authenticate | None = None
        self._time_us = 0
        self._offset = 0
        self._side = CLIENT
        self._found: list[Message] = []
        self._events = 0

    def at(self, side: int, time_us: int, offset: int) -> None:
        """Note where the next message stands, and close the period when it is over."""
        self._side, self._time_us, self._offset = side, time_us, offset
        if self.activity.is_over(time_us):
            self._close_period()
        self.activity.at(time_us)

    def request(self, name: str) -> None:
        """Count a request (or a response whose request was not seen)."""
        self.activity.command(name, self._offset)

    def speaks(self, *, response: bool, version: str) -> None:
        """Note who is the client, and the version of the protocol."""
        self.client = 1 - self._side if response else self._side
        self.answered = self.answered or response
        if not self.version or version > self.version:
            self.version = version

    def set_dialect(self, name: str) -> None:
        """Note the negotiated dialect, ``2.???`` only until a better one comes."""
        self.dialect = name
        if name.startswith("3"):
            self.version = "3"

    def encrypted_message(self) -> None:
        """Count a message inside SMB 3 encryption."""
        self.encrypted = True
        self.version = "3"
        self.request("encrypted")

    def compressed_message(self) -> None:
        """Count a compressed message (SMB 3.1.1)."""
        self.request("compressed")

    def wait(self, key: int, request: Request) -> None:
        """Keep a request until its response comes, or take the response that is there already."""
        early = self._early.pop(key, None)
        if early is not None and early.command == request.command:
            early.apply(request)
            return
        if early is not None:
            self._orphan(early)
        if len(self.pending) >= MAX_PENDING:
            self._unanswered(self.pending.popitem(last=False)[1])
        self.pending[key] = request

    def answer(self, key: int, early: Early) -> None:
        """Apply a response to its request, or keep it a while when that has not come."""
        asked = self.pending.get(key)
        if asked is not None and asked.command == early.command:
            del self.pending[key]
            early.apply(asked)
            return
        if key in self._early:
            self._orphan(self._early.pop(key))
        elif len(self._early) >= MAX_EARLY:
            self._orphan(self._early.popitem(last=False)[1])
        self._early[key] = early

    def _orphan(self, early: Early) -> None:
        """Take a response whose request was not captured."""
        self.request(early.name)
        early.apply(Request(early.command))

    def confirm(self, request: Request) -> None:
        """Count what a successful request did to its file."""
        file = request.file
        if file is None or not request.what:
            return
        if request.what == RENAMED:
            self.activity.renamed(file, request.text)
        else:
            self.activity.did(request.what, file)

    def _unanswered(self, request: Request) -> None:
        """Take a request for done when the capture has only the client's side; otherwise nobody knows."""
        if self.answered:
            return
        self._login = request.login or self._login
        if request.file is None:
            self.activity.share(request.text)
        if request.file is not None:
            self.activity.opened(request.file)
            self.confirm(request)

    def logged_in(self, login: Authenticate | None, status: int) -> None:
        """Write the event of a log-in attempt, when it is decided."""
        if status == MORE_PROCESSING:
            return
        if status == 0 and login is not None:
            self._login = login
        fields: Fields = {"event.action": "session_setup", "event.category": ["network", "authentication"]}
        if login is not None:
            fields.update(authenticate_fields(login))
        self._emit(fields, status)

    def connected(self, share: str, tree: int, status: int) -> None:
        """Write the event of a share that was asked for."""
        if status == 0:
            remember(self.trees, tree, share, MAX_TREES)
        fields: Fields = {"event.action": "tree_connect", "event.category": ["network", "file"]}
        if share:
            fields["edusoc.smb.shares"] = [share]
        self._emit({**self._account(), **fields}, status)

    def _account(self) -> Fields:
        return authenticate_fields(self._login) if self._login is not None else {}

    def _emit(self, fields: Fields, status: int) -> None:
        fields["event.outcome"] = "success" if status == 0 else "failure"
        if status:
            fields["edusoc.smb.status"] = [status_name(status)]
        self._add(fields, self._time_us, self._offset)

    def _close_period(self) -> None:
        activity, self.activity = self.activity, Activity()
        self.activity.at(self._time_us)
        if activity.began_us >= 0:
            fields = {**self._account(), **activity.fields(), "event.category": ["network", "file"]}
            self._add(fields, activity.began_us, activity.offset)

    def _add(self, fields: Fields, time_us: int, offset: int) -> None:
        if self._events >= MAX_EVENTS:  # a guessing tool in one connection: the count is clear by then
            return
        self._events += 1
        fields["network.protocol"] = "smb"
        fields["event.type"] = ["protocol", "info"]
        fields["edusoc.smb.encrypted"] = self.encrypted
        if self.version:
            fields["edusoc.smb.version"] = self.version
        if self.dialect:
            fields["edusoc.smb.dialect"] = self.dialect
        self._found.append(Message(DATASET, time_us, offset, fields, self.client))

    def close(self) -> None:
        """Close the last period."""
        while self._early:
            self._orphan(self._early.popitem(last=False)[1])
        for request in self.pending.values():
            self._unanswered(request)
        self._close_period()
        self.pending.clear()
        self.files.clear()

    def taken(self) -> list[Message]:
        """Return the events that are ready, once."""
        found, self._found = self._found, []
        return found
