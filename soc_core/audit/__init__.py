"""Chain records so that none can be changed, left out or added unseen: the product's one hash chain (DESIGN §9)."""

from soc_core.audit.anchors import parse_anchors, write_head
from soc_core.audit.chain import ALGORITHMS, Head, Link, beginning, link
from soc_core.audit.verification import Verdict, verify_links

__all__ = [
    "ALGORITHMS",
    "Head",
    "Link",
    "Verdict",
    "beginning",
    "link",
    "parse_anchors",
    "verify_links",
    "write_head",
]
