"""Hold the Sigma engine against the plain reference: ``python -m benchmarks.sigma_property [--cases N] [--seed N]``.

Rules of every form and events that often fit them are drawn by hypothesis; each rule judges each event twice, the
second time from memory, by the compiled matcher and by ``tests/detectors/sigma/reference.py``. A case is one rule and
one event. Prints how many cases there were, how many matched, what was refused, and the first differences as YAML and
JSON, made small; exits with 1 if there is any.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from detectors.sigma import load_rules
from detectors.sigma.matcher import Matcher
from tests.detectors.sigma.generated import (
    EVENTS,
    Tree,
    detections,
    number_of,
    rule_documents,
    stored,
    texts_of,
)
from tests.detectors.sigma.reference import Rule
from tests.detectors.sigma.reference_values import PlainEvent

BUDGETS = (0, 3_000, 10**6)
SHOWN = 10


@dataclass
class Tally:
    """Count what happened, and keep the differences."""

    wanted: int
    cases: int = 0
    matched: int = 0
    rules: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[Tree, PlainEvent, bool]] = field(default_factory=list)


def judge(folder: Path, tree: Tree, plain: PlainEvent) -> tuple[bool, bool] | None:
    """Return what engine and reference say of one case, ``None`` where the rule doesn't load."""
    file = folder / "one.yml"
    file.write_text(rule_documents([tree]), encoding="utf-8")
    loaded = load_rules([file])
    if not loaded.rules:
        return None
    return bool(Matcher(loaded.rules).match(stored(plain))), Rule(tree).matches(plain, texts_of(plain))


def smaller(folder: Path, tree: Tree, plain: PlainEvent) -> tuple[Tree, PlainEvent]:
    """Take parts away as long as the difference stays."""

    def differs(rule: Tree, event: PlainEvent) -> bool:
        try:
            verdict = judge(folder, rule, event)
        except Exception:  # noqa: BLE001 # a part too many was taken away
            return False
        return verdict is not None and verdict[0] is not verdict[1]

    for name in list(plain):
        less = {key: value for key, value in plain.items() if key != name}
        plain = less if name != "event.dataset" and differs(tree, less) else plain
    alone = [(name, condition) for name in tree if name != "condition" for condition in (name, f"not {name}")]
    tree = next(
        (
            only
            for name, condition in alone
            if differs(only := {name: tree[name], "condition": condition}, plain)
        ),
        tree,
    )
    for name, search in list(tree.items()):
        if isinstance(search, dict):
            for key in list(search):
                less_search = {other: value for other, value in search.items() if other != key}
                less_tree = {**tree, name: less_search}
                if less_search and differs(less_tree, plain):
                    tree, search = less_tree, less_search
    return tree, plain


def distinct(found: Sequence[tuple[Tree, PlainEvent, bool]]) -> list[tuple[Tree, PlainEvent, bool]]:
    """Return one difference a rule."""
    return list({json.dumps(tree): (tree, plain, said) for tree, plain, said in found}.values())


def check(tally: Tally, file: Path, trees: Sequence[Tree], events: Sequence[PlainEvent], budget: int) -> None:
    """Judge all events by all rules."""
    file.write_text(rule_documents(trees), encoding="utf-8")
    loaded = load_rules([file])
    tally.refused.update(str(item.reason.values.get("detail", item.reason.key)) for item in loaded.problems)
    matcher = Matcher(loaded.rules, budget)
    judges = {number_of(rule): Rule(trees[number_of(rule)]) for rule in loaded.rules}
    tally.rules += len(judges)
    for plain in events:
        texts, event = texts_of(plain), stored(plain)
        fired = {number_of(rule) for rule in matcher.match(event)}
        again = {number_of(rule) for rule in matcher.match(event)}
        for number, rule in judges.items():
            said = rule.matches(plain, texts)
            tally.cases += 1
            tally.matched += said
            if (said, said) != (number in fired, number in again):
                tally.differences.append((trees[number], plain, said))


def run(tally: Tally, start: int, folder: Path) -> None:
    """Draw cases until there are enough."""
    examples = max(tally.wanted // 25, 1)

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        trees=st.lists(detections(), min_size=4, max_size=8),
        events=st.lists(EVENTS, min_size=6, max_size=12),
        budget=st.sampled_from(BUDGETS),
    )
    def draw(trees: list[Tree], events: list[PlainEvent], budget: int) -> None:
        if tally.cases < tally.wanted:
            check(tally, folder / "rules.yml", trees, events, budget)

    draw()


def main() -> None:
    """Run the cases and print what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tally, began = Tally(arguments.cases), time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(tally, arguments.seed, folder)
        spent = time.process_time() - began
        print(
            f"{tally.cases:,} cases of {tally.rules:,} rules in {spent:.0f} CPU-seconds, {tally.matched:,} matches"
        )
        for reason, count in tally.refused.most_common():
            print(f"  refused {count:6,}  {reason}")
        print(f"{len(tally.differences):,} differences")
        for tree, plain, said in distinct(tally.differences)[:SHOWN]:
            tree, plain = smaller(folder, tree, plain)
            print(f"--- the reference says {'match' if said else 'no match'}")
            print(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), end="")
            print(json.dumps(plain, ensure_ascii=False))
    sys.exit(bool(tally.differences))


if __name__ == "__main__":
    main()
