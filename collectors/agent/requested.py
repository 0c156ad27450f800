"""Cut the packets that the centre orders out of what is kept here, and hold them until the uplink has sent them.

Body of the order: ``community_id``, ``start`` and ``end`` (instants, at most a day apart) and, if wanted,
``most`` packets. Packets hold personal data: who asked and why stands in the centre's audit; here the site's consent
decides (``[orders] packets``), and what was sent is removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from soc_core.clock import parse_instant
from soc_core.errors import StoreError, UsageError
from soc_core.log.files import write_whole
from soc_core.uplink.orders import Order
from soc_core.uplink.packets import MAX_CAPTURE, pack_capture

FOLDER: Final = "requested"
ENDING: Final = ".pcap.zst"
MOST_PACKETS: Final = 20_000
LONGEST: Final = timedelta(days=1)
MOST_HELD: Final = 20
_COMMUNITY: Final = re.compile(r"1:[A-Za-z0-9+/]{27}=")


class CutResult(Protocol):
    """Say how many packets were cut, and whether there were more."""

    @property
    def packets(self) -> int:
        """Return how many."""
        ...

    @property
    def more(self) -> bool:
        """Tell whether some were left out."""
        ...


class Keep(Protocol):
    """Keep packets and cut sessions out of them (``collectors.packets.keeping``, which few agents import)."""

    def cut(
        self, community: str, start: datetime, end: datetime, target: Path, *, max_packets: int
    ) -> CutResult:
        """Write a session's packets to ``target``, which is not made when there are none."""
        ...


class Requested:
    """Hold what was cut until it is sent: ``<order>.pcap.zst`` in a folder of the agent's state."""

    def __init__(self, state: Path, keeps: Callable[[], Iterable[Keep]]) -> None:
        """Take the agent's state directory, and what keeps packets here just now."""
        self._folder, self._keeps = state / FOLDER, keeps

    def run(self, order: Order) -> str:
        """Cut what an order asks for. Raises ``UsageError`` when it can't be read, or nothing is kept of it."""
        community, start, end, most = _wanted(order)
        keeps = list(self._keeps())
        if not keeps:
            raise UsageError(
                "this agent keeps no packets", todo="set keep_megabytes of an input of kind packets"
            )
        self._folder.mkdir(exist_ok=True, mode=0o700)
        if len(self.waiting()) >= MOST_HELD:
            raise StoreError("packets cut earlier are not sent yet", todo="try again later")
        plain = self._folder / f"{order.number}.part"
        try:
            for keep in keeps:
                cut = keep.cut(community, start, end, plain, max_packets=most)
                if cut.packets:
                    size = self._hold(order.number, plain)
                    return f"packets: {cut.packets}{'+' if cut.more else ''}, bytes: {size}"
        except OSError as error:
            raise StoreError(error.strerror or str(error), where=str(self._folder)) from error
        finally:
            plain.unlink(missing_ok=True)
        raise UsageError("no packets of this session are kept here", where=f"order {order.number}")

    def _hold(self, number: int, plain: Path) -> int:
        if plain.stat().st_size > MAX_CAPTURE:
            raise UsageError(f"the packets have more than {MAX_CAPTURE} bytes", todo="ask for fewer")
        packed = pack_capture(plain.read_bytes())
        write_whole(self._path(number), packed)
        return len(packed)

    def interrupted(self, order: Order) -> str:
        """Remove what a crash left."""
        for path in (self._path(order.number), self._folder / f"{order.number}.part"):
            path.unlink(missing_ok=True)
        return "nothing was sent"

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}{ENDING}"

    def waiting(self) -> list[int]:
        """Return the orders whose packets wait to be sent, lowest first."""
        names = [path.name.removesuffix(ENDING) for path in self._folder.glob(f"*{ENDING}")]
        return sorted(int(name) for name in names if name.isdigit())

    def body(self, number: int) -> bytes:
        """Return what is sent for an order; empty when it is gone."""
        try:
            return self._path(number).read_bytes()
        except OSError:
            return b""

    def sent(self, number: int) -> None:
        """Remove what the centre has, or doesn't want."""
        with suppress(OSError):
            self._path(number).unlink(missing_ok=True)


def _wanted(order: Order) -> tuple[str, datetime, datetime, int]:
    community, most = str(order.body.get("community_id", "")), order.body.get("most", MOST_PACKETS)
    try:
        start, end = (parse_instant(str(order.body.get(name, ""))) for name in ("start", "end"))
        number = int(str(most))
    except ValueError as error:
        raise UsageError(f"the order can't be read: {error}", where=f"order {order.number}") from error
    if not _COMMUNITY.fullmatch(community):
        raise UsageError(
            "the order names no session", where=f"order {order.number}", todo="give its community_id"
        )
    if not start <= end <= start + LONGEST or not 1 <= number <= MOST_PACKETS:
        raise UsageError(
            "the order asks for too much",
            where=f"order {order.number}",
            todo=f"at most one day and {MOST_PACKETS} packets",
        )
    return community, start, end, number
