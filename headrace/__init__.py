"""The contract of Headrace: what two processes must agree on, and the client that speaks it.

Job records and their transitions (`jobs`, `store`, `lua/`, with what its scripts need seldom in `lua/long/`; what the
store takes and answers: `store_submissions`, `store_work`, `store_care`, `store_views`), the order of service (`tiers`,
`groups`), every Redis key (`keys`), what a model author writes (`model`, `model_options`), what a submission is
(`submission`, read by `reading`, with `moments`; `shadow`: its copy for a version that is only watched), settings
(`worker_class`: of a kind of worker; `environments` hand them to child processes), errors, what workers say of
themselves (`presence`), webhooks (`endpoints`, `delivery_store`, `webhooks`).

An operation on Redis is a value (`redis_op`, read by `replies`); `sync_redis`, `mux` and the workers' own connections
carry it out. So is a call of the API (`http_call`; by subject: `job_calls`, `bulk_call`, `change_calls`,
`operator_calls`, `endpoint_calls`; `http_answer` reads what comes back), which `client` and `async_client` carry out as
`persistence` plans. `cli` with `commands/` is the command line. Nothing here imports torch, Celery or FastAPI.
"""
