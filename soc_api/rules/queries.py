"""Ask how rules stand the way both the API and the pages show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from cases.rules.statistics import RuleStatistics, daily_counts, statistics_of
from detectors.sigma.model import CorrelationRule, RuleSet, SigmaRule, Words
from detectors.sigma.samples import samples_of
from intake.rules.library import Shelf
from intake.rules.model import Defaults, Setting
from intake.rules.repository import get_setting, list_settings
from intake.rules.standings import Standing, Standings
from soc_api.cursors import seal, unseal
from soc_api.security import Caller
from soc_api.services import Services
from soc_core import i18n
from soc_core.errors import NotAllowedError
from soc_core.model.detection import Reason, Severity
from soc_core.organisations.repository import today
from soc_core.reasons import reason_text

DAYS: Final = 7
DETAIL_DAYS: Final = 30
LONGEST_SOURCE: Final = 200_000
NOTHING: Final = Shelf(RuleSet(), "", Defaults(), {})
Rule = SigmaRule | CorrelationRule


@dataclass(frozen=True, slots=True)
class RuleQuestion:
    """Hold what a caller asks for, as it came; empty parts do not narrow."""

    organisation: str = ""
    state: str = ""
    severity: str = ""
    text: str = ""
    limit: int = 100
    cursor: str = ""

    @property
    def key(self) -> str:
        """Return the question without paging: cursors are bound to it."""
        return repr(replace(self, limit=0, cursor=""))


@dataclass(frozen=True, slots=True)
class RuleRow:
    """Hold a rule as a list shows it; ``severity`` is the one that holds in the unit, ``blind`` why it can't see."""

    rule: Rule
    words: Words
    standing: Standing
    severity: Severity
    origin: str
    blind: str
    did: RuleStatistics


@dataclass(frozen=True, slots=True)
class RulePage:
    """Hold one page of rules and how many there are in all."""

    rows: list[RuleRow]
    total: int
    cursor: str


@dataclass(frozen=True, slots=True)
class RuleDetail:
    """Hold everything about a rule: its source, samples, what was set in the unit itself, and its hits a day."""

    row: RuleRow
    source: str
    samples: str
    setting: Setting
    days: list[tuple[str, int]]


def shelf_of(services: Services) -> Shelf:
    """Return the installation's rules as they are now."""
    return services.library.current() if services.library is not None else NOTHING


def place_of(caller: Caller, organisation: str) -> str:
    """Return the unit that is asked about, by default the caller's own; raise ``NotAllowedError`` outside the scope."""
    wanted = organisation or caller.user.organisation_id or ""
    if not wanted or not caller.scope.allows(wanted):
        raise NotAllowedError(f"there is no unit '{wanted}' that you may see")
    return wanted


def rows_of(
    services: Services, caller: Caller, question: RuleQuestion, language: str, days: int = DAYS
) -> list[RuleRow]:
    """Return the rules that fit, most severe first, then by id; those that only feed correlations are left out."""
    place, shelf = place_of(caller, question.organisation), shelf_of(services)
    scope = caller.narrowed(place)
    first = today(services.clock()) - timedelta(days=days - 1)
    with services.database.read() as connection:
        book = Standings(list_settings(connection), (), caller.tree, shelf.defaults)
        did = statistics_of(connection, scope, first)
    rows = (_row(rule, book.standing(rule.id, place), shelf, did, language) for rule in _spoken(shelf))
    return sorted((row for row in rows if _fits(row, question)), key=_order)


def _spoken(shelf: Shelf) -> Iterator[Rule]:
    return (rule for rule in shelf.rules.everything if rule.alone)


def _order(row: RuleRow) -> tuple[int, str]:
    return (-row.severity.rank, row.rule.id)


def _row(
    rule: Rule, standing: Standing, shelf: Shelf, did: dict[str, RuleStatistics], language: str
) -> RuleRow:
    words = rule.head.words.get(language, rule.head.words["en"])
    return RuleRow(
        rule,
        words,
        standing,
        standing.severity or rule.head.severity,
        shelf.origins.get(rule.id, ""),
        blind_text(rule, language),
        did.get(rule.id, RuleStatistics(rule.id)),
    )


def blind_text(rule: Rule, language: str) -> str:
    """Return why no collector delivers what a rule asks for, empty when one does."""
    parts = rule.rules if isinstance(rule, CorrelationRule) else (rule,)
    reason = next((part.blind for part in parts if part.blind is not None), None)
    return _said(reason, language) if reason is not None else ""


def _said(reason: Reason, language: str) -> str:
    values = dict(reason.values)
    if "detail" in values:
        values["detail"] = reason_text(str(values["detail"]), language)
    return i18n.text(reason.key, language, **values)


def _fits(row: RuleRow, question: RuleQuestion) -> bool:
    if question.state == "blind":
        if not row.blind:
            return False
    elif question.state and row.standing.state.value != question.state:
        return False
    if question.severity and row.severity.value != question.severity:
        return False
    wanted = question.text.strip().lower()
    head = row.rule.head
    hay = " ".join((head.id, Path(head.file).stem, row.words.title, head.title, *head.techniques)).lower()
    return wanted in hay


def page_of_rules(services: Services, caller: Caller, question: RuleQuestion, language: str = "") -> RulePage:
    """Return one page of the rules as they stand in a unit."""
    rows = rows_of(services, caller, question, language or caller.user.language)
    rest = rows
    if question.cursor:
        rank, id_ = unseal(services.keys, question.key, question.cursor)
        rest = [row for row in rows if _order(row) > (int(rank), str(id_))]
    shown = rest[: question.limit]
    cursor = ""
    if len(rest) > len(shown):
        cursor = seal(services.keys, question.key, _order(shown[-1]))
    return RulePage(shown, len(rows), cursor)


def rule_of(services: Services, rule_id: str) -> Rule:
    """Return a rule; raise ``NotAllowedError`` when there is none of the id."""
    found = next((rule for rule in shelf_of(services).rules.everything if rule.id == rule_id), None)
    if found is None:
        raise NotAllowedError(f"there is no rule '{rule_id[:64]}'")
    return found


def detail_of(
    services: Services, caller: Caller, rule_id: str, organisation: str, language: str = ""
) -> RuleDetail:
    """Return everything about a rule in a unit; raise ``NotAllowedError`` outside the scope."""
    rule, place, shelf = rule_of(services, rule_id), place_of(caller, organisation), shelf_of(services)
    scope = caller.narrowed(place)
    first = today(services.clock()) - timedelta(days=DETAIL_DAYS - 1)
    with services.database.read() as connection:
        book = Standings(list_settings(connection), (), caller.tree, shelf.defaults)
        did = statistics_of(connection, scope, first)
        days = daily_counts(connection, scope, rule_id, first)
        setting = get_setting(connection, rule_id, place)
    file = Path(rule.head.file)
    row = _row(rule, book.standing(rule_id, place), shelf, did, language or caller.user.language)
    return RuleDetail(row, _text(file), _text(samples_of(file)), setting, days)


def _text(file: Path) -> str:
    """Return a file's text, cut; empty where there is none."""
    try:
        with file.open("rb") as stream:
            return stream.read(LONGEST_SOURCE).decode("utf-8", "replace")
    except OSError:
        return ""


def from_where(caller: Caller, organisation: str | None) -> str:
    """Return the unit a setting comes from: its id, ``above`` where the caller may not see it, empty for none."""
    if organisation is None:
        return ""
    return organisation if caller.scope.allows(organisation) and organisation else "above"
