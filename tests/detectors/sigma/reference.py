r"""Judge one event by one Sigma rule, slowly and plainly: what the engine is held against in tests and benchmarks.

Written from the Sigma specification (rules 2.0.0, appendix modifiers 2.1.0) over the YAML tree of a rule and a plain
event, a mapping of names to a value or a list of values. It shares no code with ``detectors.sigma`` or
``soc_core.query`` and looks at one question after the other. Where the specification leaves a question open, what
is said here is decision 7 in other words:

- What a field says is all its values together: a question is answered yes if one of them answers it yes. An empty text
  or ``null`` in a rule asks that there be no value at all.
- A question about a field without values is answered no, and ``not`` turns that around. But a rule that would come out
  true although none of its fields has a value, and whatever were answered to its questions for absence and presence,
  has seen nothing: it needs one value in one of the fields its condition names. (Keywords name no field.)
- Everything but a number in a comparison is a text: 22 is ``22``, 1.0 is ``1``, true is ``true``. Case counts in
  regular expressions and under ``cased`` only; each letter by itself has one lower case letter.
- A regular expression may be found anywhere. A keyword stands anywhere in one of the event's texts.
- ``gt`` and its like compare numbers, decimal text included. Hours and their like are those of UTC.
- ``windash``: a dash or slash before a word (a letter follows, none stands before) may be any of the five dashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from tests.detectors.sigma.reference_values import (
    MANY,
    Absence,
    Asked,
    Expression,
    Fields,
    Pattern,
    Plain,
    PlainEvent,
    Presence,
    Reference,
    RefusedError,
    first_meaning,
    fits,
    modified,
    tokens_of,
)


class Rule:
    """Hold one rule's ``detection`` and judge events by it."""

    def __init__(self, detection: Mapping[str, object], fields: Fields = lambda name: (name,)) -> None:
        """Take the YAML tree below ``detection``; ``fields`` names where an event holds a field's values."""
        self._fields = fields
        self._searches = {name: tree for name, tree in detection.items() if name != "condition"}
        given = detection.get("condition")
        self._conditions = [str(one) for one in given] if isinstance(given, list) else [str(given)]

    def matches(self, event: PlainEvent, texts: Sequence[str] = ()) -> bool:
        """Tell whether the rule matches an event; ``texts`` is where keywords are looked for."""
        if not _Judging(self, event, texts).verdict():
            return False
        nothing = _Judging(self, None, ())
        if nothing.verdict() is not True:
            return True
        return not nothing.named or any(_values(event, name) for name in nothing.named)


Answer: TypeAlias = bool | None
"""``None``: that depends on a question for absence or presence which nobody answered."""


def _one_of(answers: Sequence[Answer]) -> Answer:
    return True if True in answers else None if None in answers else False


def _all_of(answers: Sequence[Answer]) -> Answer:
    return False if False in answers else None if None in answers else True


def _opposite(answer: Answer) -> Answer:
    return None if answer is None else not answer


class _Judging:
    """Judge one event; ``None`` stands for an event that holds nothing, where nobody says what is absent.

    All questions are asked even where the answer is known: they name fields.
    """

    def __init__(self, rule: Rule, event: PlainEvent | None, texts: Sequence[str]) -> None:
        self._rule = rule
        self._event = event
        self._texts = texts
        self.named: set[str] = set()

    def verdict(self) -> Answer:
        """Return whether one of the conditions holds."""
        return _one_of([self._condition(one) for one in self._rule._conditions])

    def _condition(self, text: str) -> Answer:
        words = re.findall(r"[()]|[^\s()]+", text)
        answer = self._either(words)
        if words:
            raise RefusedError(f"'{words[0]}' is too much in '{text}'")
        return answer

    def _either(self, words: list[str]) -> Answer:
        answers = [self._both(words)]
        while words[:1] == ["or"]:
            words.pop(0)
            answers.append(self._both(words))
        return _one_of(answers)

    def _both(self, words: list[str]) -> Answer:
        answers = [self._not(words)]
        while words[:1] == ["and"]:
            words.pop(0)
            answers.append(self._not(words))
        return _all_of(answers)

    def _not(self, words: list[str]) -> Answer:
        if words[:1] == ["not"]:
            words.pop(0)
            return _opposite(self._not(words))
        return self._term(words)

    def _term(self, words: list[str]) -> Answer:
        if not words:
            raise RefusedError("the condition breaks off")
        word = words.pop(0)
        if word == "(":
            answer = self._either(words)
            if not words or words.pop(0) != ")":
                raise RefusedError("a bracket is not closed")
            return answer
        if word in ("1", "any", "all") and words[:1] == ["of"]:
            words.pop(0)
            answers = [self._search(self._rule._searches[name]) for name in self._meant(words.pop(0))]
            return _all_of(answers) if word == "all" else _one_of(answers)
        if word not in self._rule._searches:
            raise RefusedError(f"there is no search {word}")
        return self._search(self._rule._searches[word])

    def _meant(self, pattern: str) -> list[str]:
        """Return the searches that ``them`` or a pattern means: hidden ones (``_``) never."""
        wanted = tokens_of("*" if pattern == "them" else pattern)
        names = [name for name in self._rule._searches if not name.startswith("_")]
        found = [name for name in names if fits(wanted, name, cased=True)]
        if not found:
            raise RefusedError(f"no search is called {pattern}")
        return found

    def _search(self, tree: object) -> Answer:
        if isinstance(tree, Mapping):
            return _all_of([self._item(str(key), value) for key, value in tree.items()])
        if isinstance(tree, list) and any(isinstance(part, Mapping | list) for part in tree):
            return _one_of([self._search(part) for part in tree])
        return self._item("", tree)

    def _item(self, key: str, value: object) -> Answer:
        field, *modifiers = key.split("|")
        values: list[object] = value if isinstance(value, list) else [value]
        names = set(modifiers)
        answers = [self._value(field, one, modifiers) for one in values or [None]]
        answer = _all_of(answers) if "all" in names else _one_of(answers)
        return _opposite(answer) if "neq" in names else answer

    def _value(self, field: str, value: object, modifiers: Sequence[str]) -> Answer:
        """Return whether a field (or, without name, the event) has one value of a rule."""
        asked: list[Asked] = [first_meaning(value, modifiers)]
        for name in modifiers:
            if name not in ("all", "neq"):
                asked = [after for one in asked for after in modified(one, name)]
        if any(isinstance(one, bytes) for one in asked):
            raise RefusedError("an encoded text is only looked for in base64")
        if not field:
            return _one_of([self._keyword(one) for one in asked])
        return _one_of([self._field(field, one) for one in asked])

    def _keyword(self, asked: Asked) -> bool:
        if isinstance(asked, Pattern) and set(asked.tokens) - {MANY}:
            asked = Pattern((MANY, *asked.tokens, MANY), asked.cased)
        elif not isinstance(asked, Expression):
            raise RefusedError("only texts and expressions are keywords")
        return any(asked.holds(text) for text in self._texts)

    def _field(self, field: str, asked: Asked) -> Answer:
        values = self._see(field)
        match asked:
            case Absence() | Pattern(()):
                return None if self._event is None else not values
            case Presence():
                return None if self._event is None else bool(values)
            case Pattern(tokens) if set(tokens) == {MANY}:
                return None if self._event is None else bool(values)
            case Reference(other):
                return any(asked.related(one, two) for two in self._see(other) for one in values)
            case bytes():
                raise RefusedError("bytes are no text")
            case _:
                return any(asked.holds(value) for value in values)

    def _see(self, field: str) -> list[Plain]:
        names = self._rule._fields(field)
        self.named.update(names)
        return [value for name in names for value in _values(self._event or {}, name)]


def _values(event: PlainEvent, name: str) -> Iterable[Plain]:
    value = event.get(name)
    if value is None:
        return []
    if isinstance(value, str | int | float):
        return [value]
    return list(value)
