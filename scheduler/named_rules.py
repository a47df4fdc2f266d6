"""Rules by their names: `headrace`, or another system's for comparison, with or without its target (`keda:60`)."""

import re

from scheduler.baseline_rules import HpaRule, KedaRule, KnativeRule, RateRule
from scheduler.rules import HeadraceRule, Rule

BASELINES = {rule.name: rule for rule in (KedaRule, HpaRule, KnativeRule, RateRule)}
#: What a rule may be called.
RULE_PATTERN = rf"^(headrace|({'|'.join(BASELINES)})(:[0-9]*\.?[0-9]+)?)$"


def named_rule(text: str) -> Rule:
    """The rule of that name.

    Raises:
        ValueError: if there is none.
    """
    if not re.match(RULE_PATTERN, text):
        raise ValueError(
            f"'{text}' is no scaling rule; choose headrace, {', '.join(BASELINES)}, or one with its target, as keda:60"
        )
    name, _, target = text.partition(":")
    if name == HeadraceRule.name:
        return HeadraceRule()
    rule = BASELINES[name]
    return rule(target=float(target)) if target else rule()
