"""Rules by their names: `headrace`, or another system's for comparison, with or without its target (`keda:60`).

The target of ours is the share of a worker's time that is planned with; behind it may stand how sure the forecast is to
be (`headrace:0.9:0.5`).
"""

import re

from scheduler.baseline_rules import HpaRule, KedaRule, KnativeRule, RateRule
from scheduler.rules import HeadraceRule, Rule

BASELINES = {rule.name: rule for rule in (KedaRule, HpaRule, KnativeRule, RateRule)}
_BELOW_1 = r":0?\.0*[1-9][0-9]*"
_NUMBER = rf"({_BELOW_1}|:[1-9][0-9]*(\.[0-9]+)?)"
#: What a rule may be called.
RULE_PATTERN = rf"^(headrace({_NUMBER}({_BELOW_1})?)?|({'|'.join(BASELINES)}){_NUMBER}?)$"


def named_rule(text: str) -> Rule:
    """The rule of that name.

    Raises:
        ValueError: if there is none.
    """
    if not re.match(RULE_PATTERN, text):
        raise ValueError(
            f"'{text}' is no scaling rule; choose headrace, {', '.join(BASELINES)}, or one with its target, as keda:60"
        )
    name, *numbers = text.split(":")
    settings = dict(zip(("target", "quantile"), map(float, numbers), strict=False))
    return HeadraceRule(**settings) if name == HeadraceRule.name else BASELINES[name](**settings)
