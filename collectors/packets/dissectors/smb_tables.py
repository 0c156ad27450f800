"""Name SMB's numbers ([MS-SMB2] §2.2, [MS-CIFS] §2.2.2, [MS-ERREF] §2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMANDS: Final = (
    "negotiate", "session_setup", "logoff", "tree_connect", "tree_disconnect", "create", "close", "flush", "read",
    "write", "lock", "ioctl", "cancel", "echo", "query_directory", "change_notify", "query_info", "set_info",
    "oplock_break",
)  # fmt: skip

DIALECTS: Final[Mapping[int, str]] = {
    0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1", 0x02FF: "2.???",
}  # fmt: skip

OLD_COMMANDS: Final[Mapping[int, str]] = {
    0x00: "create_directory", 0x01: "delete_directory", 0x02: "open", 0x03: "create", 0x04: "close", 0x05: "flush",
    0x06: "delete", 0x07: "rename", 0x08: "query_information", 0x09: "set_information", 0x0A: "read", 0x0B: "write",
    0x10: "check_directory", 0x1D: "write_raw", 0x1A: "read_raw", 0x24: "lock", 0x25: "transaction", 0x2B: "echo",
    0x2D: "open_andx", 0x2E: "read_andx", 0x2F: "write_andx", 0x32: "transaction2", 0x34: "find_close2",
    0x70: "tree_connect_old", 0x71: "tree_disconnect", 0x72: "negotiate", 0x73: "session_setup", 0x74: "logoff",
    0x75: "tree_connect", 0xA0: "nt_transact", 0xA1: "nt_transact_secondary", 0xA2: "create", 0xA4: "cancel",
    0xA5: "nt_rename", 0xC0: "open_print_file",
}  # fmt: skip

MORE_PROCESSING: Final = 0xC0000016
STATUSES: Final[Mapping[int, str]] = {
    0: "STATUS_SUCCESS",
    0x00000103: "STATUS_PENDING", 0x0000010B: "STATUS_NOTIFY_CLEANUP", 0x0000010C: "STATUS_NOTIFY_ENUM_DIR",
    0x80000005: "STATUS_BUFFER_OVERFLOW", 0x80000006: "STATUS_NO_MORE_FILES", 0x8000002D: "STATUS_STOPPED_ON_SYMLINK",
    0xC0000001: "STATUS_UNSUCCESSFUL", 0xC0000002: "STATUS_NOT_IMPLEMENTED", 0xC0000003: "STATUS_INVALID_INFO_CLASS",
    0xC0000008: "STATUS_INVALID_HANDLE", 0xC000000D: "STATUS_INVALID_PARAMETER", 0xC000000F: "STATUS_NO_SUCH_FILE",
    0xC0000010: "STATUS_INVALID_DEVICE_REQUEST", 0xC0000011: "STATUS_END_OF_FILE",
    0xC0000016: "STATUS_MORE_PROCESSING_REQUIRED", 0xC0000022: "STATUS_ACCESS_DENIED",
    0xC0000023: "STATUS_BUFFER_TOO_SMALL", 0xC0000033: "STATUS_OBJECT_NAME_INVALID",
    0xC0000034: "STATUS_OBJECT_NAME_NOT_FOUND", 0xC0000035: "STATUS_OBJECT_NAME_COLLISION",
    0xC000003A: "STATUS_OBJECT_PATH_NOT_FOUND", 0xC0000043: "STATUS_SHARING_VIOLATION",
    0xC0000054: "STATUS_FILE_LOCK_CONFLICT", 0xC0000056: "STATUS_DELETE_PENDING",
    0xC000005E: "STATUS_NO_LOGON_SERVERS", 0xC0000064: "STATUS_NO_SUCH_USER", 0xC000006A: "STATUS_WRONG_PASSWORD",
    0xC000006D: "STATUS_LOGON_FAILURE", 0xC000006E: "STATUS_ACCOUNT_RESTRICTION",
    0xC000006F: "STATUS_INVALID_LOGON_HOURS", 0xC0000070: "STATUS_INVALID_WORKSTATION",
    0xC0000071: "STATUS_PASSWORD_EXPIRED", 0xC0000072: "STATUS_ACCOUNT_DISABLED", 0xC000007F: "STATUS_DISK_FULL",
    0xC0000098: "STATUS_FILE_INVALID", 0xC000009A: "STATUS_INSUFFICIENT_RESOURCES",
    0xC00000AC: "STATUS_PIPE_NOT_AVAILABLE", 0xC00000AE: "STATUS_PIPE_BUSY", 0xC00000B0: "STATUS_PIPE_DISCONNECTED",
    0xC00000B1: "STATUS_PIPE_CLOSING", 0xC00000B5: "STATUS_IO_TIMEOUT", 0xC00000BA: "STATUS_FILE_IS_A_DIRECTORY",
    0xC00000BB: "STATUS_NOT_SUPPORTED", 0xC00000C9: "STATUS_NETWORK_NAME_DELETED",
    0xC00000CA: "STATUS_NETWORK_ACCESS_DENIED", 0xC00000CC: "STATUS_BAD_NETWORK_NAME",
    0xC0000101: "STATUS_DIRECTORY_NOT_EMPTY", 0xC0000103: "STATUS_NOT_A_DIRECTORY", 0xC0000120: "STATUS_CANCELLED",
    0xC0000121: "STATUS_CANNOT_DELETE", 0xC0000123: "STATUS_FILE_DELETED", 0xC0000128: "STATUS_FILE_CLOSED",
    0xC000015B: "STATUS_LOGON_TYPE_NOT_GRANTED", 0xC0000192: "STATUS_NETLOGON_NOT_STARTED",
    0xC0000193: "STATUS_ACCOUNT_EXPIRED", 0xC00000DC: "STATUS_INVALID_SERVER_STATE",
    0xC0000203: "STATUS_USER_SESSION_DELETED", 0xC0000205: "STATUS_INSUFF_SERVER_RESOURCES",
    0xC0000224: "STATUS_PASSWORD_MUST_CHANGE", 0xC0000225: "STATUS_NOT_FOUND", 0xC0000234: "STATUS_ACCOUNT_LOCKED_OUT",
    0xC0000257: "STATUS_PATH_NOT_COVERED", 0xC000035C: "STATUS_NETWORK_SESSION_EXPIRED",
    0xC0000413: "STATUS_AUTHENTICATION_FIREWALL_FAILED",
}  # fmt: skip
QUIET: Final = frozenset({0, 0x103, 0x10B, 0x10C, 0x80000005, MORE_PROCESSING})
"""Not errors: done, asynchronous, notifications, buffer filled, log-in goes on."""

# DOS errors of servers that do not speak NT status: class << 16 | code ([MS-CIFS] §2.2.2.4)
OLD_STATUSES: Final[Mapping[int, str]] = {
    0: "STATUS_SUCCESS",
    0x10002: "ERRDOS_BADFILE", 0x10005: "ERRDOS_NOACCESS", 0x10020: "ERRDOS_BADSHARE", 0x20001: "ERRSRV_ERROR",
    0x20002: "ERRSRV_BADPW", 0x20004: "ERRSRV_ACCESS", 0x20005: "ERRSRV_INVTID", 0x20006: "ERRSRV_INVNETNAME",
    0x2005B: "ERRSRV_BADUID",
}  # fmt: skip


def status_name(status: int) -> str:
    """Return the name of an NT status, hexadecimal for one without."""
    return STATUSES.get(status) or f"0x{status:08x}"
