"""The API keeps its own description: generated requests, valid and not, get only answers that it documents."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.openapi import from_asgi

from soc_api.security import COOKIE
from tests.soc_api.conftest import LogIn
from tests.soc_api.test_isolation import CALLS

pytestmark = pytest.mark.slow
CONFIG = SchemathesisConfig.from_path(Path(__file__).parent.parent.parent / "schemathesis.toml")
UNENDING = ("GET", "/api/v1/live")
"""Its own tests follow the stream."""
INPUTLESS = {
    ("GET", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/organisations"),
    ("GET", "/api/v1/store/health"),
    ("GET", "/api/v1/indicators/lists"),
}
OPERATIONS = sorted(
    key for key in CALLS if key[1].startswith("/api/v1/") and key != UNENDING and "openapi" not in key[1]
)


@pytest.mark.parametrize("key", OPERATIONS, ids=" ".join)
def test_valid_requests_are_answered_as_described(app: FastAPI, log_in: LogIn, key: tuple[str, str]) -> None:
    ask(app, log_in, key, GenerationMode.POSITIVE)


@pytest.mark.parametrize("key", [key for key in OPERATIONS if key not in INPUTLESS], ids=" ".join)
def test_wrong_requests_are_refused_as_described(app: FastAPI, log_in: LogIn, key: tuple[str, str]) -> None:
    ask(app, log_in, key, GenerationMode.NEGATIVE)


def ask(app: FastAPI, log_in: LogIn, key: tuple[str, str], mode: GenerationMode) -> None:
    description = from_asgi("/api/v1/openapi.json", app, config=CONFIG)
    client = log_in("auditor" if key[1].startswith("/api/v1/store/") else "county")
    headers = {"X-CSRF-Token": client.headers["X-CSRF-Token"]}
    operation = description[key[1]][key[0]]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=2 if key in INPUTLESS else 10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, cookies={COOKIE: client.cookies[COOKIE]})

    send()
