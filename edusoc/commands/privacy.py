"""See what a privacy policy does: ``edusoc privacy try``, ``blind``."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_actions, add_command
from soc_core.config import read_toml
from soc_core.errors import UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from collectors.privacy import Policy, Privacy
    from edusoc.blinding import Blinded


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "privacy", "edusoc.privacy"))
    trial = add_command(actions, "try", "edusoc.privacy.try")
    trial.add_argument("paths", nargs="+", metavar="PATH", help=say("edusoc.privacy.files"))
    blind_ = add_command(actions, "blind", "edusoc.privacy.blind")
    blind_.add_argument("paths", nargs="*", metavar="PATH", help=say("edusoc.rules.paths"))
    blind_.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    for action, job in ((trial, try_), (blind_, blind)):
        action.add_argument("--policy", type=Path, metavar="FILE", help=say("edusoc.privacy.policy"))
        add_settings(action)
        action.set_defaults(run=job)


def try_(arguments: argparse.Namespace) -> int:
    """Print the hidden events of files; return 1 when there were bad records."""
    from collectors.base import Batch
    from collectors.reading import Statistics, read_paths

    privacy, statistics, replaced = privacy_of(arguments.policy), Statistics(), 0
    for read in read_paths(arguments.paths):
        statistics.add(read)
        batch = Batch(read.events)
        privacy.apply(batch)
        replaced += batch.counters.get("privacy_replaced", 0)
        for event in batch.events:
            print(orjson.dumps(event).decode())
    for bad in statistics.bad_samples[:10]:
        print(printable(f"{bad.source}: {said(bad.reason)}"), file=sys.stderr)
    print(say("edusoc.privacy.tried", events=statistics.events, replaced=replaced), file=sys.stderr)
    return 1 if statistics.bad else 0


def blind(arguments: argparse.Namespace) -> int:
    """Print the rules that see less under the policy."""
    from detectors.sigma import load_rules
    from edusoc.blinding import blinded_rules
    from edusoc.composition import rules_directory

    paths = [Path(path) for path in arguments.paths] or [rules_directory(settings_of(arguments))]
    count = 0
    for found in blinded_rules(paths, privacy_of(arguments.policy)):
        count += 1
        if arguments.json:
            row: dict[str, object] = {
                "id": found.rule.id,
                "title": found.rule.head.words[language_of()].title,
            }
            row |= {"tried": found.tried, "missed": found.missed, "values": list(found.values)}
            print(orjson.dumps(row).decode())
        else:
            print(f"{found.rule.id}  {found.rule.head.words[language_of()].title}: {why_blinded(found)}")
    if not arguments.json:
        print(say("edusoc.privacy.blinded", rules=len(load_rules(paths).everything), blind=count))
    return 0


def why_blinded(found: Blinded) -> str:
    """Return how a policy blinds a rule, in the user's language."""
    if found.tried:
        return say("edusoc.privacy.missed", tried=found.tried, missed=found.missed)
    return say("edusoc.privacy.values", values=", ".join(found.values))


def privacy_of(path: Path | None) -> Privacy:
    """Return the policy of a file, or the usual one.

    Its key lives as long as this command: nobody can turn its tokens back.
    """
    from collectors.privacy import Privacy, Tokens
    from collectors.privacy.tokens import KEY_BYTES

    return Privacy(_policy(path), Tokens(secrets.token_bytes(KEY_BYTES)))


def _policy(path: Path | None) -> Policy:
    from collectors.privacy import Policy, read_policy

    if path is None:
        return Policy()
    table = read_toml(path).get("privacy", {})
    if not isinstance(table, dict):
        raise UsageError("'privacy' is no table", where=str(path), todo="write [privacy]")
    return read_policy(table, str(path))
