"""The HTTP API: jobs in, records out. It validates, stores and answers; it never runs a model and never polls Redis.

`__main__` starts it, `app` puts it together, `routes/` is what callers see, `desk` takes jobs in and changes them
(`bulk`: many at once; `gathering` stores together what comes together), `tenant_jobs` shows how they are. `prospects`
says how long a job will wait. `headers` and `body` read requests, `answers`, `records`, `estimates` and `problems`
write what comes back, `edge` wraps each request, `documentation` and `schemas` describe them. `catalog` knows the
released models, `shadows` copies jobs for those that are only watched, `presences` the workers, `id_seal` the secret
behind ids. `waiters` holds those who wait for a job's end and `event_feed` wakes them.
"""
