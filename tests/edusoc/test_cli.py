"""Hold what every command owes to someone who has never seen it: help, an example, sentences instead of tracebacks."""

from __future__ import annotations

import argparse
import os
import re
from importlib import import_module
from pathlib import Path

import pytest

from edusoc import cli
from edusoc.reference import FOLDER, commands
from soc_core.errors import UsageError
from soc_core.i18n import LANGUAGES

ROOT = Path(__file__).parent.parent.parent
CHINESE = re.compile("[\u4e00-\u9fff]")
ALL = {language: commands(language) for language in LANGUAGES}
CASES = [(language, name) for language, parsers in ALL.items() for name in parsers]
EXAMPLE = re.compile(r"^ *(?:\S.* \| )?(edusoc .+)$")


@pytest.mark.parametrize(("language", "name"), CASES)
def test_every_command_explains_itself(language: str, name: str) -> None:
    parser = ALL[language][name]
    texts = [parser.description, parser.epilog]
    texts += [action.help for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    for text in texts:
        assert text, f"{name} has a text that is missing"
        assert not text.startswith(("edusoc.", "collectors.")), f"{name}: no sentence for {text}"
        assert bool(CHINESE.search(text)) == (language == "zh"), f"{name}: {text}"


@pytest.mark.parametrize(("language", "name"), CASES)
def test_every_command_has_examples_that_parse(language: str, name: str, tmp_path: Path) -> None:
    epilog = ALL[language][name].epilog or ""
    examples = [match.group(1) for line in epilog.splitlines() if (match := EXAMPLE.match(line))]
    assert examples
    for example in examples:
        assert example.startswith(name)
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", re.split(r" [|>] ", example)[0])]
        assert callable(cli.build_parser().parse_args(words[1:]).run)


def test_every_command_module_is_listed_and_every_listed_one_is_there() -> None:
    modules = {path.stem for path in (ROOT / "edusoc" / "commands").glob("*.py")} - {"__init__"}
    listed = [ROOT / "edusoc" / "commands" / f"{name}.py" for name in cli.COMMANDS]
    texts = "".join(path.read_text(encoding="utf-8") for path in listed)
    actions = {name for name in modules if f"from edusoc.commands.{name} import add as" in texts}
    assert modules == set(cli.COMMANDS) | actions
    assert all(import_module(f"edusoc.commands.{name}").__doc__ for name in modules)


@pytest.mark.parametrize("name", ALL["zh"])
def test_every_command_is_documented(name: str) -> None:
    assert f"## {name}\n" in (FOLDER / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted({name.split()[1] for name in ALL["zh"] if " " in name}))
def test_the_readme_names_every_command(name: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"edusoc {name}" in text or f"./run {name}" in text


WRONG = [
    [],
    ["nope"],
    ["read"],
    ["read", "x", "--nope"],
    ["import", "x"],
    ["search", "--limit", "0"],
    ["search", "--limit", "many"],
    ["serve", "--port", "65536"],
    ["users", "add", "wang", "--role", "root", "--organisation", "1"],
    ["models", "train"],
    ["models", "train", "--from", "x", "--organisation", "1"],
    ["store", "stats", "--json=1"],
    ["organisations", "import"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_use_says_what_to_do_in_the_users_language(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    usage, _, complaint = capsys.readouterr().err.rpartition("\nedusoc")
    assert end.value.code == 2
    assert usage.startswith("用法：edusoc")
    assert all(CHINESE.search(line) for line in complaint.splitlines())
    assert "--help" in complaint


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def run(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    monkeypatch.setattr("edusoc.commands.serve.run", run)
    return cli.main(["serve"])


def test_our_errors_are_said_in_chinese(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = UsageError("'x' is no time", where="column 5", todo="write it like 2026-11-20T08:00")
    assert fail_with(error, monkeypatch) == 2
    assert capsys.readouterr().err == "edusoc: 第 5 个字符：“x”不是时间；请写成 2026-11-20T08:00\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, os.strerror(28), "/data/log"),
        PermissionError(13, os.strerror(13), "/data"),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    ],
    ids=repr,
)
def test_whatever_happens_the_user_gets_one_sentence(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fail_with(error, monkeypatch) == 3
    said = capsys.readouterr().err
    assert said.startswith("edusoc: ")
    assert CHINESE.search(said)
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_an_interruption_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")
    monkeypatch.setattr("edusoc.commands.serve.run", run)
    assert cli.main(["serve"]) == 3
    assert capsys.readouterr().err.startswith("Interrupted")
