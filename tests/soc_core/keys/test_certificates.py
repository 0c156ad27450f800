"""A centre's own certificate is good for its names, is renewed in time, and its authority stays."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from soc_core.errors import UsageError
from soc_core.keys.certificates import RENEW_DAYS, SERVER_DAYS, configured_identity, own_identity
from tests.conftest import NOW


def test_it_is_made_once_and_renewed_when_it_must(tmp_path: Path) -> None:
    first = own_identity(tmp_path, ["centre.example", "10.1.2.3"], NOW)
    assert own_identity(tmp_path, ["10.1.2.3"], NOW).certificate == first.certificate
    later = own_identity(tmp_path, [], NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS + 1))
    assert later.certificate != first.certificate
    named = own_identity(tmp_path, ["other.example"], NOW)
    assert named.certificate not in {first.certificate, later.certificate}
    assert {first.authority, later.authority, named.authority} == {first.authority}


def test_private_keys_are_the_owners_alone(tmp_path: Path) -> None:
    own_identity(tmp_path / "keys", [], NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes.keys() >= {"intake-ca.pem", "intake-ca-key.pem", "intake.pem", "intake-key.pem"}
    assert set(modes.values()) == {0o600}


def test_names_are_in_it_and_strange_ones_refused(tmp_path: Path) -> None:
    identity = own_identity(tmp_path, ["教育局.example", "2001:db8::7"], NOW)
    found = x509.load_der_x509_certificate(identity.certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "xn--mnt6rnq5a.example" not in names.get_values_for_type(x509.IPAddress)
    assert names.get_values_for_type(x509.DNSName)[0] == "edusoc-intake"
    assert any(name.startswith("xn--") for name in names.get_values_for_type(x509.DNSName))
    assert "2001:db8::7" in map(str, names.get_values_for_type(x509.IPAddress))
    with pytest.raises(UsageError, match="no name"):
        own_identity(tmp_path, ["a" * 70 + ".example"], NOW)


def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    first = own_identity(tmp_path, [], NOW)
    (tmp_path / "intake.pem").write_bytes(b"damaged")
    assert own_identity(tmp_path, [], NOW).authority == first.authority


def test_a_sites_own_certificate_is_taken(tmp_path: Path) -> None:
    made = own_identity(tmp_path, [], NOW)
    given = configured_identity(made.chain_file, made.key_file)
    assert given == made
    assert isinstance(given.context(), ssl.SSLContext)
    alone = tmp_path / "alone.pem"
    alone.write_bytes(x509.load_der_x509_certificate(made.certificate).public_bytes(Encoding.PEM))
    assert configured_identity(alone, made.key_file).authority == ""
    with pytest.raises(UsageError, match="can't be used"):
        configured_identity(made.chain_file, tmp_path / "intake-ca-key.pem").context()
    with pytest.raises(UsageError, match="can't be read"):
        configured_identity(tmp_path / "none.pem", made.key_file)
