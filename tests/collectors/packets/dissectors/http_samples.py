"""HTTP conversations written by hand after RFC 9110 and 9112."""

from __future__ import annotations

import base64
import gzip

Pieces = list[tuple[int, bytes]]


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8") + b"\r\n"


def _page(title: str, encoding: str = "utf-8") -> bytes:
    return f"<!doctype html><html><head><title>{title}</title></head><body>x</body></html>".encode(encoding)


_PIPELINED = head("GET /a?x=1 HTTP/1.1", "Host: www.school.example", "User-Agent: t/1") + head(
    "HEAD /b.css HTTP/1.1", "Host: www.school.example:8080"
)
_CHUNKED = (
    head(
        "HTTP/1.1 200 OK",
        "Content-Type: text/html; charset=gbk",
        "Server: nginx",
        "Transfer-Encoding: chunked",
    )
    + b"1c;ext=1\r\n<html><head><title>\xcd\xf8\xd5\xbe</tit\r\n"
    + b"d\r\nle></head>abc\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
_PACKED = gzip.compress(_page("Hacked by &lt;someone&gt;"), mtime=0)
_FORM = b"username=admin&password=12345&remember=on"
_JSON = b'{"method":"global.login","params":{"userName":"admin","password":"geheim-42"},"id":1}'
_SHELL = b"pass=%40eval%28base64_decode%28%24_POST%5Bz0%5D%29%29%3B&z0=ZWNobyAxOw%3D%3D"
_UPLOAD = (
    b'--b1\r\nContent-Disposition: form-data; name="user"\r\n\r\nli\r\n--b1\r\nContent-Disposition: form-data; '
    b'name="f"; filename="C:\\tmp\\shell.jsp"\r\nContent-Type: image/jpeg\r\n\r\n'
    b'<%@ page import="java.io.*" %>\r\n--b1--\r\n'
)


def _post(path: str, kind: str, body: bytes) -> bytes:
    return head(
        f"POST {path} HTTP/1.1", "Host: 192.168.1.64", f"Content-Type: {kind}", f"Content-Length: {len(body)}"
    ) + body  # fmt: skip


def _basic(account: str) -> str:
    return "Authorization: Basic " + base64.b64encode(account.encode()).decode()


HTTP: dict[str, Pieces] = {
    "pipelined": [
        (0, _PIPELINED),
        (1, _CHUNKED + head("HTTP/1.1 200 OK", "Content-Length: 999", "Content-Type: text/css")),
    ],
    "defaced": [
        (0, head("GET / HTTP/1.0", "Host: old.school.example", "X-Forwarded-For: 10.1.1.1, 203.0.113.7")),
        (
            1,
            head("HTTP/1.0 200 OK", "Content-Type: text/html", "Content-Encoding: gzip", "Server: Apache/2.2")
            + _PACKED,
        ),
    ],
    "camera_form": [
        (0, _post("/login.cgi", "application/x-www-form-urlencoded", _FORM)),
        (1, head("HTTP/1.1 302 Found", "Location: /main.htm?password=abc", "Content-Length: 0")),
    ],
    "camera_basic": [
        (0, head("GET /ISAPI/Security/userCheck HTTP/1.1", "Host: 192.168.1.64", _basic("admin:12345"))),
        (1, head("HTTP/1.1 401 Unauthorized", "Content-Length: 3") + b"no\n"),
        (
            0,
            head("GET /ISAPI/Security/userCheck HTTP/1.1", "Host: 192.168.1.64", _basic("admin:Str0ng:pass")),
        ),
        (1, head("HTTP/1.1 200 OK", "Content-Length: 0")),
    ],
    "dahua_json": [
        (0, _post("/RPC2_Login", "application/json", _JSON)),
        (1, head("HTTP/1.1 204 No Content")),
    ],
    "webshell": [
        (0, _post("/uploads/x.php", "application/x-www-form-urlencoded", _SHELL)),
        (1, head("HTTP/1.1 200 OK", "Content-Length: 1") + b"1"),
    ],
    "upload": [
        (0, _post("/up", "multipart/form-data; boundary=b1", _UPLOAD)),
        (1, head("HTTP/1.1 100 Continue") + head("HTTP/1.1 500 Internal Server Error") + _page("错误 500")),
    ],
    "query_login": [
        (0, head("GET /do?user=li&pwd=secret1 HTTP/1.1", "Host: a", "Referer: http://a/?pwd=secret1&x=1")),
        (1, head("HTTP/1.1 304 Not Modified")),
    ],
    "answer_only": [(1, head("HTTP/1.1 200 OK", "Content-Length: 2") + b"ok")],
    "ask_only": [(0, head("GET /1 HTTP/1.1", "Host: a") + head("GET /2 HTTP/1.1", "Host: a"))],
    "folded_lf": [
        (0, b"GET /f HTTP/1.1\nHost: a\nUser-Agent: one\n  two\n\n"),
        (1, b"HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"),
    ],
    "websocket": [
        (0, head("GET /ws HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade")),
        (1, head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket") + b"\x81\x05hello"),
        (0, b"\x81\x85abcdefghi"),
    ],
}
