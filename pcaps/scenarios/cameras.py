"""Speak to cameras: their web page by basic or digest log-in, their video by RTSP (RFC 2326)."""

from __future__ import annotations

from pcaps.wire import http
from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace

REALM = "IP Camera"
SERVER_NAME = "App-webs/"
PASSWORD = "Xq7-lanse-Shu!"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Media\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:trackID=1\r\n"
)
DEVICE_INFO = (
    b'<?xml version="1.0" encoding="UTF-8"?><DeviceInfo version="2.0"><deviceName>IP CAMERA</deviceName>'
    b"<model>DS-EX2CD</model><firmwareVersion>V5.5.0</firmwareVersion></DeviceInfo>"
)


def log_in_by_basic(
    capture: Capture, ends: tuple[Endpoint, Endpoint], at_us: int, login: tuple[str, str]
) -> None:
    """Open a camera's page, be asked for a password, send it in the clear, and get in."""
    connection = Connection(capture, ends, 80, at_us, pace=Pace(900)).open()
    host, target = ends[1].ip, "/ISAPI/System/deviceInfo"
    challenge = {"WWW-Authenticate": f'Basic realm="{REALM}"'}
    refused = http.response(401, http.page("Unauthorized"), headers=challenge, server=SERVER_NAME)
    http.fetch(connection, http.request("GET", target, host), refused)
    asked = http.request("GET", target, host, headers={"Authorization": http.basic(*login)})
    http.fetch(
        connection,
        asked,
        http.response(200, DEVICE_INFO, kind="application/xml", server=SERVER_NAME),
        think=4,
    )
    connection.close(CLIENT)


def log_in_by_digest(capture: Capture, ends: tuple[Endpoint, Endpoint], at_us: int) -> None:
    """Ask a camera for its state with a proof of the password, as recorders do."""
    connection = Connection(capture, ends, 80, at_us, pace=Pace(900)).open()
    host, target, agent = ends[1].ip, "/ISAPI/System/status", "NVR/4.30"
    nonce = capture.rng.randbytes(16).hex()
    challenge = {"WWW-Authenticate": f'Digest realm="{REALM}", nonce="{nonce}"'}
    refused = http.response(401, b"", headers=challenge, server=SERVER_NAME)
    http.fetch(connection, http.request("GET", target, host, agent=agent), refused)
    proof = http.digest("recorder", PASSWORD, REALM, nonce, ("GET", target))
    asked = http.request("GET", target, host, headers={"Authorization": proof}, agent=agent)
    http.fetch(connection, asked, http.response(200, DEVICE_INFO, kind="application/xml", server=SERVER_NAME))
    connection.close(CLIENT)


def _rtsp(method: str, url: str, number: int, *lines: str) -> bytes:
    return "\r\n".join(
        (f"{method} {url} RTSP/1.0", f"CSeq: {number}", *lines, "User-Agent: NVR/4.30", "", "")
    ).encode()


def _rtsp_answer(number: int, *lines: str, status: str = "200 OK", body: str = "") -> bytes:
    return "\r\n".join((f"RTSP/1.0 {status}", f"CSeq: {number}", *lines, "", "")).encode() + body.encode()


def describe(
    capture: Capture, ends: tuple[Endpoint, Endpoint], at_us: int, login: tuple[str, str] | None = None
) -> Connection:
    """Open a video by RTSP up to its description; with ``login`` the password goes in the clear, else as a proof."""
    connection = Connection(capture, ends, 554, at_us, pace=Pace(900)).open()
    url, nonce = f"rtsp://{ends[1].ip}:554/Streaming/Channels/102", capture.rng.randbytes(16).hex()
    way = f'Basic realm="{REALM}"' if login else f'Digest realm="{REALM}", nonce="{nonce}"'
    proof = (
        http.basic(*login) if login else http.digest("recorder", PASSWORD, REALM, nonce, ("DESCRIBE", url))
    )
    accept = "Accept: application/sdp"
    refusal = _rtsp_answer(2, f"WWW-Authenticate: {way}", status="401 Unauthorized")
    granted = _rtsp_answer(3, "Content-Type: application/sdp", f"Content-Length: {len(SDP)}", body=SDP)
    exchanges = (
        (_rtsp("OPTIONS", url, 1), _rtsp_answer(1, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")),
        (_rtsp("DESCRIBE", url, 2, accept), refusal),
        (_rtsp("DESCRIBE", url, 3, accept, f"Authorization: {proof}"), granted),
    )
    for asked, answered in exchanges:
        http.fetch(connection, asked, answered, think=0.01)
    return connection


def play(connection: Connection, seconds: float, rate: int = 32_000) -> None:
    """Play a described video for ``seconds`` at ``rate`` bytes a second, inside the RTSP connection; then tear down."""
    url, rng = f"rtsp://{connection.ends[1].ip}:554/Streaming/Channels/102", connection.capture.rng
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    http.fetch(
        connection, _rtsp("SETUP", f"{url}/trackID=1", 4, transport), _rtsp_answer(4, transport, "Session: 7")
    )
    http.fetch(
        connection,
        _rtsp("PLAY", url, 5, "Session: 7"),
        _rtsp_answer(5, "Session: 7", "RTP-Info: url=trackID=1"),
    )
    until = connection.now + round(seconds * 1_000_000)
    while connection.now < until:
        start = connection.now
        connection.send_cut(SERVER, rate + rng.randrange(-rate // 4, rate // 4))
        connection.now = max(connection.now, start + 1_000_000 + rng.randrange(-4_000, 4_000))
    http.fetch(connection, _rtsp("TEARDOWN", url, 6, "Session: 7"), _rtsp_answer(6))
    connection.close(CLIENT)
