"""``edusoc privacy``: what a policy hides and which rules it blinds."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from collectors.privacy import Policy, Privacy, Tokens
from detectors.sigma.mapping import bundled_rules
from edusoc.blinding import blinded_rules
from edusoc.cli import main

RULE = """title: Log-in of a person
id: 6f0c8a51-6d0e-4f6e-9f41-2d0a2b7a5d10
status: test
description: looks for one person
logsource: {product: linux, service: auth}
detection:
    person: {user.name: [lilei, root]}
    words: {message|contains: secret}
    condition: person and words
level: high
"""


def privacy(**policy: str) -> Privacy:
    return Privacy(Policy(**policy), Tokens(bytes(32)))  # type: ignore[arg-type]  # texts only


def test_the_usual_policy_blinds_no_bundled_rule() -> None:
    assert list(blinded_rules([bundled_rules()], privacy())) == []


def test_removing_texts_blinds_the_rules_that_read_them() -> None:
    found = list(blinded_rules([bundled_rules() / "web"], privacy(content="remove")))
    assert found
    assert all(0 < item.missed <= item.tried for item in found)


def test_rules_without_samples_are_read(tmp_path: Path) -> None:
    (tmp_path / "person.yml").write_text(RULE, encoding="utf-8")
    (one,) = blinded_rules([tmp_path], privacy())
    assert (one.tried, one.values) == (0, ("user.name=lilei",))
    (one,) = blinded_rules([tmp_path], privacy(accounts="keep", content="remove"))
    assert one.values == ("message",)


def test_the_command_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "person.yml").write_text(RULE, encoding="utf-8")
    assert main(["privacy", "blind", str(tmp_path), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert orjson.loads(line)["values"] == ["user.name=lilei"]
    assert main(["privacy", "blind", str(tmp_path)]) == 0
    assert "user.name=lilei" in capsys.readouterr().out


def test_try_hides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "auth.log"
    log.write_text("Nov 24 10:00:00 web sshd[1]: Failed password for lilei from 10.1.2.3 port 5 ssh2\n" * 2)
    assert main(["privacy", "try", str(log)]) == 0
    output = capsys.readouterr().out
    assert "lilei" not in output
    one, two = (orjson.loads(line)["user.name"] for line in output.splitlines())
    assert one == two
    assert one.startswith("user~")


@pytest.mark.parametrize("text", ["[privacy\n", "privacy = 1\n", "[privacy]\naccounts = 'hide'\n"])
def test_a_wrong_policy_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    policy = tmp_path / "agent.toml"
    policy.write_text(text)
    assert main(["privacy", "blind", "--policy", str(policy)]) == 2
    assert str(policy) in capsys.readouterr().err
