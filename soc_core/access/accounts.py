"""Create accounts, check passwords, keep sessions.

Passwords are stored as argon2id hashes (RFC 9106 parameters of argon2-cffi's default profile). A session is a random
256-bit token of which only the SHA-256 is stored, so a stolen database opens no session. Failed log-ins of one name
are counted over 15 minutes: from the tenth on the name is locked for that time (GB/T 22239-2019 8.1.4.1 b).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from soc_core.access.tables import failures, sessions, users
from soc_core.clock import format_instant
from soc_core.errors import NotAllowedError, UsageError
from soc_core.printing import is_printable

SESSION_LENGTH: Final = timedelta(hours=10)
FAILURE_WINDOW: Final = timedelta(minutes=15)
MAX_FAILURES: Final = 10
MAX_ADDRESS_FAILURES: Final = 100
"""From one address: a school's staff share one, but nobody types a hundred wrong passwords in 15 minutes."""
MAX_PASSWORD: Final = 256
_NAME: Final = re.compile(r"[\w.-][\w.@-]{0,63}")  # what begins with @ counts failures of an address
MIN_PASSWORD: Final = 10
_hasher: Final = PasswordHasher()
_ABSENT_HASH: Final = _hasher.hash(secrets.token_hex(16))


class Role(StrEnum):
    """Name what a person does here; what they may see is decided by their unit, not by their role."""

    ANALYST = "analyst"
    CONTACT = "contact"
    AUDITOR = "auditor"
    OVERSEER = "overseer"
    DEVELOPER = "developer"

    @property
    def may_handle(self) -> bool:
        """Tell whether the role may change alerts; auditors and overseers only look (三权分立)."""
        return self in {Role.ANALYST, Role.CONTACT, Role.DEVELOPER}

    @property
    def may_tune(self) -> bool:
        """Tell whether the role may set rules and suppress: analysts, and who runs the installation."""
        return self in {Role.ANALYST, Role.DEVELOPER}

    @property
    def may_inspect(self) -> bool:
        """Tell whether the role may see how the store is and what it keeps: auditors, and who runs the installation."""
        return self in {Role.AUDITOR, Role.DEVELOPER}


@dataclass(frozen=True, slots=True)
class User:
    """Hold an account; ``organisation_id`` is the unit whose subtree the person may see."""

    name: str
    display_name: str
    role: Role
    organisation_id: str | None
    language: str
    demo: bool


@dataclass(frozen=True, slots=True)
class Session:
    """Hold an open session; ``csrf`` must come back with every changing form."""

    user: User
    csrf: str
    expires_at: str


def add_user(connection: Connection, user: User, password: str, *, now: datetime) -> None:
    """Create an account, or replace the one of the same name.

    Raises ``UsageError`` for a name that can't be typed in and for a password that is too short, too long or no text.
    """
    if not _NAME.fullmatch(user.name):
        raise UsageError(
            "a log-in name has 1 to 64 letters, digits and . _ - @",
            where=repr(user.name[:64]),
        )
    if len(password) < MIN_PASSWORD:
        raise UsageError(f"a password needs at least {MIN_PASSWORD} characters", where=user.name)
    if len(password) > MAX_PASSWORD or not is_printable(password):
        raise UsageError(
            f"a password has at most {MAX_PASSWORD} characters, all of which can be typed", where=user.name
        )
    connection.execute(delete(sessions).where(sessions.c.user_name == user.name))
    connection.execute(delete(users).where(users.c.name == user.name))
    connection.execute(
        insert(users).values(
            name=user.name,
            display_name=user.display_name,
            password_hash=_hasher.hash(password),
            role=user.role.value,
            organisation_id=user.organisation_id,
            language=user.language,
            disabled=False,
            demo=user.demo,
            created_at=format_instant(now),
        )
    )


def require_free(connection: Connection, name: str) -> None:
    """Raise ``UsageError`` when an open account has this name."""
    question = select(users.c.name).where(users.c.name == name, users.c.disabled.is_(False))
    if connection.execute(question).first() is not None:
        raise UsageError(
            "there is an account of this name already",
            where=repr(name[:64]),
            todo="choose another name, or add --replace to give it this role, unit and password",
        )


def disable_user(connection: Connection, name: str) -> None:
    """Close an account and its sessions at once; what it did stays. Raise ``UsageError`` when there is none.

    ``add_user`` opens it anew, with a new password.
    """
    closed = connection.execute(update(users).where(users.c.name == name).values(disabled=True))
    if not closed.rowcount:
        raise UsageError("there is no account of this name", where=repr(name[:64]))
    connection.execute(delete(sessions).where(sessions.c.user_name == name))


def list_users(connection: Connection, *, demo_only: bool = False) -> list[User]:
    """Return the accounts that are not disabled, ordered by name."""
    question = select(users).where(users.c.disabled.is_(False)).order_by(users.c.name)
    if demo_only:
        question = question.where(users.c.demo.is_(True))
    return [_user(row._mapping) for row in connection.execute(question)]


def check_password(connection: Connection, name: str, password: str, *, now: datetime) -> User:
    """Return the account when the password is right; raise ``NotAllowedError`` otherwise, always after equal work."""
    if recent_failures(connection, name, now=now) >= MAX_FAILURES:
        raise NotAllowedError("too many failed attempts", todo="wait 15 minutes and try again")
    row = connection.execute(select(users).where(users.c.name == name)).first()
    right = _verify(row.password_hash if row is not None else _ABSENT_HASH, password)
    if row is None or not right or row.disabled:
        raise NotAllowedError("the name or the password is wrong")
    return _user(row._mapping)


def recent_failures(connection: Connection, name: str, *, now: datetime) -> int:
    """Return how many log-ins of a name (or, written ``@address``, from an address) failed in the last 15 minutes."""
    since = format_instant(now - FAILURE_WINDOW)
    recent = select(func.count()).select_from(failures)
    return connection.scalar(recent.where(failures.c.user_name == name[:64], failures.c.at >= since)) or 0


def record_failure(connection: Connection, name: str, *, now: datetime) -> None:
    """Count a failed log-in and forget those that no longer matter."""
    connection.execute(delete(failures).where(failures.c.at < format_instant(now - FAILURE_WINDOW)))
    connection.execute(insert(failures).values(user_name=name[:64], at=format_instant(now)))


def open_session(connection: Connection, user: User, *, now: datetime) -> str:
    """Open a session and return its token: it goes to the browser's cookie and is stored nowhere."""
    token = secrets.token_urlsafe(32)
    connection.execute(delete(sessions).where(sessions.c.expires_at <= format_instant(now)))
    connection.execute(
        insert(sessions).values(
            token_hash=_token_hash(token),
            user_name=user.name,
            csrf=secrets.token_urlsafe(24),
            created_at=format_instant(now),
            expires_at=format_instant(now + SESSION_LENGTH),
        )
    )
    return token


def find_session(connection: Connection, token: str, *, now: datetime) -> Session | None:
    """Return the session of a token while it lasts and its account is not disabled."""
    question = (
        select(users, sessions.c.csrf, sessions.c.expires_at)
        .join(sessions, sessions.c.user_name == users.c.name)
        .where(sessions.c.token_hash == _token_hash(token), sessions.c.expires_at > format_instant(now))
        .where(users.c.disabled.is_(False))
    )
    row = connection.execute(question).first()
    return None if row is None else Session(_user(row._mapping), row.csrf, row.expires_at)


def close_session(connection: Connection, token: str) -> None:
    """End a session; ending one that is gone does nothing."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == _token_hash(token)))


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def _user(row: RowMapping) -> User:
    return User(
        row["name"],
        row["display_name"],
        Role(row["role"]),
        row["organisation_id"],
        row["language"],
        bool(row["demo"]),
    )
