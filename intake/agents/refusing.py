"""Refuse what an agent, or somebody who claims to be one, sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from soc_core.errors import EdusocError
from soc_core.uplink import answers
from soc_core.uplink.answers import Refusal

SENTENCES: Final[Mapping[str, str]] = {
    answers.CODE: "the code is unknown, used or expired",
    answers.UNKNOWN: "no such agent, or not signed by its key",
    answers.REVOKED: "the agent's key was revoked",
    answers.CLOCK: "the request's time is more than a day from ours",
    answers.REPLAYED: "the request's number was used before",
    answers.QUOTA: "the agent sent more than it may",
    answers.BUSY: "the centre can't take it now",
    answers.TOO_LARGE: "the body is larger than agreed",
    answers.MALFORMED: "the body is not the one that was signed",
}


class RefusedError(EdusocError):
    """Report a request that is refused: ``kind`` is one of ``soc_core.uplink.answers``."""

    exit_code = 3

    def __init__(self, kind: str, what: str = "", *, wait: int = 0, number: int = 0) -> None:
        """Take the kind, a sentence where the usual one doesn't fit, seconds to wait, the last number used."""
        super().__init__(what or SENTENCES[kind])
        self.kind, self.wait, self.number = kind, wait, number

    def refusal(self, time: str) -> Refusal:
        """Return the answer; ``time`` is the centre's, canonical."""
        return Refusal(self.kind, self.what, time, self.number, self.wait)
