"""Machines that are taken away: clouds say so shortly before, at an address of the machine itself.

`watch` looks there in a thread, `sources` know each cloud's words (over `metadata`), `notice` is what they find. What
the worker does with the time that is left, `workers.grace` decides.
"""
