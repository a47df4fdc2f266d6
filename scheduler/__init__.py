"""The slow loop beside the queue: looks after jobs that nobody holds and says how many workers there should be.

`python -m scheduler` (`__main__`) keeps house: `loop` (one tick after another, through outages), `leadership` (one
leader at a time), `housekeeping` (reap, expire, promote, sweep), `reap_guard` (when taking jobs back must wait),
`hot_window`, `usage_window` and `tidier` (what is kept, and for how long). It takes bad versions back (`canary_watch`).
`metrics` shows the `fleet`.

It scales: `observer` (with `meters` and `needs_book`) looks, `observation` is what it sees, `forecaster` (with
`forecast_models`; `level_errors` and `quantiles`: how wrong they were) what it expects; `demand` (with `homes`: which
class does what, and `due_work`: what deadlines take) and `policy` decide, with `pool_scaler`, `spot_market`,
`cost_guard` and one of the `rules` (those of others are `baseline_rules`; `named_rules` finds one), and `back_fill`
what classes take of each other's work (`tryouts`: also to see what it costs); `scaler` writes down. `hastener` (with
`deadline_risk`) moves jobs that spot machines would end too late. `wake` hears the first job of a queue that nobody
serves. `python -m scheduler.simulate` (`simulate`) runs the same policy over a trace (`simulation/`).

`python -m scheduler.up` (`up`) owns every process of a one-machine system: `system` (what it is made of), `service`
(API, scheduler, server), `wishes`, `reconciler` and `backends/` (workers and spares), `data_folder` (one owner at a
time), on top of `processes`, `restart`, `console` and `stop_signal`. `embedded_server` is the Redis that it brings.
`python -m scheduler.owner` (`owner`) carries the same wishes out where workers are containers or pods. `doctor/` looks
for what is wrong with the place.
"""
