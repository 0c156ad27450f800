"""Ask devices by SNMP (RFC 3416): walk columns of tables, bounded in rows and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as snmp

from collectors.live.neighbour_tables import Column, Row
from collectors.live.options import Options

AT_ONCE: Final = 25
"""Rows asked for in one request: about as many as fit into one packet."""
MOST_ROWS: Final = 100_000
DIGESTS: Final[Mapping[str, tuple[int, ...]]] = {
    "sha": snmp.usmHMACSHAAuthProtocol,
    "sha256": snmp.usmHMAC192SHA256AuthProtocol,
    "sha512": snmp.usmHMAC384SHA512AuthProtocol,
    "md5": snmp.usmHMACMD5AuthProtocol,
}
CIPHERS: Final[Mapping[str, tuple[int, ...]]] = {
    "aes": snmp.usmAesCfb128Protocol,
    "aes256": snmp.usmAesCfb256Protocol,
    "des": snmp.usmDESPrivProtocol,
}


class SnmpError(Exception):
    """Say why a device did not answer."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold how to log in: a community (version 2c), or user, keys and algorithms (version 3, RFC 3414)."""

    community: str = field(default="", repr=False)
    user: str = ""
    digest: str = "sha"
    digest_key: str = field(default="", repr=False)
    cipher: str = "aes"
    cipher_key: str = field(default="", repr=False)

    def login(self) -> object:
        """Return what the library wants."""
        if self.community:
            return snmp.CommunityData(self.community, mpModel=1)  # noqa: S508  # old switches know no other
        if not self.digest_key:
            return snmp.UsmUserData(self.user)  # noqa: S509  # as the site set its switches up
        keys: dict[str, object] = {"authKey": self.digest_key, "authProtocol": DIGESTS[self.digest]}
        if self.cipher_key:
            keys |= {"privKey": self.cipher_key, "privProtocol": CIPHERS[self.cipher]}
        return snmp.UsmUserData(self.user, **keys)  # noqa: S509  # with a cipher where the site has one


def read_credentials(options: Options) -> Credentials:
    """Return the log-in of an input's settings. Raises ``UsageError`` when it is neither of 2c nor of 3."""
    found = Credentials(
        options.text("community", ""),
        options.text("user", ""),
        options.choice("digest", tuple(DIGESTS), "sha"),
        options.text("digest_key", ""),
        options.choice("cipher", tuple(CIPHERS), "aes"),
        options.text("cipher_key", ""),
    )
    if bool(found.community) == bool(found.user):
        raise options.fault("community", "is missing", "set community (version 2c) or user (version 3)")
    for name, key in (("digest_key", found.digest_key), ("cipher_key", found.cipher_key)):
        if key and len(key) < 8:
            raise options.fault(name, "is too short", "write at least 8 characters (RFC 3414)")
    return found


class Device:
    """Ask one device. For one event loop."""

    def __init__(self, engine: object, address: tuple[str, int], login: object, seconds: float) -> None:
        """Take an engine of the library, where the device is, the log-in, and how long to wait for an answer."""
        self._engine, self._address, self._login, self._seconds = engine, address, login, seconds

    async def get(self, name: Column) -> bytes | int | None:
        """Return one value. Raises ``SnmpError`` when there is no answer."""
        target = await self._target()
        asked = snmp.ObjectType(snmp.ObjectIdentity(name))
        try:
            answer = await snmp.get_cmd(
                self._engine, self._login, target, snmp.ContextData(), asked, lookupMib=False
            )
        except PySnmpError as error:
            raise SnmpError(str(error)) from error
        failed, status, _, bound = answer
        if failed or status:
            raise SnmpError(str(failed or status.prettyPrint()))
        return _value(bound[0][1])

    async def walk(self, column: Column) -> list[Row]:
        """Return the rows of a column, at most ``MOST_ROWS``; none when the device has no such table.

        Raises ``SnmpError`` when it does not answer.
        """
        rows: list[Row] = []
        target = await self._target()
        walking = snmp.bulk_walk_cmd(
            self._engine,
            self._login,
            target,
            snmp.ContextData(),
            0,
            AT_ONCE,
            snmp.ObjectType(snmp.ObjectIdentity(column)),
            lookupMib=False,
            lexicographicMode=False,
            maxRows=MOST_ROWS,
        )
        try:
            async for failed, status, _, bound in walking:
                if failed or status:
                    raise SnmpError(str(failed or status.prettyPrint()))
                for name, value in bound:
                    number = tuple(name)
                    plain = _value(value)
                    if number[: len(column)] == column and plain is not None:
                        rows.append((number[len(column) :], plain))
        except PySnmpError as error:
            raise SnmpError(str(error)) from error
        return rows

    async def _target(self) -> object:
        transport = snmp.Udp6TransportTarget if ":" in self._address[0] else snmp.UdpTransportTarget
        try:
            return await transport.create(self._address, timeout=self._seconds, retries=1)
        except PySnmpError as error:
            raise SnmpError(str(error)) from error


def _value(value: object) -> bytes | int | None:
    """Return a value's bytes or whole number, ``None`` for others and for "there is no such object"."""
    for read in (_octets, _integer):
        found = read(value)
        if found is not None:
            return found
    return None


def _octets(value: object) -> bytes | None:
    octets = getattr(value, "asOctets", None)
    if octets is None or getattr(value, "isValue", True) is False:
        return None
    return bytes(octets())


def _integer(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]  # the library's numbers can be read so
    except (TypeError, ValueError, PySnmpError):
        return None
