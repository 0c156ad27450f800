"""Hold that the cache gives what loading gives, follows every change, and never trusts what is damaged or foreign."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import detectors.sigma.loading as loading
from detectors.sigma import RuleSet, load_rules
from detectors.sigma.cached import KEPT, key_of, load_rules_cached
from detectors.sigma.mapping import bundled_mappings, bundled_rules

RULE = """
title: {title}
id: 0b2b0ea1-5b1c-4f0a-8a43-{number:012d}
status: test
level: high
logsource: {{product: windows, category: process_creation}}
detection:
    one: {{CommandLine|contains: {title}}}
    condition: one
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yml").write_text(RULE.format(title="first", number=1), encoding="utf-8")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "state" / "cache"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what was really loaded, not taken from a cache."""
    calls: list[object] = []

    def noting(*arguments: object) -> RuleSet:
        calls.append(arguments)
        return load_rules(*arguments)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(loading, "load_rules", noting)
    return calls


def test_every_bundled_rule_comes_out_as_it_went_in(cache: Path, loaded: list[object]) -> None:
    wanted = load_rules([bundled_rules()])
    assert load_rules_cached([bundled_rules()], cache) == wanted
    again = load_rules_cached([bundled_rules()], cache)
    assert again == wanted
    assert repr(again) == repr(wanted)  # equality takes 1 for True
    assert len(loaded) == 1
    assert again.correlations
    assert again.describe(again.rules[0].id, "zh") == wanted.describe(wanted.rules[0].id, "zh")


def test_problems_are_kept_with_the_rules(rules: Path, cache: Path, loaded: list[object]) -> None:
    (rules / "bad.yml").write_text("title: [", encoding="utf-8")
    paths = [rules, rules / "missing"]
    wanted = load_rules(paths)
    assert len(wanted.problems) == 2
    assert load_rules_cached(paths, cache) == load_rules_cached(paths, cache) == wanted
    assert len(loaded) == 1


def _write_another(rules: Path) -> None:
    (rules / "two.yml").write_text(RULE.format(title="second", number=2), encoding="utf-8")


def _edit(rules: Path) -> None:
    before = (rules / "one.yml").stat()
    (rules / "one.yml").write_text(RULE.format(title="other", number=1), encoding="utf-8")
    os.utime(rules / "one.yml", ns=(before.st_atime_ns, before.st_mtime_ns))  # the clock proves nothing


def _rename(rules: Path) -> None:
    (rules / "one.yml").rename(rules / "a.yml")


def _remove(rules: Path) -> None:
    (rules / "one.yml").unlink()


@pytest.mark.parametrize("change", [_write_another, _edit, _rename, _remove])
def test_any_change_is_seen(rules: Path, cache: Path, change: Callable[[Path], None]) -> None:
    first = load_rules_cached([rules], cache)
    change(rules)
    second = load_rules_cached([rules], cache)
    assert second != first
    assert second == load_rules([rules])


def test_other_mappings_are_another_key(rules: Path) -> None:
    fewer = type(bundled_mappings())(bundled_mappings().entries[1:])
    assert len({key_of([rules]), key_of([rules], bundled_mappings()), key_of([rules], fewer)}) == 3


def test_a_file_changed_while_it_was_read_is_not_remembered(
    rules: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(*arguments: object) -> RuleSet:
        _edit(rules)
        return load_rules(*arguments)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(loading, "load_rules", changing)
    assert load_rules_cached([rules], cache).rules[0].head.title == "other"
    assert not cache.exists()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def _turn_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _open_to_others(file: Path) -> None:
    file.chmod(0o666)


def _make_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [_cut, _turn_a_bit, _empty, _open_to_others, _make_directory])
def test_what_is_damaged_is_made_anew(
    rules: Path, cache: Path, loaded: list[object], damage: Callable[[Path], None]
) -> None:
    wanted = load_rules_cached([rules], cache)
    (file,) = cache.glob("*.rules")
    damage(file)
    assert load_rules_cached([rules], cache) == wanted
    assert len(loaded) == 2


def test_a_file_of_other_rules_under_this_name_is_refused(rules: Path, cache: Path) -> None:
    load_rules_cached([rules], cache)
    (old,) = cache.glob("*.rules")
    _edit(rules)
    foreign = old.rename(cache / f"{key_of([rules])}.rules")
    assert load_rules_cached([rules], cache) == load_rules([rules])
    assert foreign.exists()


def test_a_place_that_cannot_be_written_costs_time_only(rules: Path, tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("", encoding="utf-8")
    assert load_rules_cached([rules], occupied) == load_rules([rules])


def test_old_files_go(rules: Path, cache: Path) -> None:
    for number in range(KEPT + 3):
        (rules / "one.yml").write_text(RULE.format(title=f"t{number}", number=1), encoding="utf-8")
        load_rules_cached([rules], cache)
    assert len(list(cache.iterdir())) == KEPT
    assert (cache / f"{key_of([rules])}.rules").exists()


def test_the_parser_is_not_imported_where_the_cache_knows(rules: Path, cache: Path) -> None:
    load_rules_cached([rules], cache)
    script = (
        "import sys; from pathlib import Path; from detectors.sigma.cached import load_rules_cached;"
        f"print(len(load_rules_cached([{str(rules)!r}], Path({str(cache)!r})).rules), 'sigma' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
