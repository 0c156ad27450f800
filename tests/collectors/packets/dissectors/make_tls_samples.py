"""Record TLS handshakes of OpenSSL with itself: run by hand to make ``samples/tls.json`` anew.

``python -m tests.collectors.packets.dissectors.make_tls_samples`` writes other random bytes each time; expectations
that depend on them (fingerprints do not) stand in the golden file.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SAMPLES = Path(__file__).parent / "samples" / "tls.json"
Piece = tuple[int, str]


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "示范学校, 演示"),
            x509.NameAttribute(NameOID.COMMON_NAME, "www.school.example"),
        ]
    )
    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    names = [x509.DNSName("www.school.example"), x509.IPAddress(ipaddress.ip_address("192.168.30.20"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x0ABC)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


def record(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None = None
) -> tuple[list[Piece], ssl.SSLSession | None]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    two = server.wrap_bio(to_server, to_client, server_side=True)
    pieces: list[Piece] = []
    taken = [b"", b""]
    finished = [False, False]
    for _ in range(12):
        for side, (mine, out) in enumerate(((one, to_server), (two, to_client))):
            try:
                if not finished[side]:
                    mine.do_handshake()
                    finished[side] = True
                    if side == 0:
                        mine.write(b"GET / HTTP/1.1\r\nHost: www.school.example\r\n\r\n")
                else:
                    mine.read(100)
                    if side == 1:
                        mine.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            except ssl.SSLError:
                pass
            data = out.read()
            if data:
                pieces.append((side, data.hex()))
                out.write(data)
            taken[side] += data
    return pieces, one.session if finished[0] else None


def contexts(version: ssl.TLSVersion, files: tuple[Path, Path]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (client, server):
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
    return client, server


def main() -> None:
    samples: dict[str, list[Piece]] = {}
    with tempfile.TemporaryDirectory() as name:
        files = certificate(Path(name))
        client, server = contexts(ssl.TLSVersion.TLSv1_2, files)
        samples["tls12"], session = record(client, server, "www.school.example")
        samples["tls12_resumed"], _ = record(client, server, "www.school.example", session)
        client, server = contexts(ssl.TLSVersion.TLSv1_3, files)
        samples["tls13"], _ = record(client, server, "www.school.example")
        server.set_ecdh_curve("secp384r1")  # the client's key share is for another group
        samples["tls13_retry"], _ = record(client, server, None)
        client, server = contexts(ssl.TLSVersion.TLSv1_2, files)
        client.verify_mode = ssl.CERT_REQUIRED
        samples["tls12_refused"], _ = record(client, server, "www.school.example")
        client, server = contexts(ssl.TLSVersion.TLSv1_2, files)
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_3
        samples["tls12_to_13_only"], _ = record(client, server, "www.school.example")
    SAMPLES.parent.mkdir(exist_ok=True)
    SAMPLES.write_text(json.dumps(samples, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
