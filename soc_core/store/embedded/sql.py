"""Turn a query tree into an SQL condition for DuckDB.

The condition is exact wherever SQL can say the same as ``soc_core.query.evaluate``; where it can't, it matches *at
least* what the tree matches and says so, and the evaluator decides. Values travel as parameters, names come from the
field dictionary. Conditions are NULL where a field is absent: that counts as false, and ``Not`` makes it so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, Scalar
from soc_core.query.bounds import bound_of
from soc_core.query.evaluate import fold, text_of, wildcard_regex
from soc_core.query.regex import to_re2
from soc_core.query.tree import (
    And,
    Cidr,
    Everything,
    Exists,
    Not,
    OneOf,
    Or,
    Query,
    Range,
    Regex,
    SameAs,
    Text,
    TimePart,
)
from soc_core.query.values import ADDRESSES, SEARCHED

_Tested: TypeAlias = OneOf | Text | Regex | Cidr | Range
_Leaf: TypeAlias = _Tested | SameAs | TimePart
STRINGS = frozenset({"keyword", "text", "date", "ip"})
Parameter: TypeAlias = Scalar | list[Scalar]
_MOST_LISTED = 32
"""Values an ``IN`` may list: more cost more to plan than to look up, fewer let parts of files be skipped."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Hold SQL, its parameters in order, and whether it matches exactly (else: at least) what was asked."""

    sql: str
    parameters: tuple[Parameter, ...]
    exact: bool


def compile_condition(query: Query, columns: Collection[str]) -> Condition:
    """Return the condition over a table that has these columns; raise ``ValueError`` for a bad network."""
    builder = _Builder(columns)
    sql = builder.build(query, wide=True)
    return Condition(sql, tuple(builder.parameters), builder.exact)


def quote(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class _Builder:
    """Collect parameters while walking the tree; ``wide`` says whether too much (or else too little) may match."""

    def __init__(self, columns: Collection[str]) -> None:
        self._columns = columns
        self.parameters: list[Parameter] = []
        self.exact = True

    def build(self, query: Query, *, wide: bool) -> str:
        match query:
            case Everything():
                return "true"
            case Not(child):
                return f"(NOT coalesce({self.build(child, wide=not wide)}, false))"
            case And(children):
                return self._join(children, " AND ", "true", wide=wide)
            case Or(children):
                return self._join(children, " OR ", "false", wide=wide)
            case Exists(field):
                return self._exists(field)
            case Text(field="") | Regex(field="") | OneOf(field="") | Cidr(field="") | Range(field=""):
                return self._anywhere(query, wide=wide)
            case _:
                return self._field(query, query.field, wide=wide)

    def _join(self, children: tuple[Query, ...], word: str, empty: str, *, wide: bool) -> str:
        if not children:
            return empty
        return "(" + word.join(self.build(child, wide=wide) for child in children) + ")"

    def _exists(self, field: str) -> str:
        if field not in FIELDS and EXTRA in self._columns:
            prefix = self._add(field + "=")
            return f"(len(list_filter({quote(EXTRA)}, lambda v: starts_with(v, {prefix}))) > 0)"
        if field not in self._columns:
            return "false"
        column = quote(field)
        return f"(len({column}) > 0)" if FIELDS[field].multi else f"({column} IS NOT NULL)"

    def _anywhere(self, query: _Tested, *, wide: bool) -> str:
        searched = ADDRESSES if isinstance(query, Cidr) else SEARCHED
        names = [name for name in searched if name in self._columns]
        parts = [self._field(query, name, wide=wide) for name in names]
        return "(" + " OR ".join(parts) + ")" if parts else "false"

    def _field(self, query: _Leaf, field: str, *, wide: bool) -> str:
        if isinstance(query, SameAs | TimePart):
            return self._undecided(field, wide=wide)
        if field not in FIELDS:
            return self._extra(query, field, wide=wide)
        if field not in self._columns:
            return "false"
        kind, multi = FIELDS[field].type, FIELDS[field].multi
        value = "v" if multi else quote(field)
        test = self._test(query, kind, value)
        if test is None:
            return self._undecided(field, wide=wide)
        return f"(len(list_filter({quote(field)}, lambda v: {test})) > 0)" if multi else f"({test})"

    def _undecided(self, field: str, *, wide: bool) -> str:
        self.exact = False  # the evaluator decides
        return self._exists(field) if wide else "false"

    def _extra(self, query: _Tested, field: str, *, wide: bool) -> str:
        """Return a test on a field that the dictionary lacks: its values stand as ``name=value`` among others."""
        if EXTRA not in self._columns:
            return "false"
        before = len(self.parameters)
        prefix = self._add(field + "=")
        test = self._test(query, "keyword", f"substr(v, {len(field) + 2})")
        if test is None:
            del self.parameters[before:]
            return self._undecided(field, wide=wide)
        return f"(len(list_filter({quote(EXTRA)}, lambda v: starts_with(v, {prefix}) AND ({test}))) > 0)"

    def _add(self, value: Parameter) -> str:
        self.parameters.append(value)
        return "?"

    def _test(self, query: _Tested, kind: str, value: str) -> str | None:
        match query:
            case OneOf():
                return self._one_of(query, kind, value)
            case Text():
                return self._text(query, kind, value)
            case Regex():
                pattern = to_re2(query.pattern, query.flags)
                text = _as_text(kind, value)
                if pattern is None or text is None:
                    return None
                return f"regexp_matches({text}, {self._add(pattern)})"
            case Cidr():
                return self._cidr(query.network, kind, value)
            case Range():
                return self._range(query, kind, value)

    def _one_of(self, query: OneOf, kind: str, value: str) -> str:
        # Inside the lambda of a list field no subquery may stand.
        many = len(query.values) > _MOST_LISTED and value.startswith('"') and kind in STRINGS
        wanted: list[Scalar] = sorted({fold(text_of(item), query.cased) for item in query.values})
        if kind in STRINGS and kind != "ip" and not query.cased:
            value = f"lower({value})"
        elif kind not in STRINGS:
            wanted = [number for text in wanted if (number := _number_of(str(text), kind)) is not None]
        if not wanted:
            return "false"
        if many:
            return f"{value} IN (SELECT unnest({self._add(wanted)}))"
        return f"{value} IN ({', '.join(self._add(item) for item in wanted)})"

    def _text(self, query: Text, kind: str, value: str) -> str | None:
        text = _as_text(kind, value)
        if text is None:
            return None
        wanted = fold(query.value, query.cased)
        folded = text if query.cased else f"lower({text})"
        if query.how == "wildcard":
            return f"regexp_full_match({folded}, {self._add(wildcard_regex(wanted))}, 's')"
        name = {"contains": "contains", "startswith": "starts_with", "endswith": "ends_with"}[query.how]
        return f"{name}({folded}, {self._add(wanted)})"

    def _cidr(self, network: str, kind: str, value: str) -> str | None:
        """Return a test on canonical text; ``None`` where that doesn't tell, and for other fields."""
        wanted = ip_network(network, strict=False)
        if kind in {"long", "double", "boolean"}:
            return "false"
        if kind != "ip":
            return None
        if not isinstance(wanted, IPv4Network):
            pattern = _ipv6_pattern(wanted)
            return None if pattern is None else f"regexp_matches({value}, {self._add(pattern)})"
        whole, rest = divmod(wanted.prefixlen, 8)
        octets = str(wanted.network_address).split(".")
        tests = [f"NOT contains({value}, ':')"]
        if whole == 4:
            return f"{value} = {self._add(str(wanted.network_address))}"
        if whole:
            tests.append(f"starts_with({value}, {self._add('.'.join(octets[:whole]) + '.')})")
        if rest:
            low = int(octets[whole])
            octet = f"TRY_CAST(split_part({value}, '.', {whole + 1}) AS INTEGER)"
            tests.append(f"{octet} BETWEEN {low} AND {low + 2 ** (8 - rest) - 1}")
        return " AND ".join(tests)

    def _range(self, query: Range, kind: str, value: str) -> str | None:
        bounds = [(">=", query.gte), (">", query.gt), ("<=", query.lte), ("<", query.lt)]
        given = [(sign, bound) for sign, bound in bounds if bound is not None]
        if not given:
            return f"{value} IS NOT NULL"
        textual = {isinstance(bound, str) for _, bound in given}
        if query.numeric and kind in STRINGS and textual == {False}:
            return None
        if textual != {kind in STRINGS} or kind == "boolean":
            return "false"
        if kind in STRINGS:
            return " AND ".join(f"{value} {sign} {self._add(bound)}" for sign, bound in given)
        return " AND ".join(self._numeric(sign, bound, kind, value) for sign, bound in given)

    def _numeric(self, sign: str, bound: Scalar, kind: str, value: str) -> str:
        number = bound_of(kind, sign, bound)
        if isinstance(number, str):
            # Absent values lie nowhere.
            return f"{value} IS NOT NULL" if number == "all" else "false"
        return f"{value} {sign} {self._add(number)}"


def _ipv6_pattern(network: IPv6Network) -> str | None:
    """Return what canonical text of the network's addresses begins with; ``None`` where zeros may be left out of it."""
    text = str(network.network_address)
    if network.prefixlen == 128:
        return f"^{text}$"
    groups = network.network_address.exploded.split(":")
    whole, bits = divmod(network.prefixlen, 16)
    if "0000" in groups[:whole] or (whole == 0 and groups[0][0] == "0"):
        return None  # zeros may be written as :: or not at all
    beginning = "".join(f"{int(group, 16):x}:" for group in groups[:whole])
    if not bits:
        return f"^{beginning}"
    if groups[whole][0] == "0":
        return None
    nibbles, rest = divmod(bits, 4)
    first = int(groups[whole][nibbles], 16) if rest else 0
    one = f"[{''.join(f'{digit:x}' for digit in range(first, first + 2 ** (4 - rest)))}]" if rest else ""
    free = 4 - nibbles - bool(rest)
    return f"^{beginning}{groups[whole][:nibbles]}{one}{f'[0-9a-f]{{{free}}}' if free else ''}:"


def _as_text(kind: str, value: str) -> str | None:
    """Return SQL for the text a value is compared as; ``None`` for floats, which DuckDB writes otherwise."""
    if kind in STRINGS:
        return value
    return None if kind == "double" else f"CAST({value} AS VARCHAR)"


def _number_of(text: str, kind: str) -> Scalar | None:
    """Return the number (or truth) whose text is ``text``, if there is one."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower())
    try:
        number: Scalar = int(text) if kind == "long" else float(text)
    except ValueError:
        return None
    if kind == "long" and not -(2**63) <= number < 2**63:  # type: ignore[operator] # an int here
        return None
    return number if text_of(number) == text else None
