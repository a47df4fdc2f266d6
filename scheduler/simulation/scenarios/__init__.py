"""Scenarios: what the numbers of one pool do not show, played by the event engine with the scheduler's own decisions.

`pools` (one pool or two), `spot` (machines that are taken away), `classes` (which one does what) and `overload` (more
work than can be done) each say what is played and what is counted; `catalog` lists them, `trial` plays, `load` is what
arrives, `report` prints and draws.
"""
