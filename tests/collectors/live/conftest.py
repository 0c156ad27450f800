from __future__ import annotations

import pytest

from tests.collectors.live.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have inputs look at ``stop`` more often, so that tests end sooner."""
    for module in ("syslog", "connections", "eve_socket"):
        monkeypatch.setattr(f"collectors.live.{module}._POLL_SECONDS", 0.02)
