"""See credentials that HTTP carries in the clear, say which account, and never keep the password.

``hide_secrets`` is applied to queries and bodies before they become fields: the value of a field that is named like a
password is replaced, unless it is code, a command (a webshell's often comes in a parameter called ``pass``) or an
attempt at injection: those are what rules look for.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from collectors.packets.dissectors.base import printable
from collectors.packets.dissectors.ntlm import find_authenticate

HIDDEN: Final = "***"
MAX_ACCOUNT: Final = 128
MAX_SECRET: Final = 64
_MAX_PAIRS: Final = 100
_SECRET_PARTS: Final = ("passw", "pwd", "psw", "mima", "pass_word")
_NOT_SECRET: Final = frozenset({"bypass", "compass", "pwdlength", "passwordlevel"})
_ACCOUNT_PARTS: Final = ("user", "account", "login", "uname", "yhm", "usr")
_ACCOUNTS: Final = frozenset({"uid", "name", "email", "mobile", "phone", "log", "admin", "u"})
_HASH: Final = re.compile(r"[0-9a-fA-F]{32}(?:[0-9a-fA-F]{8}(?:[0-9a-fA-F]{24})?)?")
_CALL: Final = re.compile(r"[A-Za-z_]{2,}\s{0,4}\(")
_COMMAND: Final = re.compile(
    r"(?:whoami|ipconfig|ifconfig|id|uname|cat|ls|dir|net|systeminfo|tasklist|phpinfo|ping|curl|wget|type|ps|netstat"
    r"|echo|cmd|powershell|bash|sh|certutil|tftp|nslookup|chmod|rm|del|copy|/bin/\w{1,8}|ver)(?:\.exe)?(?:[\s;|&]|$)",
    re.IGNORECASE,
)
# SQL, log4j look-ups, markup and paths: somebody attacks the log-in form
_ATTACK: Final = re.compile(
    r"['\"]\s{0,4}(?:or\b|and\b|union\b|\)|;|--|#|\|\|)|\$\{|<[a-z!?%]|\.\.[/\\]|[;|&]\s{0,3}(?:cat|id|ls|wget|curl)\b",
    re.IGNORECASE,
)
# Both only ever look at the first 2 KB of a body; neither can backtrack.
_JSON_PAIR: Final = re.compile(r'"(\w{1,40})"\s{0,8}:\s{0,8}"((?:[^"\\]|\\.){0,200})"')
_XML_PAIR: Final = re.compile(r"<(\w{1,40})>([^<]{0,200})</")
_DIGEST_USER: Final = re.compile(rb'username="([^"]{0,128})"')

# Factory accounts of cameras, recorders, door controllers, routers and servers (makers' manuals; the lists that the
# Mirai family tries). Account in lower case.
DEFAULTS: Final = frozenset(
    {
        ("admin", ""), ("admin", "admin"), ("admin", "12345"), ("admin", "123456"), ("admin", "admin123"),
        ("admin", "1234"), ("admin", "12345678"), ("admin", "123456789"), ("admin", "111111"), ("admin", "888888"),
        ("admin", "666666"), ("admin", "password"), ("admin", "admin12345"), ("admin", "abc12345"),
        ("admin", "hik12345"), ("admin", "9999"), ("admin", "4321"), ("admin", "1111"), ("admin", "admin1234"),
        ("admin", "system"), ("admin", "jvc"), ("admin", "meinsm"), ("admin", "tlJwpbo6"), ("admin", "admin888"),
        ("888888", "888888"), ("666666", "666666"), ("default", "default"), ("default", "tluafed"),
        ("root", ""), ("root", "root"), ("root", "admin"), ("root", "pass"), ("root", "password"), ("root", "12345"),
        ("root", "123456"), ("root", "vizxv"), ("root", "xc3511"), ("root", "888888"), ("root", "ikwb"),
        ("root", "7ujmko0admin"), ("root", "camera"), ("root", "toor"), ("guest", "guest"), ("guest", "12345"),
        ("user", "user"), ("service", "service"), ("supervisor", "supervisor"), ("support", "support"),
        ("administrator", "admin"), ("administrator", "administrator"), ("administrator", "1234"),
        ("administrator", "123456"), ("operator", "operator"), ("tech", "tech"), ("test", "test"), ("ubnt", "ubnt"),
        ("cisco", "cisco"), ("tomcat", "tomcat"), ("tomcat", "s3cret"), ("manager", "manager"),
        ("weblogic", "weblogic"), ("weblogic", "weblogic1"), ("system", "manager"), ("sa", ""), ("super", "super"),
        ("useradmin", "useradmin"), ("telecomadmin", "nE7jA%5m"), ("cmccadmin", "aDm8H%MdA"), ("user", "123456"),
        ("nacos", "nacos"), ("guest", ""), ("pi", "raspberry"),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credentials:
    """Say how credentials were sent, for which account, and whether they are a factory default."""

    method: str
    account: str = ""
    is_default: bool = False


def from_authorization(value: bytes) -> Credentials | None:
    """Return what an Authorization header carries (RFC 7617 Basic, RFC 7616 Digest, NTLM, Negotiate)."""
    scheme, _, rest = value.strip().partition(b" ")
    method = scheme[:16].lower().decode("latin-1")
    if method == "basic":
        return _basic(rest.strip()[:1_024])
    if method == "digest":
        found = _DIGEST_USER.search(rest[:2_048])
        return Credentials("digest", printable(found[1], MAX_ACCOUNT) if found else "")
    return _windows(method, rest.strip()[:8_192]) if method in ("ntlm", "negotiate") else None


def _windows(method: str, encoded: bytes) -> Credentials:
    """Return the account of an NTLM log-in's last message; Kerberos hides it."""
    found = find_authenticate(_decoded(encoded))
    return Credentials(method, found.user[:MAX_ACCOUNT] if found is not None else "")


def _decoded(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        return b""


def _basic(encoded: bytes) -> Credentials | None:
    plain = _decoded(encoded)
    account, colon, secret = plain.partition(b":")
    if not colon:
        return None
    name = printable(account, MAX_ACCOUNT)
    return Credentials("basic", name, is_default(name, secret.decode("utf-8", "replace")))


def is_default(account: str, secret: str) -> bool:
    """Tell whether account and password are a factory default."""
    return (account.lower(), secret) in DEFAULTS


def hide_secrets(text: str, method: str) -> tuple[str, Credentials | None]:
    """Return ``text`` (``a=1&b=2``) without passwords, and the credentials it carried."""
    if not _may_hold_secret(text):
        return text, None
    pairs = text.split("&", _MAX_PAIRS)
    seen = _Seen()
    for index, pair in enumerate(pairs):
        name, mark, value = pair.partition("=")
        if mark and seen.secret(unquote_plus(name), unquote_plus(value)):
            pairs[index] = f"{name}={HIDDEN}"
    return ("&".join(pairs) if seen.hidden else text), seen.credentials(method)


def hide_secrets_in_document(text: str, method: str) -> tuple[str, Credentials | None]:
    """Do the same for JSON and XML."""
    if not _may_hold_secret(text):
        return text, None
    seen = _Seen()

    def replaced(match: re.Match[str]) -> str:
        start, end = match.span(2)
        whole = match[0]
        if not seen.secret(match[1], match[2]):
            return whole
        return whole[: start - match.start()] + HIDDEN + whole[end - match.start() :]

    text = _JSON_PAIR.sub(replaced, text)
    return _XML_PAIR.sub(replaced, text), seen.credentials(method)


def _may_hold_secret(text: str) -> bool:
    if not text:
        return False
    lowered = text.lower()
    return "pass" in lowered or "pwd" in lowered or "psw" in lowered or "mima" in lowered


def _is_secret_name(name: str) -> bool:
    if name in _NOT_SECRET:
        return False
    return name.endswith("pass") or any(part in name for part in _SECRET_PARTS)


def _is_attack(value: str) -> bool:
    return bool(_CALL.search(value) or _COMMAND.match(value) or _ATTACK.search(value))


class _Seen:
    """Collect account and password of one text; the password lives only as long as this object."""

    __slots__ = ("_account", "_secret", "hidden")

    def __init__(self) -> None:
        self._account: str | None = None
        self._secret: str | None = None
        self.hidden = False

    def secret(self, name: str, value: str) -> bool:
        """Take one pair; tell whether its value is a password that must be hidden."""
        name = name.lower()[-64:]
        if not _is_secret_name(name):
            if (
                self._account is None
                and value
                and (name in _ACCOUNTS or any(p in name for p in _ACCOUNT_PARTS))
            ):
                self._account = value[:MAX_ACCOUNT]
            return False
        if len(value) > MAX_SECRET or _is_attack(value):
            return False
        if self._secret is None:
            self._secret = value
        self.hidden = self.hidden or bool(value)
        return bool(value)

    def credentials(self, method: str) -> Credentials | None:
        """Return what was seen, ``None`` without a password."""
        if self._secret is None or (not self._secret and self._account is None):
            return None
        account = self._account or ""
        name = (
            account if account.isprintable() else printable(account.encode("utf-8", "replace"), MAX_ACCOUNT)
        )
        hashed = _HASH.fullmatch(self._secret) is not None
        return Credentials(
            f"{method}_hashed" if hashed else method, name, bool(name) and is_default(name, self._secret)
        )
