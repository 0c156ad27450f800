"""Say what Windows event codes mean and where their data items stand in the field dictionary.

Item names are Microsoft's (Security auditing, Sysmon manifest). Action words of Security events are those of the
Winlogbeat security module, which analysts know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Meaning = tuple[list[str], list[str], str]

SYSMON: Final[Mapping[str, Meaning]] = {
    "1": (["process"], ["start"], "process_created"),
    "2": (["file"], ["change"], "file_time_changed"),
    "3": (["network"], ["connection", "start"], "network_connection"),
    "4": (["process"], ["info"], "sysmon_state_changed"),
    "5": (["process"], ["end"], "process_terminated"),
    "6": (["driver"], ["start"], "driver_loaded"),
    "7": (["library"], ["start"], "image_loaded"),
    "8": (["process"], ["change"], "remote_thread_created"),
    "9": (["process"], ["access"], "raw_disk_read"),
    "10": (["process"], ["access"], "process_accessed"),
    "11": (["file"], ["creation"], "file_created"),
    "12": (["registry"], ["change"], "registry_key_changed"),
    "13": (["registry"], ["change"], "registry_value_set"),
    "14": (["registry"], ["change"], "registry_renamed"),
    "15": (["file"], ["access"], "file_stream_created"),
    "16": (["configuration"], ["change"], "sysmon_configuration_changed"),
    "17": (["file"], ["creation"], "pipe_created"),
    "18": (["file"], ["access"], "pipe_connected"),
    "19": (["process"], ["creation"], "wmi_filter"),
    "20": (["process"], ["creation"], "wmi_consumer"),
    "21": (["process"], ["creation"], "wmi_binding"),
    "22": (["network"], ["connection", "protocol", "info"], "dns_query"),
    "23": (["file"], ["deletion"], "file_deleted"),
    "24": (["process"], ["info"], "clipboard_changed"),
    "25": (["process"], ["change"], "process_tampered"),
    "26": (["file"], ["deletion"], "file_delete_logged"),
    "27": (["file"], ["denied"], "executable_blocked"),
    "28": (["file"], ["denied"], "shredding_blocked"),
    "29": (["file"], ["creation"], "executable_detected"),
    "255": (["process"], ["error"], "sysmon_error"),
}

SECURITY: Final[Mapping[str, Meaning]] = {
    "1100": (["process"], ["end"], "logging-service-shutdown"),
    "1102": (["iam"], ["admin", "change"], "audit-log-cleared"),
    "4608": (["host"], ["start"], "system-start"),
    "4624": (["authentication"], ["start"], "logged-in"),
    "4625": (["authentication"], ["start"], "logon-failed"),
    "4634": (["authentication"], ["end"], "logged-out"),
    "4647": (["authentication"], ["end"], "logged-out"),
    "4648": (["authentication"], ["start"], "logged-in-explicit"),
    "4656": (["file"], ["access"], "object-handle-requested"),
    "4657": (["registry"], ["change"], "registry-value-modified"),
    "4663": (["file"], ["access"], "object-access-attempted"),
    "4670": (["iam"], ["admin", "change"], "permissions-changed"),
    "4672": (["iam"], ["admin"], "logged-in-special"),
    "4673": (["iam"], ["admin"], "privileged-service-called"),
    "4688": (["process"], ["start"], "created-process"),
    "4689": (["process"], ["end"], "exited-process"),
    "4697": (["iam", "configuration"], ["admin", "change"], "service-installed"),
    "4698": (["iam", "configuration"], ["creation", "admin"], "scheduled-task-created"),
    "4699": (["iam", "configuration"], ["deletion", "admin"], "scheduled-task-deleted"),
    "4700": (["iam", "configuration"], ["change", "admin"], "scheduled-task-enabled"),
    "4701": (["iam", "configuration"], ["change", "admin"], "scheduled-task-disabled"),
    "4702": (["iam", "configuration"], ["change", "admin"], "scheduled-task-updated"),
    "4719": (["iam", "configuration"], ["admin", "change"], "changed-audit-config"),
    "4720": (["iam"], ["user", "creation"], "added-user-account"),
    "4722": (["iam"], ["user", "change"], "enabled-user-account"),
    "4723": (["iam"], ["user", "change"], "changed-password"),
    "4724": (["iam"], ["user", "change"], "reset-password"),
    "4725": (["iam"], ["user", "change"], "disabled-user-account"),
    "4726": (["iam"], ["user", "deletion"], "deleted-user-account"),
    "4727": (["iam"], ["group", "creation"], "added-group-account"),
    "4728": (["iam"], ["group", "change"], "added-member-to-group"),
    "4729": (["iam"], ["group", "change"], "removed-member-from-group"),
    "4731": (["iam"], ["group", "creation"], "added-group-account"),
    "4732": (["iam"], ["group", "change"], "added-member-to-group"),
    "4733": (["iam"], ["group", "change"], "removed-member-from-group"),
    "4738": (["iam"], ["user", "change"], "modified-user-account"),
    "4740": (["iam"], ["user", "change"], "locked-out-user-account"),
    "4741": (["iam"], ["admin", "creation"], "added-computer-account"),
    "4742": (["iam"], ["admin", "change"], "changed-computer-account"),
    "4743": (["iam"], ["admin", "deletion"], "deleted-computer-account"),
    "4756": (["iam"], ["group", "change"], "added-member-to-group"),
    "4757": (["iam"], ["group", "change"], "removed-member-from-group"),
    "4767": (["iam"], ["user", "change"], "unlocked-user-account"),
    "4768": (["authentication"], ["start"], "kerberos-authentication-ticket-requested"),
    "4769": (["authentication"], ["start"], "kerberos-service-ticket-requested"),
    "4770": (["authentication"], ["start"], "kerberos-service-ticket-renewed"),
    "4771": (["authentication"], ["start"], "kerberos-preauth-failed"),
    "4776": (["authentication"], ["start"], "credential-validated"),
    "4778": (["authentication", "session"], ["start"], "session-reconnected"),
    "4779": (["authentication", "session"], ["end"], "session-disconnected"),
    "4781": (["iam"], ["user", "change"], "renamed-user-account"),
    "5140": (["network", "file"], ["info", "access"], "network-share-object-accessed"),
    "5142": (["network", "configuration"], ["creation"], "network-share-object-added"),
    "5145": (["network", "file"], ["info", "access"], "network-share-object-access-checked"),
    "5156": (["network"], ["connection", "allowed"], "connection-allowed"),
    "5157": (["network"], ["connection", "denied"], "connection-blocked"),
}

SYSTEM: Final[Mapping[str, Meaning]] = {
    "104": (["configuration"], ["admin", "deletion"], "log-cleared"),
    "1074": (["host"], ["end"], "shutdown-requested"),
    "6005": (["host"], ["start"], "event-log-started"),
    "6006": (["host"], ["end"], "event-log-stopped"),
    "7034": (["configuration"], ["error"], "service-crashed"),
    "7036": (["configuration"], ["change"], "service-state-changed"),
    "7040": (["configuration"], ["change"], "service-start-type-changed"),
    "7045": (["configuration"], ["creation"], "service-installed"),
}

POWERSHELL: Final[Mapping[str, Meaning]] = {
    "400": (["process"], ["start"], "engine-started"),
    "403": (["process"], ["end"], "engine-stopped"),
    "600": (["process"], ["info"], "provider-started"),
    "800": (["process"], ["info"], "pipeline-executed"),
    "4103": (["process"], ["info"], "module-logged"),
    "4104": (["process"], ["info"], "script-block-logged"),
    "4105": (["process"], ["start"], "script-started"),
    "4106": (["process"], ["end"], "script-stopped"),
}

MEANINGS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "security": SECURITY,
    "sysmon": SYSMON,
    "system": SYSTEM,
    "powershell": POWERSHELL,
}

_SYSMON_PROCESS: Final[Mapping[str, str]] = {
    "Image": "process.executable",
    "ProcessId": "process.pid",
    "ProcessGuid": "process.entity_id",
    "CommandLine": "process.command_line",
    "CurrentDirectory": "process.working_directory",
    "ParentImage": "process.parent.executable",
    "ParentProcessId": "process.parent.pid",
    "ParentProcessGuid": "process.parent.entity_id",
    "ParentCommandLine": "process.parent.command_line",
    "LogonId": "winlog.logon.id",
}
_VERSION: Final[Mapping[str, str]] = {
    "OriginalFileName": "process.pe.original_file_name",
    "Description": "process.pe.description",
    "Company": "process.pe.company",
    "Product": "process.pe.product",
    "FileVersion": "process.pe.file_version",
}
_SOURCE_PROCESS: Final[Mapping[str, str]] = {
    "SourceImage": "process.executable",
    "SourceProcessId": "process.pid",
    "SourceProcessGuid": "process.entity_id",
    "SourceProcessGUID": "process.entity_id",
    "SourceThreadId": "process.thread.id",
}
_FILE: Final[Mapping[str, str]] = {"TargetFilename": "file.path"}

# What holds for a data set; the tables of single codes below add to it.
ITEMS: Final[Mapping[str, Mapping[str, str]]] = {
    "sysmon": _SYSMON_PROCESS,
    "security": {
        "SubjectLogonId": "winlog.logon.id",
        "LogonType": "winlog.logon.type",
        "ProcessName": "process.executable",
        "ProcessId": "process.pid",
        "ServiceName": "service.name",
        "IpAddress": "source.ip",
        "IpPort": "source.port",
        "FailureReason": "event.reason",
    },
    "system": {"ServiceName": "service.name", "ServiceType": "service.type"},
    "powershell": {"Path": "file.path"},
}

ITEMS_OF_CODE: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("sysmon", "1"): _VERSION,
    ("sysmon", "2"): _FILE,
    ("sysmon", "3"): {
        "SourceIp": "source.ip",
        "SourcePort": "source.port",
        "SourceHostname": "source.domain",
        "DestinationIp": "destination.ip",
        "DestinationPort": "destination.port",
        "DestinationHostname": "destination.domain",
    },
    ("sysmon", "6"): {"ImageLoaded": "file.path", "Signature": "process.code_signature.subject_name"},
    ("sysmon", "7"): {
        "ImageLoaded": "dll.path",
        "OriginalFileName": "file.pe.original_file_name",
        "Signed": "file.code_signature.signed",
        "SignatureStatus": "file.code_signature.status",
    },
    ("sysmon", "8"): _SOURCE_PROCESS,
    ("sysmon", "10"): _SOURCE_PROCESS,
    ("sysmon", "11"): _FILE,
    ("sysmon", "12"): {"TargetObject": "registry.path"},
    ("sysmon", "13"): {"TargetObject": "registry.path", "Details": "registry.data.strings"},
    ("sysmon", "14"): {"TargetObject": "registry.path"},
    ("sysmon", "15"): _FILE,
    ("sysmon", "17"): {"PipeName": "file.name"},
    ("sysmon", "18"): {"PipeName": "file.name"},
    ("sysmon", "22"): {"QueryName": "dns.question.name"},
    ("sysmon", "23"): _FILE,
    ("sysmon", "26"): _FILE,
    ("sysmon", "27"): _FILE,
    ("sysmon", "28"): _FILE,
    ("sysmon", "29"): _FILE,
    ("security", "4624"): {"TargetLogonId": "winlog.logon.id", "WorkstationName": "source.domain"},
    ("security", "4625"): {"WorkstationName": "source.domain"},
    ("security", "4634"): {"TargetLogonId": "winlog.logon.id"},
    ("security", "4647"): {"TargetLogonId": "winlog.logon.id"},
    ("security", "4657"): {
        "ObjectName": "registry.key",
        "ObjectValueName": "registry.value",
        "NewValue": "registry.data.strings",
    },
    ("security", "4663"): {"ObjectName": "file.path"},
    ("security", "4656"): {"ObjectName": "file.path"},
    ("security", "4688"): {
        "NewProcessName": "process.executable",
        "NewProcessId": "process.pid",
        "CommandLine": "process.command_line",
        "ProcessId": "process.parent.pid",
        "ProcessName": "process.parent.executable",
        "ParentProcessName": "process.parent.executable",
    },
    ("security", "4689"): {"Status": "process.exit_code"},
    ("security", "4697"): {"ServiceFileName": "process.executable", "ServiceType": "service.type"},
    ("security", "4769"): {"ServiceName": "service.name"},
    ("security", "4776"): {"Workstation": "source.domain"},
    ("security", "4778"): {"ClientAddress": "source.ip", "ClientName": "source.domain"},
    ("security", "4779"): {"ClientAddress": "source.ip", "ClientName": "source.domain"},
    ("security", "5145"): {"RelativeTargetName": "file.path"},
    ("security", "5156"): {
        "Application": "process.executable",
        "SourceAddress": "source.ip",
        "SourcePort": "source.port",
        "DestAddress": "destination.ip",
        "DestPort": "destination.port",
    },
    ("security", "5157"): {
        "Application": "process.executable",
        "SourceAddress": "source.ip",
        "SourcePort": "source.port",
        "DestAddress": "destination.ip",
        "DestPort": "destination.port",
    },
    ("system", "7045"): {"ImagePath": "process.executable"},
    ("system", "7036"): {"param1": "service.name", "param2": "service.state"},
}

# Events whose target account acts itself (log-on and off); in all others the subject acts on the target.
TARGET_ACTS: Final = frozenset({"4624", "4625", "4634", "4647", "4768", "4769", "4770", "4771", "4776"})
GROUP_CODES: Final = frozenset({"4727", "4728", "4729", "4731", "4732", "4733", "4756", "4757"})
FAILURES: Final = frozenset({"4625", "4771", "5157"})
STATUS_OUTCOME: Final = frozenset({"4768", "4769", "4776"})
LEVELS: Final[Mapping[str, str]] = {
    "0": "information",
    "1": "critical",
    "2": "error",
    "3": "warning",
    "4": "information",
    "5": "verbose",
}
HASH_PLACES: Final[Mapping[str, str]] = {
    "1": "process",
    "6": "file",
    "7": "file",
    "15": "file",
    "23": "file",
    "26": "file",
    "29": "file",
}
