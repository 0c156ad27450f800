"""Write the reference pages that are made from code: ``python -m edusoc.reference``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from detectors.sigma.conversion.plugin import plugin_data
from detectors.sigma.mapping import bundled_mappings
from edusoc.cli import build_parser
from edusoc.devices_page import devices_page
from edusoc.kibana_page import kibana_page
from edusoc.rules_page import rules_page
from edusoc.sources_page import sources_page
from soc_core.fields import FIELDS
from soc_core.i18n import LANGUAGES

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
HEAD: Final = """# 字段字典 · Field dictionary

由 `soc_core/fields.tsv` 生成，勿手改：`python -m edusoc.reference`。
Generated from `soc_core/fields.tsv`; do not edit.

类型带 `[]` 的总是列表。个人信息类别：none 无，account 账号，device 设备，content 内容。
A type with `[]` is always a list. Personal-data classes: none, account, device, content.

| 字段 · field | 类型 · type | 来源 · origin | 个人信息 · personal | 说明 | description |
|---|---|---|---|---|---|
"""


def fields_page() -> str:
    """Return the page of all fields, ordered by name."""
    rows = [
        f"| `{field.name}` | {field.type}{'[]' if field.multi else ''} | {field.origin} | {field.personal} "
        f"| {field.zh} | {field.en} |"
        for field in sorted(FIELDS.values(), key=lambda item: item.name)
    ]
    return HEAD + "\n".join(rows) + "\n"


CLI_HEAD: Final = """# 命令行 · Command line

由 `edusoc/commands/` 生成，勿手改：`python -m edusoc.reference`。
Generated from `edusoc/commands/`; do not edit.

在项目目录里用 `./run edusoc …`；装好以后用 `edusoc …`。
Use `./run edusoc …` in a clone, `edusoc …` once installed.
"""


def cli_page() -> str:
    """Return the page of all commands, in the order of the help, each sentence in both languages."""
    chinese, english = (commands(language) for language in LANGUAGES)
    return CLI_HEAD + "".join(
        _section(name, parser, english[name]) for name, parser in chinese.items() if parser.epilog
    )


def commands(language: str) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of all commands and actions by their words (``edusoc store stats``), in the help's order."""
    with _speaking(language):
        return dict(_with_actions(build_parser()))


@contextmanager
def _speaking(language: str) -> Iterator[None]:
    """Let the command line speak ``language``."""
    before = os.environ.get("EDUSOC_LANGUAGE")
    os.environ["EDUSOC_LANGUAGE"] = language
    try:
        yield
    finally:
        del os.environ["EDUSOC_LANGUAGE"]
        if before is not None:
            os.environ["EDUSOC_LANGUAGE"] = before


def _with_actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _with_actions(below)


def _section(name: str, chinese: argparse.ArgumentParser, english: argparse.ArgumentParser) -> str:
    """Return a command's part of the page: what it does, its arguments, its examples."""
    shown = [
        (mine, theirs)
        for mine, theirs in zip(chinese._actions, english._actions, strict=True)
        if not isinstance(mine, argparse._SubParsersAction | argparse._HelpAction)
    ]
    rows = [f"| `{_called(mine)}` | {mine.help} | {theirs.help} |" for mine, theirs in shown]
    table = (
        "\n".join(["| 参数 · argument | 说明 | description |", "|---|---|---|", *rows, ""]) if rows else ""
    )
    texts = (f"{parser.epilog}\n" for parser in (chinese, english))
    examples = "".join(f"\n```text\n{text}```\n" for text in texts)
    return f"\n## {name}\n\n{chinese.description}\n{english.description}\n\n{table}{examples}"


def _called(action: argparse.Action) -> str:
    """Return how an argument is written: ``--port PORT``, ``PATH…``."""
    name = action.option_strings[-1] if action.option_strings else ""
    choices = ",".join(map(str, action.choices)) if action.choices else ""
    value = f"{{{choices}}}" if choices else str(action.metavar or "")
    if action.nargs == 0:
        value = ""
    more = "…" if action.nargs in {"+", "*"} else ""
    return f"{name} {value}{more}".strip()


PAGES: Final = {
    "sigma-sources.md": sources_page,
    "fields.md": fields_page,
    "cli.md": cli_page,
    "kibana.md": kibana_page,
    "devices.md": devices_page,
    "rules.md": rules_page,
}

PLUGIN: Final = (
    FOLDER.parents[1] / "packaging" / "pysigma" / "sigma" / "pipelines" / "edusoc" / "mappings.json"
)


def plugin_page() -> str:
    """Return the data of the plugin for pySigma's own tools."""
    return plugin_data(bundled_mappings())


if __name__ == "__main__":
    PLUGIN.write_text(plugin_page(), encoding="utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
