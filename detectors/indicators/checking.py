"""Say of one value which lists hold it and what allows it: what matching would do, with everything it would look at."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.indicators.matching import Judgement, allowed_by
from detectors.indicators.model import Head, Indicator, Kind
from detectors.indicators.reading.plain import kind_and_value
from detectors.indicators.table import Table
from detectors.indicators.values import normalise, url_host

Found = tuple[tuple[Head, Indicator], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """Hold what was found: ``listed`` by accusing lists, ``allowed`` by others; ``matches`` says who wins.

    ``kind`` is ``None``, and ``fault`` says why, where the value is nothing that can be listed.
    """

    text: str
    kind: Kind | None
    value: str
    listed: Found = ()
    allowed: Found = ()
    matches: bool = False
    fault: str = ""

    def as_row(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "text": self.text,
            "kind": self.kind.value if self.kind else "",
            "value": self.value,
            "matches": self.matches,
            "listed": [_row(head, entry) for head, entry in self.listed],
            "allowed": [_row(head, entry) for head, entry in self.allowed],
            "fault": self.fault,
        }


def check(table: Table, text: str) -> Checked:
    """Return what a table says of a value as people write it."""
    guessed, plain, _ = kind_and_value(text, True)
    try:
        kind, value = normalise(guessed, plain)
    except ValueError as error:
        return Checked(text, None, "", fault=str(error))
    judgement = Judgement(table)
    numbers = _listing(judgement, kind, value)
    entries = [(table.head(number), table.entry(number)) for number in sorted(numbers)]
    beaten = [(table.head(number), table.entry(number)) for number in allowed_by(judgement, kind, value)]
    return Checked(
        text,
        kind,
        value,
        tuple((head, entry) for head, entry in entries if not head.allow),
        tuple(dict.fromkeys((*(item for item in entries if item[0].allow), *beaten))),
        _matches(judgement, kind, value),
    )


def _listing(judgement: Judgement, kind: Kind, value: str) -> set[int]:
    if kind in {Kind.DOMAIN, Kind.HOSTNAME}:
        return judgement.listing_name(value)
    if kind is Kind.IP:
        return judgement.listing_address(value)
    if kind is Kind.URL:
        host = url_host(value)
        around = judgement.listing_address(host) or judgement.listing_name(host)
        return around | set(judgement.table.find(kind.letter + value.encode()))
    kinds = {kind}
    if kind in {Kind.HASH, Kind.JA3, Kind.CERTIFICATE}:
        kinds = {Kind.HASH, Kind.JA3, Kind.CERTIFICATE}
    return {number for one in kinds for number in judgement.table.find(one.letter + value.encode())}


def _matches(judgement: Judgement, kind: Kind, value: str) -> bool:
    if kind in {Kind.DOMAIN, Kind.HOSTNAME}:
        return judgement.name(value) is not None
    if kind is Kind.IP:
        return judgement.address(value) is not None
    if kind is Kind.URL:
        host = judgement.name(url_host(value))
        return host is not None or judgement.url("//" + value) is not None
    if kind is Kind.NETWORK:
        return any(not judgement.table.head(number).allow for number in _listing(judgement, kind, value))
    judges = (judgement.hash, judgement.ja3, judgement.ja4, judgement.certificate, judgement.serial)
    return any(judge(value) is not None for judge in judges)


def _row(head: Head, entry: Indicator) -> dict[str, object]:
    return {
        "list": head.name,
        "list_id": head.id,
        "source": head.source,
        "kind": entry.kind.value,
        "value": entry.value,
        "confidence": entry.confidence,
        "tlp": entry.tlp.value,
        "since": entry.since,
        "expires": entry.expires,
        "reason": entry.reason,
        "reference": entry.reference,
    }
