"""Simulation: what the scheduler's own policy would do with a trace, on a clock that is handed in.

`arrivals` draws jobs, `fluid` lets them flow, `front` tries each policy's settings, `lower_bound` is what nobody can
beat, `comparison` puts them in a table, `chart` draws.
"""
