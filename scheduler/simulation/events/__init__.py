"""The event engine: single jobs, batches and workers, for hours, where `fluid` has a liquid for days.

`site` is one simulated system: `queues` (the order of service), `crew` (workers, each with the workers' own batcher and
cost model), `agenda` (what happens next). `engine` runs sites as `fluid` runs its columns.
"""
