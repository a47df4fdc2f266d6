"""Scripts broken on purpose: stopped after some of their calls, or changed into a plausible mistake."""

import re
from typing import NamedTuple

from headrace.keys import spell_keys
from headrace.redis_op import Script

#: What the error of a script says that was stopped.
INJECTED = "injected failure"

_COUNTED = """
local calls = 0
local function counted(run, ...)
  calls = calls + 1
  if calls == {at} then error('{message}') end
  return run(...)
end
"""


def stopped(script: Script, *, at: int) -> Script:
    """The same script, raising an error in place of its call number `at` (from 1)."""
    flags, _, body = script.text.partition("\n")
    counted = re.sub(r"\b(?:redis\.)?(p?call)\(", r"counted(redis.\1, ", body)
    assert counted != body
    return Script(script.name, f"{flags}{_COUNTED.format(at=at, message=INJECTED)}{counted}")


class Mutation(NamedTuple):
    """A mistake somebody could have made in a script."""

    script: str
    right: str
    wrong: str

    def make(self, script: Script) -> Script:
        """The script with the mistake; the others as they are."""
        if script.name != self.script:
            return script
        right, wrong = spell_keys(self.right), spell_keys(self.wrong)
        assert script.text.count(right) == 1, f"{script.name} no longer says: {self.right}"
        return Script(script.name, script.text.replace(right, wrong))
