"""Benchmarks that print ratios measured in one run: `python -m bench` lists them, `python -m bench NAME` runs one.

`report` is what every benchmark prints, `meter` takes time and CPU of a span, `service` runs measured processes.
`drain` empties a backlog through one worker: `headrace_side` and `celery_batches_side` are the two that compete (the
second in a virtual environment of its own, made by `venv`, running `celery_batches_app`), `sleep_loop` is the ideal.
`tiers` shows what each tier waits under a flood, `mixed` how long priority jobs wait in passes, `balance` (several
workers: `crew`) whether work is shared as speeds say, `latency` what one job costs when nothing else is to be done
(`empty_route` is what it is compared with over HTTP). `webhooks` measures `couriers` beside `bare_posts`, with an
`event_receiver` and among the `hostile` ones of `listeners`. `models/` are the models that the measured worker serves.
"""
