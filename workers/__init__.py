"""Jobs in, results out: one Celery worker per GPU slot that runs batches of queued jobs as single forward passes.

The Celery process (the parent) moves bytes: `engine` is the story of a job in it, with `claimer` (what to take, and
when), `bell` (how an idle worker waits), `committer` (how results get back), `executor` (the parent's end of the
child), `keeper` (leases and presence, in a thread) and `catalog` (which models to serve). `step` hangs it into
Celery, `requests` and `job_events` are what Celery and Flower see of it. The child (`child`, `batcher`, `runtime`)
runs the models and may hang or crash without harm.
"""
