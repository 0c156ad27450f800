"""Replace what names a person before a record leaves the school (DESIGN §4 "Privacy at source").

Accounts of systems, services and administrators stay clear. Any other account, name, identity number, student number,
telephone number or mail address becomes a token, in its own field, in the original record, in URLs and in free text
alike; the same value always becomes the same token. A second one, keyed at the bureau, is the same in all its schools.
"""

from collectors.privacy.applying import Privacy
from collectors.privacy.policy import Policy, read_policy
from collectors.privacy.tokens import Tokens

__all__ = ["Policy", "Privacy", "Tokens", "read_policy"]
