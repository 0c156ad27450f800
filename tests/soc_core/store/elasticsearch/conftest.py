"""A real Elasticsearch with TLS and users, shared by the tests of the connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from soc_core.config import Settings
from tests.elasticsearch_security import Authority, secure_node
from tests.elasticsearch_server import Node

PREFIX: Final = "secured"
ROLES: Final[Mapping[str, Mapping[str, object]]] = {
    "writer": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": [f"{PREFIX}-*"], "privileges": ["all"]}],
    },
    "reader": {
        "cluster": ["monitor"],
        "indices": [{"names": [f"{PREFIX}-*"], "privileges": ["read", "view_index_metadata"]}],
    },
    "guest": {"cluster": [], "indices": [{"names": [f"{PREFIX}-*"], "privileges": ["read"]}]},
}


@dataclass(frozen=True)
class Secured:
    """Hold the node, what its users' passwords are, and the file clients trust it by."""

    node: Node
    passwords: Mapping[str, str]
    authority: Path

    def settings(self, user: str, **others: Any) -> Settings:
        """Return settings to connect as a user."""
        usual = Settings(
            elasticsearch_url=self.node.url,
            elasticsearch_ca=str(self.authority),
            elasticsearch_username=user,
            elasticsearch_password=self.passwords.get(user, "guessed-password"),
            elasticsearch_prefix=PREFIX,
            elasticsearch_replicas=0,
        )
        return replace(usual, **others)


@pytest.fixture(scope="session")
def secured_elasticsearch() -> Iterator[Secured]:
    node, passwords = secure_node(Authority.make(), ROLES)
    with node:
        assert node.authority is not None
        yield Secured(node, passwords, node.authority)
