"""Understand Sangfor: NGAF firewalls (``日志类型:…, 名称:值, …``) and the platform SIP (``|!secevent|!…{json}``).

The NGAF log has names in Chinese, in GB18030 or UTF-8 as set on the device; it carries no time but the header's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, long_value, put
from collectors.devices.base import Family, undocumented_setup
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    own_time,
    put_field,
    put_pairs,
    put_seconds,
    put_severity,
    put_time,
    put_web,
    verdict,
)
from collectors.devices.text import COMMA_COLON, json_pairs, marked_pairs
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "日志类型": "", "所属系统": "", "策略名称": "rule.name",
    "源ip": "source.ip", "源端口": "source.port", "目的ip": "destination.ip", "目的端口": "destination.port",
    "ip地址": "source.ip", "用户": "user.name", "用户名": "user.name", "用户名/主机": "",
    "协议": "", "攻击类型": "rule.category", "漏洞名称": "rule.name", "病毒名": "rule.name",
    "严重级别": "", "严重等级": "", "系统动作": "", "动作": "", "url": "",
    "应用名称": "network.application", "应用类型": "", "转换后的ip": "", "转换后的端口": "", "nat类型": "",
    "操作对象": "", "操作类型": "", "操作": "", "描述": "event.reason", "时间": "", "登录时间": "", "登录时长": "",
    "上行流量(kb)": "", "下行流量(kb)": "", "总流量(kb)": "",
}  # fmt: skip
_EVENTS: Final[Mapping[str, str]] = {
    "ip": "source.ip", "port": "source.port", "mac": "source.mac", "dest_ip": "destination.ip",
    "dest_port": "destination.port", "suffer_ip": "destination.ip", "user_name": "user.name",
    "event_desc": "rule.name", "event_type": "rule.category", "module_type_name": "rule.category",
    "alert_id": "rule.id",
    "event_time": "", "device_ip": "observer.ip", "result": "rule.description", "event_id": "",
}  # fmt: skip
_PLATFORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|!(secevent|alarm)\|!([\d.:a-fA-F]{2,45})\|!"
)


class Sangfor(Family):
    """Understand messages of Sangfor's NGAF firewalls and SIP platform."""

    name: str = "sangfor"
    title: tuple[str, str] = ("深信服下一代防火墙 AF、安全感知平台 SIP", "Sangfor NGAF, SIP")
    datasets: tuple[str, ...] = (
        "sangfor.firewall",
        "sangfor.threat",
        "sangfor.web",
        "sangfor.access",
        "sangfor.admin",
        "sangfor.device",
    )
    reference: tuple[str, ...] = (
        "Samples of NGAF 7.1 and 8.0 in the parser tests of the public Java project org.datayoo.botu (testFWSanfor):"
        " WAF, IPS, DoS, virus, web, application control, NAT, log-in, VPN",
        "Samples of NGAF 流量审计 and of SIP secevent in the public Java project cn.hba.audit.flume (SyslogParseSxf)",
    )
    verified: bool = True
    setup: tuple[str, str] = undocumented_setup("全部日志类型", "all kinds of logs")
    opening: str = r"(?:日志类型|所属系统)[:：]|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|!(?:secevent|alarm)\|!"
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a message of NGAF or SIP says."""
        platform = _PLATFORM.match(message)
        if platform is not None:
            return _event(platform, message[platform.end() :], zone)
        found: Event = {"observer.vendor": "Sangfor", "observer.product": "NGAF", "observer.type": "firewall"}
        values = put_pairs(found, marked_pairs(message, COMMA_COLON), _FIELDS)
        kind = values.get("日志类型")
        if kind is None:
            return None
        found["event.code"] = kind
        if "所属系统" in values:
            extra(found, "所属系统", values["所属系统"])
        _put_kind(found, kind, values, zone)
        finish_flow(found, values.get("协议", ""))
        return found


def _put_kind(found: Event, kind: str, values: Mapping[str, str], zone: tzinfo) -> None:
    action = values.get("系统动作") or values.get("动作", "")
    if "NAT" in kind:
        _translation(found, values)
    elif "防护" in kind or "攻击" in kind or "病毒" in kind or "僵尸" in kind:
        found["event.dataset"] = "sangfor.threat"
        alert(found, action, *_categories(kind))
        put(found, "rule.name", found.get("rule.name") or values.get("攻击类型") or kind)
        put_severity(found, values.get("严重级别") or values.get("严重等级", ""))
    elif "网站访问" in kind:
        found["event.dataset"] = "sangfor.web"
        denied = verdict(action) == "deny"
        found["event.category"], found["event.type"] = ["web", "network"], ["denied" if denied else "access"]
        found["event.action"] = "deny" if denied else "accept"
    elif "控制" in kind:
        found["event.dataset"] = "sangfor.firewall"
        connection(found, verdict(action))
    elif "认证" in kind or "VPN" in kind:
        _access(found, values, zone)
    elif "系统操作" in kind:
        found["event.dataset"] = "sangfor.admin"
        found["event.category"], found["event.type"] = ["configuration"], ["change"]
        found["event.action"] = values.get("操作类型", "operation")
        _put_outcome(found, values.get("描述", ""))
        _keep(found, values, "操作对象")
    else:
        _traffic(found, kind, values)
    put_web(found, values.get("url", ""))
    _keep(found, values, "应用类型")


def _categories(kind: str) -> tuple[str, ...]:
    if "病毒" in kind or "僵尸" in kind:
        return ("malware", "network")
    return ("intrusion_detection", "web") if "WAF" in kind else ()


def _translation(found: Event, values: Mapping[str, str]) -> None:
    found["event.dataset"] = "sangfor.firewall"
    connection(found, "", "start")
    found["event.action"] = "nat"
    side = "destination" if values.get("nat类型", "").lower() == "dnat" else "source"
    put_field(found, f"{side}.nat.ip", values.get("转换后的ip", ""))
    put_field(found, f"{side}.nat.port", values.get("转换后的端口", ""))
    _keep(found, values, "NAT类型")


def _access(found: Event, values: Mapping[str, str], zone: tzinfo) -> None:
    """Map users who log in to the network or the VPN."""
    found["event.dataset"] = "sangfor.access"
    what = values.get("操作") or values.get("操作对象", "")
    gone = "注销" in what or "退出" in what or "下线" in what
    login(
        found,
        "network_logout" if gone else "network_login",
        "success" if gone else "",
        "end" if gone else "start",
    )
    found["event.category"] = ["authentication", "session"]
    _put_outcome(found, values.get("描述", ""))
    put_time(found, "event.start", values.get("登录时间", ""), zone)
    put_seconds(found, values.get("登录时长", ""))
    own_time(found, values.get("时间", ""), zone)
    _keep(found, values, "操作对象")


def _traffic(found: Event, kind: str, values: Mapping[str, str]) -> None:
    """Map the sum of a user's traffic, and kinds not known by their name."""
    found["event.dataset"] = "sangfor.firewall" if "流量" in kind else "sangfor.device"
    found["event.category"], found["event.type"] = ["network"], ["info"]
    for name, field in (("上行流量(kb)", "source.bytes"), ("下行流量(kb)", "destination.bytes")):
        amount = long_value(values.get(name, ""))
        put(found, field, None if amount is None else amount * 1_024)
    who = values.get("用户名/主机", "")
    if who:
        put_field(found, "source.ip", who)
        if "source.ip" not in found:
            found.pop("source.address", None)
            put(found, "user.name", who)


def _put_outcome(found: Event, text: str) -> None:
    if "失败" in text:
        found["event.outcome"] = "failure"
    elif "成功" in text:
        found["event.outcome"] = "success"


def _keep(found: Event, values: Mapping[str, str], name: str) -> None:
    value = values.get(name.lower())
    if value:
        extra(found, name, value)


def _event(platform: re.Match[str], text: str, zone: tzinfo) -> Event | None:
    """Map a security event or alarm of the platform."""
    pairs = json_pairs(text)
    if not pairs:
        return None
    found: Event = {
        "event.dataset": "sangfor.threat",
        "event.code": platform[2],
        "observer.vendor": "Sangfor",
        "observer.product": "SIP",
        "observer.type": "ids",
    }
    put(found, "observer.ip", platform[3])
    values = put_pairs(found, pairs, _EVENTS)
    alert(found, "")
    found["event.action"] = platform[2]
    own_time(found, platform[1], zone)
    own_time(found, values.get("event_time", ""), zone)
    finish_flow(found)
    return found
