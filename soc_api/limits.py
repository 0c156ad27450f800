"""Keep one person, or somebody who is not logged in, from taking what all share: memory, threads, processor time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fastapi import Depends, Request
from starlette.types import Message, Receive

from soc_api.problems import TooLargeError, TooManyError, TooSlowError
from soc_api.security import CallerDependency
from soc_core.errors import StoreBusyError

MAX_BODY: Final = 65_536
"""No form and no API call here is larger: the longest note has 2,000 characters."""
BODY_SECONDS = 20.0
QUESTIONS_AT_ONCE: Final = 6
"""A browser with several tabs stays below; each question may keep two processors busy."""
QUESTIONS_OF_ALL: Final = 16
"""The server answers in 40 threads: however many accounts ask heavy questions, pages without any are still served."""
STREAMS_AT_ONCE: Final = 20
"""A page holds one; several people of a school may share an account."""


class Turns:
    """Count what each account has under way, and refuse more than its share; threads may share it."""

    def __init__(self, most: int, of_all: int = 2**31) -> None:
        """Take how many an account, and all of them together, may have under way at once."""
        self._most = most
        self._of_all = of_all
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def full(self, name: str) -> bool:
        """Tell whether ``take`` would refuse."""
        with self._lock:
            return self._held[name] >= self._most

    @contextmanager
    def take(self, name: str) -> Iterator[None]:
        """Hold one of the account's turns; raise ``TooManyError`` or ``StoreBusyError`` when no turn is free."""
        with self._lock:
            if self._held[name] >= self._most:
                raise TooManyError("too many requests at once", todo="wait until one is answered")
            if self._held.total() >= self._of_all:
                raise StoreBusyError("too many people ask the store at once", todo="try again in a moment")
            self._held[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[name] -= 1
                if not self._held[name]:
                    del self._held[name]


def _question(request: Request, caller: CallerDependency) -> Iterator[None]:
    """Hold one of the caller's turns while a question about events is answered."""
    turns: Turns = request.app.state.questions
    with turns.take(caller.user.name):
        yield


QUESTION_TURN: Final = Depends(_question)
"""For API routes that ask the store; pages find their caller otherwise and take their turns themselves."""


async def read_body(receive: Receive, announced: str) -> Receive | None:
    """Read a whole request body and return what gives it once more; ``None`` when the client went away.

    ``announced`` is the Content-Length header. Raises ``TooLargeError`` and ``TooSlowError``.
    """
    if announced.isascii() and announced.isdigit() and (len(announced) > 9 or int(announced) > MAX_BODY):
        raise TooLargeError("the request is too large")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _gathered(receive)
    except TimeoutError:
        raise TooSlowError("the request did not arrive in time") from None
    if body is None:
        return None
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def _gathered(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise TooLargeError("the request is too large")
        if not message.get("more_body", False):
            return bytes(body)
