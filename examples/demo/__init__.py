"""`make demo`: a real model served end to end on this machine, with proof that every answer is right.

`__main__` tells the story; `system` brings Headrace up and ends it; `sentences` reads what is embedded; `jobs` sends it
through the queue over HTTP; `direct` computes the same without a queue; `checks` compares; `report` prints figures.
"""
