"""Say who this centre is to agents: its certificate, and the key that signs its orders."""

from __future__ import annotations

from pathlib import Path

from soc_core.clock import Clock, utc_now
from soc_core.config import Settings
from soc_core.keys.certificates import ServerIdentity, configured_identity, own_identity
from soc_core.keys.signing import SigningKey


def intake_identity(settings: Settings, clock: Clock = utc_now) -> ServerIdentity:
    """Return the certificate agents see: as configured, else one of our own, made or renewed where needed."""
    if settings.intake_certificate:
        return configured_identity(Path(settings.intake_certificate), Path(settings.intake_key))
    names = [name.strip() for name in settings.intake_names.split(",") if name.strip()]
    return own_identity(settings.state_directory / "keys", names, clock())


def order_key(settings: Settings) -> SigningKey:
    """Return the key that signs orders."""
    return SigningKey.at(settings.state_directory / "keys" / "orders.key")


def outside_address(settings: Settings) -> str:
    """Return the address that agents use: the first configured name, else the host listened on."""
    first = settings.intake_names.split(",")[0].strip() or settings.intake_host
    shown = f"[{first}]" if ":" in first else first
    return f"https://{shown}:{settings.intake_port}"
