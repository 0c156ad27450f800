"""Understand DBAPPSecurity's WAF (安恒明御): ``名称/值,名称/值`` in Chinese or ``name/value`` in English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import Family, undocumented_setup
from collectors.devices.mapping import alert, finish_flow, own_time, put_pairs, put_severity, put_web
from collectors.devices.text import marked_pairs
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "发生时间": "", "威胁": "", "事件": "rule.name", "请求方法": "http.request.method", "url地址": "", "post数据": "",
    "服务器ip": "destination.ip", "主机名": "", "服务器端口": "destination.port", "客户端ip": "source.ip",
    "客户端端口": "source.port", "客户端环境": "user_agent.original", "标签": "rule.category", "动作": "",
    "http/s响应码": "http.response.status_code", "触发规则": "rule.id", "访问唯一编号": "", "攻击特征串": "",
    "happentime": "", "severity_id": "", "msg_id": "rule.id", "method": "http.request.method", "url": "", "post": "",
    "dip": "destination.ip", "hostname": "", "dport": "destination.port", "sip": "source.ip", "sport": "source.port",
    "user_agent": "user_agent.original", "tag_id": "rule.category", "action_id": "",
    "response_code": "http.response.status_code",
}  # fmt: skip
_MARK: Final = re.compile(
    "(?:^|,)("
    + "|".join(re.escape(name) for name in sorted(_FIELDS, key=len, reverse=True))
    + "|国家|省|市|match|policy)/",
    re.IGNORECASE,
)


class Dbappsecurity(Family):
    """Understand messages of DBAPPSecurity's WAF."""

    name: str = "dbappsecurity"
    title: tuple[str, str] = ("安恒明御 WAF", "DBAPPSecurity WAF")
    datasets: tuple[str, ...] = ("dbappsecurity.waf",)
    reference: tuple[str, ...] = (
        "Samples of WAF-2000GT and later in the tests of the public Java project org.datayoo.botu (testWafDbapp)",
    )
    verified: bool = True
    setup: tuple[str, str] = undocumented_setup("攻击日志", "attack log")
    opening: str = r"(?:发生时间|happentime)/\d{4}-"
    programs: frozenset[str] = frozenset({"dbappwaf"})

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what an attack record says."""
        found: Event = {
            "event.dataset": "dbappsecurity.waf",
            "observer.vendor": "DBAPPSecurity",
            "observer.product": "WAF",
            "observer.type": "waf",
        }
        values = put_pairs(found, marked_pairs(message, _MARK), _FIELDS)
        if "客户端ip" not in values and "sip" not in values:
            return None
        own_time(found, values.get("发生时间") or values.get("happentime", ""), zone)
        action = values.get("动作", "")
        alert(found, action, "intrusion_detection", "web")
        if action:
            extra(found, "动作", action)
        put_severity(found, values.get("威胁", ""))
        for name in ("severity_id", "action_id", "攻击特征串"):
            if name in values:
                extra(found, name, values[name])
        put(found, "rule.name", found.get("rule.name") or values.get("tag_id") or "WAF")
        put_web(found, values.get("url地址") or values.get("url", ""))
        finish_flow(found, "tcp")
        return found
