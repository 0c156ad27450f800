"""Keep who this agent is to its centre: what joining gave it. The private key lies beside it and never leaves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from collectors.uplink.connection import Centre
from soc_core.errors import StoreError, UsageError
from soc_core.keys.signing import PublicKey, SigningKey
from soc_core.log.files import write_whole
from soc_core.system import sync_directory

FILE: Final = "identity.json"
CA_FILE: Final = "centre-ca.pem"
KEY: Final = "keys/agent.key"
NEW_KEY: Final = "keys/agent.key.new"
CORRELATION_KEY: Final = "keys/bureau.key"


@dataclass(frozen=True, slots=True)
class Identity:
    """Hold what the centre told: the agent's id, its unit, the key that signs orders, how the centre is known.

    ``url`` is where it joined. ``ca`` says that ``centre-ca.pem`` lies beside it, ``name`` which name the centre's
    certificate bears; without a CA ``fingerprint`` is the certificate's SHA-256.
    """

    agent: str
    organization_id: str
    organization_name: str
    zone: str
    order_key: str
    url: str
    ca: bool = False
    name: str = ""
    fingerprint: str = ""

    @property
    def orders_from(self) -> PublicKey:
        """Return the key that signs orders."""
        return PublicKey.parse(self.order_key)

    def centre(self, state: Path, configured: Centre) -> Centre:
        """Return how to reach the centre: what the configuration says of it, and for the rest what joining told."""
        if configured.ca or configured.fingerprint:
            return configured
        return replace(
            configured,
            ca=str(state / CA_FILE) if self.ca else "",
            name=configured.name or self.name,
            fingerprint=self.fingerprint,
        )


def agent_key(state: Path) -> SigningKey:
    """Return the agent's key; it is made when first asked for."""
    return SigningKey.at(state / KEY)


def fresh_key(state: Path) -> SigningKey:
    """Return a new key for joining: one that was revoked must not come back. It counts once ``keep_key`` was called."""
    (state / NEW_KEY).unlink(missing_ok=True)
    return SigningKey.at(state / NEW_KEY)


def keep_key(state: Path) -> None:
    """Let the key made for joining be the agent's from now on."""
    (state / NEW_KEY).replace(state / KEY)
    sync_directory((state / KEY).parent)


def read_identity(state: Path) -> Identity | None:
    """Return who this agent is, ``None`` when it has joined no centre. Raises ``StoreError`` for a damaged file."""
    path = state / FILE
    try:
        found = orjson.loads(path.read_bytes())
        identity = Identity(**{name: found[name] for name in Identity.__slots__})
        identity.orders_from  # noqa: B018 - a damaged key is told here
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError, UsageError) as error:
        raise StoreError(
            "what joining the centre gave is damaged", where=str(path), todo="join again with a new code"
        ) from error
    return identity


def write_identity(state: Path, identity: Identity, ca: str) -> None:
    """Keep who this agent is, all or nothing."""
    if ca:
        write_whole(state / CA_FILE, ca.encode())
    write_whole(state / FILE, orjson.dumps(asdict(identity), option=orjson.OPT_INDENT_2) + b"\n")
