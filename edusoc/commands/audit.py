"""Check the hash chains of an installation: ``edusoc audit verify``, ``edusoc audit heads``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_actions, add_command

if TYPE_CHECKING:
    from soc_core.audit import Head, Verdict
    from soc_core.audit.stream import JournalStream
    from soc_core.config import Settings
    from soc_core.store.embedded.catalogue import Catalogue


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "audit", "edusoc.audit"))
    checking = add_command(actions, "verify", "edusoc.audit.verify")
    known = checking.add_mutually_exclusive_group()
    known.add_argument("--anchor", type=Path, metavar="FILE", help=say("edusoc.audit.anchor"))
    known.add_argument("--head", metavar="HASH", help=say("edusoc.audit.head"))
    checking.set_defaults(run=verify)
    listing = add_command(actions, "heads", "edusoc.audit.heads")
    listing.set_defaults(run=heads)
    for action in (checking, listing):
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)


def heads(arguments: argparse.Namespace) -> int:
    """Print the head of each stream."""
    from soc_core.audit import write_head

    with _chains(settings_of(arguments)) as chains:
        found = [chain.head() for chain in chains]
    for head in found:
        if arguments.json:
            print(write_head(head))
        elif head.number:
            values: dict[str, str | int] = {
                "stream": head.stream,
                "number": head.number,
                "at": head.at,
                "algorithm": head.algorithm,
            }
            print(say("edusoc.audit.head_line", **values))
            print(f"  {_in_groups(head.hash)}")
        else:
            print(say("edusoc.audit.empty", stream=head.stream))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check each stream; return 0 only when what is known from outside anchors every one."""
    from soc_core.audit import verify_links

    anchors = _anchors(arguments)
    with _chains(settings_of(arguments)) as chains:
        verdicts = [verify_links(chain.head().stream, chain.links(), anchors) for chain in chains]
    for verdict in verdicts:
        print(json.dumps(_as_json(verdict), ensure_ascii=False) if arguments.json else _in_words(verdict))
    if not verdicts:
        print(say("edusoc.audit.none"))
    return 0 if verdicts and all(verdict.judgement == "anchored" for verdict in verdicts) else 1


@contextmanager
def _chains(settings: Settings) -> Iterator[list[Catalogue | JournalStream]]:
    """Give the chains of an installation: its segments, and the journal of rules where anything was changed."""
    from edusoc.composition import open_chains, open_database
    from intake.rules.model import STREAM
    from soc_core.audit.stream import JournalStream

    chains: list[Catalogue | JournalStream] = [*open_chains(settings)]
    if not settings.database_url and not (settings.state_directory / "state.sqlite").is_file():
        yield chains
        return
    database = open_database(settings)
    try:
        journal = JournalStream(database, STREAM)
        yield [*chains, journal] if journal.head().number else chains
    finally:
        database.close()


def _anchors(arguments: argparse.Namespace) -> Sequence[Head]:
    from soc_core.audit.anchors import parse_anchors, parse_hash
    from soc_core.errors import UsageError

    if arguments.head:
        return [parse_hash(arguments.head)]
    if not arguments.anchor:
        return []
    try:
        return parse_anchors(arguments.anchor.read_text(encoding="utf-8"), str(arguments.anchor))
    except OSError as error:
        raise UsageError(error.strerror or "can't be read", where=str(arguments.anchor)) from error
    except UnicodeDecodeError:
        raise UsageError("this line is no anchor", where=str(arguments.anchor)) from None


def _in_groups(text: str) -> str:
    """Return a hash in groups of eight, which people can compare."""
    return " ".join(text[at : at + 8] for at in range(0, len(text), 8))


def _in_words(verdict: Verdict) -> str:
    values: dict[str, str | int] = {"stream": verdict.head.stream, "number": verdict.head.number}
    lines = [say(f"edusoc.audit.{verdict.judgement}", **values)]
    lines += [f"  {say('edusoc.audit.fault', number=f.number, what=said(f.what))}" for f in verdict.faults]
    if verdict.agreed is not None:
        lines.append("  " + say("edusoc.audit.agreed", number=verdict.agreed.number, at=verdict.agreed.at))
    if verdict.differs is not None:
        after = verdict.agreed.number + 1 if verdict.agreed else 1
        until = verdict.differs.number or verdict.head.number
        lines.append("  " + say("edusoc.audit.differs_from", after=after, until=until))
    return "\n".join(lines)


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "stream": verdict.head.stream,
        "verdict": verdict.judgement,
        "records": verdict.head.number,
        "head": verdict.head.hash,
        "faults": [{"number": fault.number, "what": fault.what} for fault in verdict.faults],
        "agreed": verdict.agreed.number if verdict.agreed else None,
        "differs": {"number": verdict.differs.number, "hash": verdict.differs.hash}
        if verdict.differs
        else None,
    }
