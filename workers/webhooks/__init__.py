"""The courier: tells the ends of jobs to webhooks. A Celery worker of a class of its own that never runs a model.

`step` hangs it into Celery and `courier` is its loop: lease due deliveries, attempt each, settle. `lanes` says which
are attempted now. `teller` makes an attempt: what `headrace.webhook_event` writes is signed with the keys of
`signing_keys`, and `messenger` posts it through `guard`, which connects to vetted addresses only. `schedule` says what
follows from an answer, and `settler` has it noted. `tester` sends what the owner of a receiver wants to see arrive.
"""
