"""Reasons on a card name fields in the reader's words."""

from __future__ import annotations

import pytest

from cases.alerts.card import CardMaker
from soc_core.model.detection import Detection, Entity, Reason, Severity
from soc_core.model.event import Scalar
from soc_core.organisations.repository import OrganisationTree


class NoRules:
    def describe(self, rule_id: str, language: str) -> None:
        return None


def reasons(language: str, **values: Scalar) -> tuple[str, ...]:
    detection = Detection(
        "d", "r", "sigma", "k", "u", Entity("ip", "10.0.0.1"), Severity.LOW, "", "",
        reasons=(Reason("detectors.sigma.saw.field", values),), evidence=(),
    )  # fmt: skip
    return CardMaker(OrganisationTree({}), NoRules(), language)._reasons([detection])


@pytest.mark.parametrize(
    ("language", "field", "value", "expected"),
    [
        ("zh", "edusoc.smb.files_renamed", "61", ("改名文件数", "61")),
        ("en", "edusoc.smb.files_renamed", "61", ("files renamed", "61")),
        ("zh", "edusoc.smb.encrypted", "true", ("SMB 已加密", "是")),
        ("en", "edusoc.smb.encrypted", "false", ("SMB encrypted", "no")),
        ("zh", "no.such.field", "true", ("no.such.field", "true")),
    ],
)
def test_fields_and_truth_are_said_in_words(
    language: str, field: str, value: str, expected: tuple[str, str]
) -> None:
    (text,) = reasons(language, field=field, value=value)
    assert all(part in text for part in expected)
