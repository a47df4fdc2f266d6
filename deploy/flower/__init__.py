"""Flower, Celery's monitor, as a drill-down into jobs and workers: `python -m deploy.flower`, `headrace up --flower`.

It lists every job by id from the events of the workers. `__main__` starts it read-only and refuses to show it to others
without passwords; `job_queues` reads what waits, `pages` makes Flower's Broker page show it.
"""
