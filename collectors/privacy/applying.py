"""Apply a policy to batches: fields that name accounts, then every text of the same event."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast
from urllib.parse import quote

from collectors.base import Batch
from collectors.lines import decode_text
from collectors.privacy.finding import Finder, is_word
from collectors.privacy.policy import KEEP, REMOVE, Policy
from collectors.privacy.tokens import DEVICE, ID, MAIL, NAME, USER, Tokens, is_token
from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, BadRecord, Event, Value, values_of

_LOGGER: Final = logging.getLogger("edusoc.collectors")
CORRELATION: Final = "edusoc.correlation"
POLICY: Final = "edusoc.privacy"
_ORIGINAL: Final = "event.original"
_NOT_PEOPLE: Final = frozenset(
    {
        "user.domain", "user.target.domain", "user.roles", "group.name", "group.id", "group.domain",
        "winlog.event_data.UserContext",
    }
)  # fmt: skip
"""Fields of the class ``account`` that name groups, roles and domains: not a person."""
_KINDS: Final[Mapping[str, str]] = {
    "user.full_name": NAME,
    "user.email": MAIL,
    "user.id": ID,
    "user.target.id": ID,
    "winlog.event_data.MemberSid": ID,
    "winlog.event_data.SubjectUserSid": ID,
    "winlog.event_data.TargetSid": ID,
    "winlog.event_data.TargetUserSid": ID,
}
_ACCOUNTS: Final = {
    name: _KINDS.get(name, USER)
    for name, field in FIELDS.items()
    if field.personal == "account" and name not in _NOT_PEOPLE
}
_NEVER_WHOLE: Final = frozenset({EXTRA, "event.reason"})
"""Texts of which only what is personal goes, never all: most of what they say is about devices."""
_TEXTS: Final = _NEVER_WHOLE | frozenset(
    name for name, field in FIELDS.items() if field.personal == "content" and name != _ORIGINAL
)
_DEVICES: Final = frozenset(
    name for name, field in FIELDS.items() if field.personal == "device" and field.type == "keyword"
)
_CONCERNED: Final = _ACCOUNTS.keys() | _TEXTS | _DEVICES
_PEOPLE_BEGIN: Final = 1_000
"""Numeric user ids below it are the system's (LSB, login.defs); relative ids of Windows below it are built in."""
_NOBODY: Final = frozenset({65_534, 65_535, 2**32 - 2, 2**32 - 1})
"""Numeric ids that mean nobody; other high ones are students' numbers and accounts of a directory."""
_NOT_IN_NAMES: Final = frozenset("'\"<>;(){}[]|&`*?%=,")
"""Who logs in with these attacks; the attempt stays as it is, as free text."""
_SHOWN: Final = re.compile(r"[\w.@\- ]+\([\w.@\- ]+\)")
"""An account with its person's name behind it, as gateways show it: no attack."""
_DISTINGUISHED: Final = re.compile(r"((?:cn|uid)=)((?:[^,\\]|\\.)+)(.*)", re.IGNORECASE | re.DOTALL)
"""A distinguished name (RFC 4514): its first part names the account, the rest where it stands."""
_ACCOUNT_KEY: Final = re.compile(
    r"(?:^|[._\-])(?:[sd]?user(?:_?name)?|[sd]usr|account(?:_?name)?|acct|login(?:_?name)?|用户名?|账号|帐号)=",
    re.IGNORECASE,
)
_NAME_KEY: Final = re.compile(
    r"(?:^|[._\-])(?:(?:real|full|display|student|teacher)_?name|姓名|真实姓名)=", re.IGNORECASE
)
"""Keys in ``edusoc.extra`` whose values are accounts and names, as devices call them."""
_LEAST: Final = 3
_ESCAPES: Final = re.compile(r"(?<!\\)(?:\\u(?!00[0-7])[0-9A-Fa-f]{4})+")
"""Escapes of letters beyond ASCII; an escaped backslash before ``u`` begins none."""


class Privacy:
    """Replace personal values of events in place. One for a configuration; safe to use from several threads."""

    def __init__(self, policy: Policy, tokens: Tokens) -> None:
        """Take what is wanted and the keys."""
        self.policy = policy
        self._tokens = tokens
        self._clear = policy.clear_pattern
        self._finder = Finder(policy.names, policy.student_number)
        self._mark = (
            f"accounts={policy.accounts} content={policy.content} original={policy.original}"
            f" devices={policy.devices}"
        )

    def apply(self, batch: Batch) -> None:
        """Replace in all events and in the bytes of bad records; count ``privacy_replaced``."""
        replaced, hidden = 0, list[Event]()
        for event in batch.events:
            try:
                replaced += self._event(event)
                hidden.append(event)
            except Exception as fault:  # it must neither leave as it is nor take the others with it
                _LOGGER.exception("an event can't be hidden")
                where = str(event.get("event.dataset", ""))
                batch.bad.append(BadRecord(where, 0, 0, f"privacy failed: {type(fault).__name__}"))
        batch.events[:] = hidden
        if self.policy.content != KEEP:
            batch.bad[:] = [replace(bad, raw=self._raw(bad.raw)) for bad in batch.bad]
        if replaced:
            batch.count("privacy_replaced", replaced)

    def changes(self, name: str, value: str) -> bool:
        """Tell whether this value in the field ``name`` would be replaced: a rule that looks for it sees it no more."""
        event: Event = {name: [value] if name in FIELDS and FIELDS[name].multi else value}
        before = event[name]
        self._event(event)
        return event.get(name) != before

    def removes(self, name: str) -> bool:
        """Tell whether the field is removed whatever it holds."""
        if name == _ORIGINAL:
            return self.policy.original == REMOVE
        return name in _TEXTS and name not in _NEVER_WHOLE and self.policy.content == REMOVE

    def _raw(self, raw: bytes) -> bytes:
        if not raw or self.policy.content == REMOVE:
            return b""
        text = decode_text(raw)
        hidden = self._finder.hide(text, self._tokens.token)
        return raw if hidden == text else hidden.encode("utf-8", "surrogatepass")

    def _event(self, event: Event) -> int:
        """Return how many values were replaced."""
        hiding = _Hiding(self._tokens)
        concerned = [name for name in event if name in _CONCERNED]
        if self.policy.accounts != KEEP:
            for name in concerned:
                if name in _ACCOUNTS:
                    self._field(event, name, self._account(name, hiding))
            self._extras(event, hiding)
        if self.policy.devices != KEEP:
            for name in concerned:
                if name in _DEVICES:
                    self._field(event, name, lambda value: hiding.whole(DEVICE, value))
        self._texts(event, concerned, hiding)
        self._original(event, hiding)
        if hiding.correlations:
            event[CORRELATION] = sorted(hiding.correlations.union(map(str, values_of(event, CORRELATION))))
        if hiding.user_hash and "user.hash" not in event:
            event["user.hash"] = hiding.user_hash
        event[POLICY] = self._mark
        return hiding.count

    def _account(self, name: str, hiding: _Hiding) -> Callable[[str], str]:
        """Return what replaces a value of an account's field."""
        kind = _ACCOUNTS[name]
        if kind == ID:
            return lambda value: value if _built_in(value) else hiding.whole(ID, value)
        if kind == NAME:
            return lambda value: value if self._names_nobody(value) else hiding.whole(NAME, value)
        main = name == "user.name"
        return lambda value: self._login(value, kind, hiding, main=main)

    def _login(self, value: str, kind: str, hiding: _Hiding, *, main: bool) -> str:
        r"""Return ``DOMAIN\\account`` and ``account@domain`` with the account replaced."""
        named = _DISTINGUISHED.fullmatch(value)
        if named is not None:
            stays = self._names_nobody(named[2])
            return value if stays else f"{named[1]}{hiding.whole(kind, named[2])}{named[3]}"
        domain, slash, rest = value.rpartition("\\")
        account, at, realm = rest.partition("@")
        if self._stays(account):
            return value
        token = hiding.whole(kind, account)
        if main:
            hiding.user_hash = self._tokens.correlation(kind, account)
        return f"{domain}{slash}{token}{at}{realm}"

    def _stays(self, account: str) -> bool:
        """Tell whether an account names no person: a system's, an administrator's, an attack, already a token."""
        attack = not _NOT_IN_NAMES.isdisjoint(account) and _SHOWN.fullmatch(account.strip()) is None
        return attack or self._names_nobody(account)

    def _names_nobody(self, name: str) -> bool:
        """Tell whether a name is a system's, an administrator's or already a token."""
        plain = name.strip().lower()
        return len(plain) < 2 or self._clear.match(plain) is not None or is_token(plain)

    def _extras(self, event: Event, hiding: _Hiding) -> None:
        """Replace accounts and names that ``edusoc.extra`` holds under a key that says so."""
        items = event.get(EXTRA)
        if not isinstance(items, list) or not _texts_only(items):
            return
        kept = []
        for item in cast("list[str]", items):
            key, equals, value = item.partition("=")
            after = self._extra_value(f"{key}{equals}", value, hiding)
            if after == value or self.policy.accounts != REMOVE:
                kept.append(f"{key}{equals}{after}")
        event[EXTRA] = kept

    def _extra_value(self, key: str, value: str, hiding: _Hiding) -> str:
        if _ACCOUNT_KEY.search(key):
            return self._login(value, USER, hiding, main=False)
        if _NAME_KEY.search(key) and not self._names_nobody(value):
            return hiding.whole(NAME, value)
        return value

    def _field(self, event: Event, name: str, change: Callable[[str], str]) -> None:
        action = self.policy.devices if name in _DEVICES else self.policy.accounts
        if action == REMOVE:
            _drop_changed(event, name, change)
        else:
            event[name] = _changed(event[name], change)

    def _texts(self, event: Event, concerned: Sequence[str], hiding: _Hiding) -> None:
        action = self.policy.content
        if action == KEEP and not hiding.words:
            return
        for name in concerned:
            if name not in _TEXTS:
                continue
            if action == REMOVE and name not in _NEVER_WHOLE:
                del event[name]
                hiding.count += 1
            else:
                event[name] = _changed(event[name], lambda text: self._hidden(text, hiding))

    def _original(self, event: Event, hiding: _Hiding) -> None:
        value = event.get(_ORIGINAL)
        if not isinstance(value, str) or self.policy.original == KEEP:
            return
        if self.policy.original == REMOVE:
            del event[_ORIGINAL]
            hiding.count += 1
        else:
            event[_ORIGINAL] = self._hidden(value, hiding)

    def _hidden(self, text: str, hiding: _Hiding) -> str:
        """Return a text without the event's accounts and without what looks personal.

        JSON may spell what is not ASCII in escapes (RFC 8259 section 7): where that hides something, they are undone.
        """
        text = self._plain_hidden(text, hiding)
        if _ESCAPES.search(text) is None:
            return text
        plain = _ESCAPES.sub(_unescaped, text)
        hidden = self._plain_hidden(plain, hiding)
        return text if hidden == plain else hidden

    def _plain_hidden(self, text: str, hiding: _Hiding) -> str:
        for word, token in hiding.words.items():
            text = replace_word(text, word, token)
        return self._finder.hide(text, self._found(hiding)) if self.policy.content != KEEP else text

    def _found(self, hiding: _Hiding) -> Callable[[str, str], str]:
        def found(kind: str, value: str) -> str:
            return value if kind == MAIL and self._stays(value) else hiding.part(kind, value)

        return found


class _Hiding:
    """Hold what was hidden of one event."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.words: dict[str, str] = {}
        self.correlations: set[str] = set()
        self.user_hash = ""
        self.count = 0

    def whole(self, kind: str, value: str) -> str:
        """Return the token of a field's value, which is then looked for in texts too."""
        token = self.part(kind, value)
        if len(value) >= _LEAST or not value.isascii():
            self.words[value] = token
        return token

    def part(self, kind: str, value: str) -> str:
        """Return the token of a value."""
        self.count += 1
        correlation = self._tokens.correlation(kind, value)
        if correlation:
            self.correlations.add(correlation)
        return self._tokens.token(kind, value)


def _changed(value: Value, change: Callable[[str], str]) -> Value:
    """Return a field's value with every text changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [change(item) for item in cast("list[str]", value)] if _texts_only(value) else value
    return value


def _texts_only(values: Sequence[object]) -> bool:
    return all(isinstance(item, str) for item in values)


def _drop_changed(event: Event, name: str, change: Callable[[str], str]) -> None:
    """Remove a field or the items of a list that would have been replaced; what stays clear stays."""
    value = event[name]
    if isinstance(value, list):
        kept = [item for item in cast("list[str]", value) if change(item) == item]
        if kept:
            event[name] = kept
            return
    elif not isinstance(value, str) or change(value) == value:
        return
    del event[name]


def _unescaped(found: re.Match[str]) -> str:
    """Return the letters of a run of escapes; half a pair of surrogates stays as it is written."""
    units = bytes.fromhex(found[0].replace("\\u", ""))
    try:
        return units.decode("utf-16-be")
    except UnicodeDecodeError:
        return found[0]


def _built_in(value: str) -> bool:
    """Tell whether a user id is the system's own: a low number, a well-known SID ([MS-DTYP] section 2.4.2.4)."""
    if value.isascii() and value.isdigit():
        return len(value) <= 10 and (int(value) < _PEOPLE_BEGIN or int(value) in _NOBODY)
    if not value.upper().startswith("S-1-5-21-"):
        return value.upper().startswith("S-1-") or is_token(value)
    last = value.rpartition("-")[2]
    return last.isascii() and last.isdigit() and len(last) <= 10 and int(last) < _PEOPLE_BEGIN


def replace_word(text: str, word: str, token: str) -> str:
    """Return ``text`` with ``word`` replaced where it stands alone, in any case, and in the coding of URLs."""
    for form in _forms(word):
        folded, wanted = text.lower(), form.lower()
        if len(folded) != len(text) or len(wanted) != len(
            form
        ):  # a letter whose small form is longer: exact only
            folded, wanted = text, form
        start = folded.find(wanted)
        if start < 0:
            continue
        parts, last = list[str](), 0
        while start >= 0:
            end = start + len(wanted)
            if is_word(text, start, end):
                parts += [text[last:start], token]
                last = end
            start = folded.find(wanted, end)
        text = "".join([*parts, text[last:]])
    return text


def _forms(word: str) -> Iterable[str]:
    return (word,) if word.isascii() else (word, quote(word, errors="surrogatepass"))
