"""Write what database servers log the same way for every product, and never keep a password of a statement."""

from __future__ import annotations

import re
from typing import Final

from collectors.coerce import ip_text, put, unique
from collectors.network import put_side
from soc_core.model.event import Event

HIDDEN: Final = "***"
# In quotes, or in the escaped quotes of a statement that is quoted itself; possessive, so that nothing is tried twice.
_QUOTED: Final = (
    r"(?:'((?:[^'\\]|\\.|'')*+)'|\"((?:[^\"\\]|\\.|\"\")*+)\""
    r"|\\'((?:[^'\\]|\\[^'\"])*+)\\'|\\\"((?:[^\"\\]|\\[^'\"])*+)\\\")"
)
_SECRET: Final = re.compile(
    r"((?:identified\s{1,8}(?:with\s{1,8}\S{1,64}\s{1,8})?(?:by|as)(?:\s{1,8}password)?|\bold_password\s{0,8}\(|\bpassword\s{0,8}\("
    r"|\b\w{0,32}password\s{0,8}=?|set\s{1,8}password\s{1,8}for\s{1,8}\S{1,300}\s{0,8}=)\s{0,8})" + _QUOTED,
    re.IGNORECASE,
)
_MARKS: Final = ("'", '"', "\\'", '\\"')
_LEAST: Final = 6
"""A shorter secret can't be told from other text of the record."""
_IAM: Final = re.compile(
    r"\s{0,64}(create|alter|drop|rename|grant|revoke|set\s{1,8}password)\s{1,8}(?:or\s{1,8}replace\s{1,8})?(user|role|group|all|\w)",
    re.IGNORECASE,
)


def hide_passwords(statement: str) -> tuple[str, list[str]]:
    """Return ``statement`` with ``***`` for the passwords of its account commands, and those passwords."""
    found: list[str] = []

    def hide(match: re.Match[str]) -> str:
        place = next((group for group in range(2, 6) if match[group] is not None), 2)
        secret = match[place]
        if not secret or set(secret) == {"*"}:
            return match[0]
        found.append(secret)
        mark = _MARKS[place - 2]
        return f"{match[1]}{mark}{HIDDEN}{mark}"

    return _SECRET.sub(hide, statement), found


def put_statement(event: Event, statement: str, original: str | None) -> None:
    """Write the statement and ``event.original`` without passwords."""
    shown, secrets = hide_passwords(statement)
    put(event, "edusoc.database.statement", shown)
    if original is None:
        return
    kept, _ = hide_passwords(original)
    for secret in secrets:
        if len(secret) >= _LEAST:
            kept = kept.replace(secret, HIDDEN)
        elif secret in kept:
            kept = shown
    event["event.original"] = kept


def start(event: Event, *, dataset: str, product: str, action: str) -> None:
    """Mark ``event`` as one of a database server."""
    event["event.dataset"] = dataset
    event["event.module"] = product
    event["service.type"] = product
    event["event.category"] = ["database"]
    event["event.type"] = ["info"]
    put(event, "event.action", action.strip().lower().replace(" ", "_")[:64])


def mark_login(event: Event, outcome: str) -> None:
    """Mark ``event`` as an attempt to log in; ``outcome`` is empty where the record leaves it open."""
    event["event.category"] = ["database", "authentication"]
    event["event.type"] = ["denied"] if outcome == "failure" else ["start"]
    put(event, "event.outcome", outcome)


def mark_accounts(event: Event, statement: str) -> None:
    """Mark statements that change accounts and rights as such."""
    match = _IAM.match(statement)
    if match is None:
        return
    verb, what = match[1].lower(), match[2].lower()
    if verb in ("grant", "revoke") or verb.startswith("set") or what in ("user", "role", "group"):
        event["event.category"] = ["database", "iam"]
        kind = {"create": "creation", "drop": "deletion"}.get(verb, "change")
        event["event.type"] = ["group" if what == "group" else "user", kind]


def put_account(event: Event, name: str) -> None:
    """Write who did it."""
    put(event, "user.name", name)
    put(event, "related.user", unique([name]))


def put_origin(event: Event, host: str, port: object = None) -> None:
    """Write where a connection comes from: an address, else a name."""
    address = ip_text(host)
    if address is not None:
        put_side(event, "source", address, port)
        put(event, "related.ip", address)
    elif host not in ("", "[local]"):
        put(event, "source.domain", host)
