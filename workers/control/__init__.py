"""Remote control of job workers: importing this registers the commands in Celery's table, of which a process has one.

`own` has the commands that job queues need and Celery has not; `adapted` those of Celery's that mean something for
jobs; `refused` those that do not, with what to do instead; `answers` how all of them speak. What is not here
(`inspect active | reserved | query_task | stats | active_queues | revoked`, `shutdown`) is Celery's own: it sees the
jobs as requests (`workers.requests`), which `shown` puts there before it looks.
"""

from workers.control import adapted, own, refused, shown

__all__ = ["adapted", "own", "refused", "shown"]
