"""Write the reference page of the devices whose syslog we understand, from the registry of their parsers."""

from __future__ import annotations

from typing import Final

from collectors.devices.base import Device
from collectors.devices.registry import DEVICES

HEAD: Final = """# 设备日志 · Logs of devices

由 `collectors/devices/` 生成，勿手改：`python -m edusoc.reference`。
Generated from `collectors/devices/`; do not edit.

设备把 syslog 发到采集代理的 syslog 输入（UDP、TCP、TLS），或者把存成文件的日志交给 `edusoc`，消息内容自动识别。
Devices send syslog to the agent's syslog input (UDP, TCP, TLS), or their logs are read as files; messages are recognised
by what they look like.

- **对照真实输出编写**：按公开资料里引用的真实设备日志编写，没有在本项目的设备上跑过。
  **未经实机验证**：只有厂商文档，没有见过真实输出。没有资料的设备不收录。
  *Written against real output*: logs of real devices, quoted in public material; we had no device to try.
  *未经实机验证 (not tried)*: from the vendor's document alone. Devices without a source are left out.
- 不认识的消息不丢：照样作为 `syslog.log` 保存原文。设备认得、含义不认得的消息进 `….device`，原文仍在 `message`。
  Nothing unknown is lost: it is kept as `syslog.log`; what a known device says in a way not known goes to `….device`.
- 一台设备的消息和别家相似时（例如锐捷与思科），在 syslog 输入里写 `devices = ["10.1.2.3=ruijie"]`，或者整个输入写
  `device = "ruijie"`；名称用下表第一列。设备时钟不是北京时间时写 `zones = ["10.1.0.0/16=UTC"]`。
  Where messages look like another vendor's (Ruijie and Cisco), write `devices = ["10.1.2.3=ruijie"]` in the syslog
  input, or `device = "ruijie"` for all of it, with the names of the table's first column; `zones` for clocks that don't
  show Beijing time.
- 时间：消息里有设备自己的时间就用它；没有时区的按该输入的时区（默认北京时间）；没有年份的取不晚于收到时间一天的最近一年。
  Times: the device's own in the message where it has one; without a zone, the input's; without a year, the latest that
  is not more than a day ahead.

## 字段 · Fields

| 内容 · what | 字段 · fields |
|---|---|
| 会话与策略 · sessions and rules | `event.action` = `accept` / `deny`，`source.*`、`destination.*`、`network.transport`、`rule.name`、`observer.ingress/egress.zone` 与 `interface.name`、字节与包数 |
| 地址转换 · translation | `source.nat.ip/port`、`destination.nat.ip/port`（转换后的地址）；只说转换的消息 `event.action` = `nat` |
| 上网认证（802.1X、Portal、VPN、DHCP） · access to the network | `event.action` = `network_login` / `network_logout`，`user.name`、`source.ip`、`source.mac`、`event.outcome` |
| 管理员登录与操作 · administrators | `event.action` = `admin_login` / `admin_logout` / `ssh_login` …，`user.name`、`source.ip`；命令在 `process.command_line` |
| 攻击、入侵、病毒、WAF · attacks, IPS, viruses, WAF | `event.kind` = `alert`，`rule.name`、`rule.category`、`rule.id`、`event.severity`、`event.action` |
| 上网记录、域名 · web, names | `url.*`、`dns.question.name` |
| 设备 · device | `observer.vendor/product/type/name`；其余的值在 `edusoc.extra` |

`event.severity` 与 Suricata 一致，数越小越严重：1 严重、高，2 中，3 低，4 信息。设备只给出没有文档说明的数字时不填，原值在 `edusoc.extra`。
`event.severity` as Suricata has it, the smallest is the worst: 1 critical and high, 2 medium, 3 low, 4 information;
left empty where a device gives numbers whose meaning no document tells.

## 设备 · Devices

| 名称 · name | 设备 · device | 数据集 · data sets | 依据 · basis |
|---|---|---|---|
"""  # noqa: E501 - tables
KNOWN: Final = {True: "对照真实输出编写", False: "**未经实机验证**"}


def devices_page() -> str:
    """Return the page: what is common, a table of all devices, and for each its setting up and sources."""
    rows = "".join(f"{_row(device)}\n" for device in DEVICES)
    return HEAD + rows + "".join(_section(device) for device in DEVICES)


def _row(device: Device) -> str:
    sets = " ".join(f"`{name}`" for name in device.datasets)
    return f"| `{device.name}` | {' · '.join(device.title)} | {sets} | {KNOWN[device.verified]} |"


def _section(device: Device) -> str:
    chinese, english = device.setup
    sources = "".join(f"- {source}\n" for source in device.reference)
    return (
        f"\n## {' · '.join(device.title)}\n\n设备上的设置：{chinese}\n\nOn the device: {english}\n\n"
        f"资料 · sources（{KNOWN[device.verified]}）：\n\n{sources}"
    )
