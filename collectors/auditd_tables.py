"""Say what the record types and system calls of the Linux audit system mean.

Types: audit-documentation "message dictionary" and the kernel's ``include/uapi/linux/audit.h``. One attempt to log in
makes several records (USER_AUTH, USER_ACCT, CRED_ACQ, USER_START, USER_LOGIN); only USER_LOGIN is of the category
authentication, so that an attempt counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """Say what a record type or system call is about: action, categories and types of ECS."""

    action: str
    category: tuple[str, ...]
    types: tuple[str, ...]


KINDS: Final[Mapping[str, Meaning]] = {
    "USER_LOGIN": Meaning("user_login", ("authentication",), ("start",)),
    "USER_LOGOUT": Meaning("user_logout", ("authentication",), ("end",)),
    "USER_AUTH": Meaning("user_authentication", ("session",), ("info",)),
    "USER_ERR": Meaning("user_error", ("session",), ("info",)),
    "USER_ACCT": Meaning("user_account_check", ("session",), ("info",)),
    "USER_START": Meaning("session_start", ("session",), ("start",)),
    "USER_END": Meaning("session_end", ("session",), ("end",)),
    "CRED_ACQ": Meaning("credentials_acquired", ("session",), ("info",)),
    "CRED_REFR": Meaning("credentials_refreshed", ("session",), ("info",)),
    "CRED_DISP": Meaning("credentials_disposed", ("session",), ("info",)),
    "LOGIN": Meaning("login_id_set", ("session",), ("start",)),
    "USER_CMD": Meaning("sudo", ("process",), ("start",)),
    "USER_CHAUTHTOK": Meaning("credentials_changed", ("iam",), ("user", "change")),
    "USER_MGMT": Meaning("user_changed", ("iam",), ("user", "change")),
    "USER_ROLE_CHANGE": Meaning("role_changed", ("iam",), ("user", "change")),
    "ADD_USER": Meaning("user_added", ("iam",), ("user", "creation")),
    "DEL_USER": Meaning("user_deleted", ("iam",), ("user", "deletion")),
    "ACCT_LOCK": Meaning("user_locked", ("iam",), ("user", "change")),
    "ACCT_UNLOCK": Meaning("user_unlocked", ("iam",), ("user", "change")),
    "ADD_GROUP": Meaning("group_added", ("iam",), ("group", "creation")),
    "DEL_GROUP": Meaning("group_deleted", ("iam",), ("group", "deletion")),
    "GRP_MGMT": Meaning("group_changed", ("iam",), ("group", "change")),
    "CHGRP_ID": Meaning("group_id_changed", ("process",), ("change",)),
    "CHUSER_ID": Meaning("user_id_changed", ("process",), ("change",)),
    "SERVICE_START": Meaning("service_started", ("process",), ("start",)),
    "SERVICE_STOP": Meaning("service_stopped", ("process",), ("end",)),
    "SYSTEM_BOOT": Meaning("system_booted", ("host",), ("start",)),
    "SYSTEM_SHUTDOWN": Meaning("system_shut_down", ("host",), ("end",)),
    "SYSTEM_RUNLEVEL": Meaning("runlevel_changed", ("host",), ("change",)),
    "DAEMON_START": Meaning("auditing_started", ("process",), ("start",)),
    "DAEMON_END": Meaning("auditing_stopped", ("process",), ("end",)),
    "DAEMON_ABORT": Meaning("auditing_aborted", ("process",), ("end",)),
    "DAEMON_CONFIG": Meaning("auditing_configured", ("configuration",), ("change",)),
    "CONFIG_CHANGE": Meaning("audit_rules_changed", ("configuration",), ("change",)),
    "USYS_CONFIG": Meaning("system_configured", ("configuration",), ("change",)),
    "SOFTWARE_UPDATE": Meaning("software_changed", ("package",), ("change",)),
    "KERN_MODULE": Meaning("kernel_module", ("driver",), ("info",)),
    "NETFILTER_CFG": Meaning("firewall_rules_changed", ("configuration",), ("change",)),
    "ANOM_PROMISCUOUS": Meaning("promiscuous_mode", ("network",), ("change",)),
    "ANOM_ABEND": Meaning("process_crashed", ("process",), ("end",)),
    "ANOM_LOGIN_FAILURES": Meaning("too_many_failed_logins", ("session",), ("denied",)),
    "AVC": Meaning("access_by_policy", ("process",), ("info",)),
    "SECCOMP": Meaning("system_call_refused", ("process",), ("denied",)),
    "TTY": Meaning("typed", ("process",), ("info",)),
    "USER_TTY": Meaning("typed", ("process",), ("info",)),
    "TIME_INJOFFSET": Meaning("clock_changed", ("configuration",), ("change",)),
    "BPF": Meaning("bpf_program", ("driver",), ("info",)),
}

_FILE_CALLS: Final = {
    ("file_opened", "access"): "open openat openat2 name_to_handle_at open_by_handle_at",
    ("file_created", "creation"): "creat mkdir mkdirat mknod mknodat link linkat symlink symlinkat",
    ("file_deleted", "deletion"): "unlink unlinkat rmdir",
    ("file_renamed", "change"): "rename renameat renameat2",
    ("file_changed", "change"): (
        "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat truncate ftruncate setxattr lsetxattr fsetxattr "
        "removexattr lremovexattr fremovexattr utime utimes utimensat futimesat"
    ),
}
_OTHER_CALLS: Final = {
    "execve execveat": Meaning("process_started", ("process",), ("start",)),
    "exit exit_group": Meaning("process_ended", ("process",), ("end",)),
    "kill tkill tgkill": Meaning("signal_sent", ("process",), ("change",)),
    "ptrace process_vm_writev process_vm_readv": Meaning("process_traced", ("process",), ("access",)),
    "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups": Meaning(
        "process_identity_changed", ("process",), ("change",)
    ),
    "connect": Meaning("connected_to", ("network",), ("connection", "start")),
    "accept accept4": Meaning("accepted_connection", ("network",), ("connection", "start")),
    "bind listen": Meaning("listening", ("network",), ("start",)),
    "sendto sendmsg sendmmsg recvfrom recvmsg": Meaning("sent_or_received", ("network",), ("info",)),
    "init_module finit_module": Meaning("kernel_module_loaded", ("driver",), ("start",)),
    "delete_module": Meaning("kernel_module_removed", ("driver",), ("end",)),
    "mount move_mount": Meaning("mounted", ("file",), ("change",)),
    "umount umount2": Meaning("unmounted", ("file",), ("change",)),
    "adjtimex settimeofday clock_settime clock_adjtime stime": Meaning(
        "clock_changed", ("configuration",), ("change",)
    ),
    "sethostname setdomainname": Meaning("host_name_changed", ("configuration",), ("change",)),
}
CALLS: Final[Mapping[str, Meaning]] = {
    **{
        name: Meaning(action, ("file",), (kind,))
        for (action, kind), names in _FILE_CALLS.items()
        for name in names.split()
    },
    **{name: meaning for names, meaning in _OTHER_CALLS.items() for name in names.split()},
}
