"""The table [privacy]: what is wrong is named, with a remedy, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collectors.privacy.policy import CLEAR_ACCOUNTS, Policy, read_policy
from soc_core import i18n
from soc_core.errors import InputError, UsageError
from soc_core.reasons import error_text


def test_nothing_said_hides_what_is_personal() -> None:
    assert read_policy({}, "agent.toml") == Policy()
    assert Policy().accounts == Policy().content == Policy().original == "token"


def test_all_of_it(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_bytes("# 名单\n张三丰\n王\n\n张三丰\n".encode("gb18030"))
    table: dict[str, object] = {
        "accounts": "remove", "content": "keep", "original": "remove", "devices": "token",
        "clear": ["svc_*"], "names_file": str(names), "student_number": r"\b20\d{8}\b",
    }  # fmt: skip
    policy = read_policy(table, "agent.toml")
    assert (policy.accounts, policy.devices, policy.names) == ("remove", "token", ("张三丰",))
    assert policy.clear_pattern.match("svc_backup")
    assert "张三丰" not in repr(policy)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", "token"),
        ("accounts", "hide"),
        ("accounts", 1),
        ("clear", "root"),
        ("clear", ["*"]),
        ("student_number", "("),
        ("student_number", "x*"),
        ("names_file", 1),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(name: str, value: object) -> None:
    i18n.load("collectors")
    with pytest.raises(UsageError, match=f"'{name}'") as caught:
        read_policy({name: value}, "agent.toml")
    assert caught.value.todo
    assert "agent.toml" in caught.value.where
    assert len(re.findall(r"[一-鿿]", error_text(caught.value, "zh"))) > 8


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.txt"):
        read_policy({"names_file": str(tmp_path / "nobody.txt")}, "agent.toml")


def test_every_clear_account_is_clear() -> None:
    pattern = Policy().clear_pattern
    assert all(pattern.match(account.replace("*", "x").replace("?", "1")) for account in CLEAR_ACCOUNTS)
    assert not any(pattern.match(name) for name in ("zhangsan", "li.lei", "t2023001", "wangwei1987"))
