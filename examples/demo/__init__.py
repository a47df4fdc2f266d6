"""`make demo`: a real model served end to end on this machine, with proof that every answer is right.

`__main__` tells the story; `system` brings Headrace up and ends it; `report` writes to the terminal.
First part: `sentences` reads what is embedded; `jobs` sends it through the queue over HTTP; `direct` computes the same
without a queue; `checks` compares; `figures` says what was measured.
Second part: `scaling` tells it; `burst` sends more than the workers can take, `timeline` watches what comes of it,
`picture` and `chart` draw it, `receiver` takes the webhooks, `burst_checks` compares.
"""
