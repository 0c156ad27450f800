"""Make what hides personal data before anything is kept: the one place where the agent meets ``collectors.privacy``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from collectors.agent.configuration import Configuration
from collectors.agent.identity import CORRELATION_KEY
from collectors.base import Batch
from soc_core.errors import StoreError
from soc_core.keys.store import KeyStore

Protect: TypeAlias = Callable[[Batch], None]
"""Change a batch in place: its events and the bytes of its bad records."""
PURPOSE: Final = "privacy"
_LABEL: Final = b"edusoc-tokens-1"


def school_key(state: Path) -> bytes:
    """Return the school's key for tokens (32 bytes), derived from ``keys/privacy.key``; made when first asked for."""
    return KeyStore(state / "keys").sign(PURPOSE, _LABEL)


def bureau_key(state: Path) -> bytes:
    """Return the bureau's key for correlation tokens, empty where joining gave none.

    Raises ``StoreError`` when it is damaged: other tokens than before would part one person into two.
    """
    path = state / CORRELATION_KEY
    try:
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return b""
    except ValueError as error:
        raise StoreError(
            "the key file is damaged", where=str(path), todo="join again with a new code"
        ) from error


def protect_of(configuration: Configuration) -> Protect | None:
    """Return what is applied to every batch, ``None`` where no ``[privacy]`` is configured.

    Raises ``UsageError`` for a wrong setting.
    """
    if configuration.privacy is None:
        return None
    from collectors.privacy import Privacy, Tokens, read_policy  # noqa: PLC0415 - only where it is wanted

    policy = read_policy(configuration.privacy, str(configuration.path))
    return Privacy(policy, Tokens(school_key(configuration.state), bureau_key(configuration.state))).apply
