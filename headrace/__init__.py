"""The contract of Headrace: what two processes must agree on, and the client that speaks it.

Job records and their transitions (`jobs`, `store`, `lua/`; what the store takes and answers: `store_submissions`,
`store_work`, `store_care`, `store_views`), the order of service (`tiers`, `groups`), every Redis key (`keys`), what a
model author writes (`model`, `model_options`), what a submission is (`submission`, read by `reading`, with `moments`;
`shadow`: its copy for a version that is only watched), settings (`worker_class`: of a kind of worker; `environments`
hand them to child processes), errors, and the HTTP client. Nothing here imports torch, Celery or FastAPI.
"""
