"""The HTTP API: jobs in, records out. It validates, stores and answers; it never runs a model, nor polls for an end.

`__main__` starts it, `app` puts it together, `services` are its parts. `routes/` is what callers see. Jobs: `desk`
takes them in and changes them (`terms`: what bodies say beside their inputs; `drafting` makes jobs of both; `bulk`:
many at once; `gathering` stores together what comes together; `calling_off`: many canceled at once, `purging`: a
queue's; `hangup`: those that end with their caller), `tenant_jobs` shows how they are (`listing`: page by page),
`dead_letters` are those that were given up, and `resubmission` sends ended ones again. `intake` refuses what would
wait too long, `prospects` says how long a job will wait, `waiters` holds those who wait for its end and `event_feed`
wakes them, with the end (`ends`) if it was told; `change_wait` is for those who wait for any change, `lookout` says
how often they look. `durability` is what a 202 waits for.

A request comes over a `connection` (`connection_book`: how long each may stay, `reception`: how many there are,
`outgoing`: what it sends),
through `edge`, which wraps it, and `gate` (`callers`: who asks, `scopes`: what for, `key_ring`, `rates`, `openings`:
how often and how much at once), by `express` or FastAPI to its route. `headers`, `queries` and `body` read it;
`answers`, `records`, `estimates` and `problems` write what comes back, `caching` and `record_tags` leave out what the
caller has.

`catalog` knows the released models, `fit` who can run them, `shadows` copies jobs for those that are only watched,
`presences` the workers, `queues` what operators have them leave alone, `id_seal` the secret behind ids. `endpoints`,
`endpoint_tests` and `listening` are about webhooks; `tenant_limits`, `tenant_caps` and `usage_reports` about tenants.
`documentation` (with `model_schemas`, `schemas` and `docs_page`) describes it all, `metrics` measures it.
"""
