"""Simulation: what the scheduler's own policy would do with a trace, on a clock that is handed in.

`arrivals` draws jobs. Two engines run them behind one interface (`plant`): `fluid` lets them flow, `events` runs each
by itself; `steering` is how both ask the scaler. `flow_site` is a liquid with several worker classes and models.
`front` tries each policy's settings, `lower_bound` is what nobody can beat, `comparison` puts them in a table, `chart`
draws.
"""
