"""Hold how an agent joins: it knows its centre before it says anything, and keeps what it was told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.agent.identity import CA_FILE, CORRELATION_KEY, FILE, agent_key, read_identity
from collectors.agent.joining import Wish, centre_url, certificate_name, join
from collectors.agent.protecting import bureau_key
from collectors.uplink.connection import Centre as Address
from collectors.uplink.connection import LinkError
from edusoc import cli
from soc_core.errors import StoreError, UsageError
from soc_core.uplink.enrolment import EnrolmentCode
from tests.collectors.agent.centre import AGENT, Centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    with Centre(tmp_path / "centre") as running:
        yield running


def test_joins_and_keeps_what_it_was_told(centre: Centre, tmp_path: Path) -> None:
    identity = join(Wish(centre.url, centre.code, "探针"), tmp_path / "state", "1.0")
    assert identity.agent == AGENT
    assert identity.organization_name == "示例学校"
    assert read_identity(tmp_path / "state") == identity
    assert centre.agent_key == agent_key(tmp_path / "state").public
    reached = identity.centre(tmp_path / "state", Address(centre.url))
    assert reached == Address(centre.url, ca=str(tmp_path / "state" / CA_FILE), name="centre.example")
    assert (tmp_path / "state" / CA_FILE).read_bytes() == centre.ca.read_bytes()
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o077 == 0
    assert bureau_key(tmp_path / "state") == bytes(range(32))
    assert (tmp_path / "state" / CORRELATION_KEY).stat().st_mode & 0o077 == 0


def test_without_a_ca_the_certificate_itself_is_kept(centre: Centre, tmp_path: Path) -> None:
    centre.give_ca = False
    identity = join(Wish(centre.url, centre.code), tmp_path / "state", "1.0")
    reached = identity.centre(tmp_path / "state", Address(centre.url))
    assert (reached.ca, len(reached.fingerprint)) == ("", 64)


def test_says_nothing_to_another_centre(centre: Centre, tmp_path: Path) -> None:
    with Centre(tmp_path / "other") as other:
        code = EnrolmentCode(centre.code.secret, other.code.fingerprint)
        with pytest.raises(UsageError, match="not the one the code was made for"):
            join(Wish(centre.url, code), tmp_path / "state", "1.0")
    assert centre.agent_key is None
    assert not (tmp_path / "state").exists()


def test_a_used_code_is_told(centre: Centre, tmp_path: Path) -> None:
    code = EnrolmentCode("0" * 12, centre.code.fingerprint)
    with pytest.raises(UsageError, match="unknown, used or too old — ask the centre for a new code"):
        join(Wish(centre.url, code), tmp_path / "state", "1.0")
    assert read_identity(tmp_path / "state") is None


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LinkError, match="can't be reached"):
            join(Wish(url, EnrolmentCode("0" * 12, "0" * 16)), tmp_path, "1.0")


def test_through_a_proxy(centre: Centre, tmp_path: Path) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve() -> None:
            for _ in range(2):
                client, _address = proxy.accept()
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(4_096)
                asked.append(head)
                upstream = socket.create_connection(("127.0.0.1", centre.port))
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        address = f"http://user:secret@127.0.0.1:{proxy.getsockname()[1]}"
        identity = join(Wish(centre.url, centre.code, proxy=address), tmp_path / "state", "1.0")
    assert identity.agent == AGENT
    assert len(asked) == 2
    for head in asked:
        assert head.startswith(f"CONNECT 127.0.0.1:{centre.port} HTTP/1.".encode())
        assert b"asic dXNlcjpzZWNyZXQ=" in head


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        return
    finally:
        source.close()
        target.close()


@pytest.mark.parametrize(
    ("typed", "used"),
    [
        ("centre.example", "https://centre.example:8601"),
        ("https://centre.example", "https://centre.example:8601"),
        ("https://centre.example:443/", "https://centre.example:443"),
        ("[2001:db8::1]:9", "https://[2001:db8::1]:9"),
    ],
)
def test_addresses_are_completed(typed: str, used: str) -> None:
    assert centre_url(typed) == used


@pytest.mark.parametrize("typed", ["", "http://centre.example", "centre:port", "https://centre:99999"])
def test_addresses_that_are_none_are_told(typed: str) -> None:
    with pytest.raises(UsageError, match="no address of a centre"):
        centre_url(typed)


def test_a_certificate_says_its_name(centre: Centre) -> None:
    assert certificate_name(centre.certificate) == "centre.example"


@pytest.mark.parametrize("content", ["", "{}", '{"agent": 1}', "[]"])
def test_a_damaged_identity_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StoreError, match="join again"):
        read_identity(tmp_path)


def test_the_command_joins_once(
    centre: Centre, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    config = tmp_path / "etc" / "agent.toml"
    words = ["enrol", "--centre", centre.url, "--code", centre.code.text, "--config", str(config)]
    words += ["--state", str(tmp_path / "state"), "--name", "机房探针"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "接入成功：示例学校" in said
    assert str(config) in said
    assert cli.main(["collect", "--check", "--config", str(config)]) == 0
    assert cli.main(words) == 2
    assert "--replace" in capsys.readouterr().err
    assert cli.main([*words, "--replace"]) == 0
    assert cli.main([*words[:4], centre.code.text[:-1] + "#", *words[5:]]) == 2
    assert "接入码" in capsys.readouterr().err
    assert cli.main([*words, "--replace", "--proxy", "http://teacher:secret@10.0.0.1:3128"]) == 2
    said = capsys.readouterr().err
    assert "EDUSOC_PROXY" in said
    assert "secret" not in said


def test_a_proxy_with_a_password_comes_by_the_environment(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_PROXY", "http://teacher:secret@127.0.0.1:1")
    words = ["enrol", "--centre", centre.url, "--code", centre.code.text]
    words += ["--config", str(tmp_path / "agent.toml"), "--state", str(tmp_path / "state")]
    assert cli.main(words) == 3, "nothing listens there"


def test_joining_anew_takes_a_new_key(centre: Centre, tmp_path: Path) -> None:
    join(Wish(centre.url, centre.code), tmp_path / "state", "1.0")
    first = centre.agent_key
    with pytest.raises(UsageError):
        join(Wish(centre.url, EnrolmentCode("0" * 12, centre.code.fingerprint)), tmp_path / "state", "1.0")
    assert agent_key(tmp_path / "state").public == first
    join(Wish(centre.url, centre.code), tmp_path / "state", "1.0")
    assert centre.agent_key != first
    assert agent_key(tmp_path / "state").public == centre.agent_key
