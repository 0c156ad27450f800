"""List the validators of pySigma and SigmaHQ that ``lint`` runs.

Left out are those that load lists from the network when asked (taxonomy, event ids, providers, ATT&CK: a centre may
have none, and our own checks know the dictionary), those of SigmaHQ's own repository (names of files, titles with
capitals, fields beside the standard ones), and the ban on high states for new rules, which a site's rules don't obey.
"""

from __future__ import annotations

from typing import Final

from sigma.validators.base import SigmaRuleValidator
from sigma.validators.core.condition import (
    AllOfThemConditionValidator,
    DanglingConditionValidator,
    DanglingDetectionValidator,
)
from sigma.validators.core.modifiers import InvalidModifierCombinationsValidator
from sigma.validators.core.tags import DuplicateTagValidator, TagFormatValidator
from sigma.validators.core.values import ControlCharacterValidator
from sigma.validators.sigmahq.condition import (
    SigmahqMissingAsteriskConditionValidator,
    SigmahqOfselectionConditionValidator,
    SigmahqOfthemConditionValidator,
)
from sigma.validators.sigmahq.date import (
    SigmahqModifiedDateOrderValidator,
    SigmahqModifiedWithoutDateValidator,
    SigmahqRedundantModifiedValidator,
)
from sigma.validators.sigmahq.description import SigmahqLinkInDescriptionValidator
from sigma.validators.sigmahq.detection import SigmahqUnsupportedRegexGroupConstructValidator
from sigma.validators.sigmahq.falsepositive import (
    SigmahqFalsepositivesBannedWordValidator,
    SigmahqFalsepositivesCapitalValidator,
    SigmahqFalsepositivesTypoWordValidator,
)
from sigma.validators.sigmahq.fieldname import (
    SigmahqInvalidHashKvValidator,
    SigmahqSpaceFieldNameValidator,
)
from sigma.validators.sigmahq.modifier import (
    SigmahqFieldDuplicateValueValidator,
    SigmahqInvalidAllModifierValidator,
)
from sigma.validators.sigmahq.references import SigmahqGithubLinkValidator, SigmahqMitreLinkValidator
from sigma.validators.sigmahq.status import SigmahqStatusExistenceValidator, SigmahqStatusValidator
from sigma.validators.sigmahq.tags import SigmahqTagsTlpValidator, SigmahqTagsUniqueTlpValidator
from sigma.validators.sigmahq.title import (
    SigmahqTitleEndValidator,
    SigmahqTitleLengthValidator,
    SigmahqTitleStartValidator,
)

PYSIGMA: Final[tuple[type[SigmaRuleValidator], ...]] = (
    AllOfThemConditionValidator,
    ControlCharacterValidator,
    DanglingConditionValidator,
    DanglingDetectionValidator,
    DuplicateTagValidator,
    InvalidModifierCombinationsValidator,
    TagFormatValidator,
)
SIGMAHQ: Final[tuple[type[SigmaRuleValidator], ...]] = (
    SigmahqFalsepositivesBannedWordValidator,
    SigmahqFalsepositivesCapitalValidator,
    SigmahqFalsepositivesTypoWordValidator,
    SigmahqFieldDuplicateValueValidator,
    SigmahqGithubLinkValidator,
    SigmahqInvalidAllModifierValidator,
    SigmahqInvalidHashKvValidator,
    SigmahqLinkInDescriptionValidator,
    SigmahqMissingAsteriskConditionValidator,
    SigmahqMitreLinkValidator,
    SigmahqModifiedDateOrderValidator,
    SigmahqModifiedWithoutDateValidator,
    SigmahqOfselectionConditionValidator,
    SigmahqOfthemConditionValidator,
    SigmahqRedundantModifiedValidator,
    SigmahqSpaceFieldNameValidator,
    SigmahqStatusExistenceValidator,
    SigmahqStatusValidator,
    SigmahqTagsTlpValidator,
    SigmahqTagsUniqueTlpValidator,
    SigmahqTitleEndValidator,
    SigmahqTitleLengthValidator,
    SigmahqTitleStartValidator,
    SigmahqUnsupportedRegexGroupConstructValidator,
)
ALL: Final = PYSIGMA + SIGMAHQ
