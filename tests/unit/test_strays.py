"""Every key has its type in the table that the tidier goes by."""

import inspect

from headrace.groups import is_group
from headrace.keys import Keys
from headrace.strays import KINDS, typed_keys

#: Keys of single jobs, deliveries, devices, models and days: whoever reads them looks at what is there.
OF_ONE_JOB = {
    *(
        "checkpoint",
        "job",
        "input",
        "output",
        "past",
        "idempotency",
        "named",
        "dedupe",
        "metadata",
        "hook",
        "delivery",
        "device",
        "costs",
        "model_moves",
        "usage",
    ),
}
#: Only ever written.
UNREAD = {"barrier"}


def test_every_key_that_many_share_is_looked_after() -> None:
    keys = Keys()
    shared = {name for name, member in inspect.getmembers(Keys) if isinstance(member, property)} - {"prefix"}
    named = {name for name, member in inspect.getmembers(Keys, inspect.isfunction) if not name.startswith("_")}

    typed = {key for key, _ in typed_keys(keys, groups=["g"], tenants=["g"], workers=["g"])}

    assert shared - UNREAD == set(KINDS)
    missing = [name for name in named - OF_ONE_JOB if call(keys, name) not in typed]
    assert missing == []


def call(keys: Keys, name: str) -> str:
    member = getattr(keys, name)
    spelled: str = member(*["g"] * len(inspect.signature(member).parameters))
    return spelled


def test_what_cannot_be_a_group_is_none() -> None:
    assert is_group("m@1:standard")
    assert not any(is_group(text) for text in ("", "m@1", "m@0:standard", "m@1:noble", "\ufffd@1:spot", ":", "@:"))
