"""The Celery application, as far as it needs no broker."""

import warnings

from headrace.settings import Settings
from workers.app import make_app
from workers.requests import JOB_TASK
from workers.submit_task import SUBMIT_TASK


def test_two_applications_in_one_process_have_each_its_own_tasks_and_complain_of_nothing() -> None:
    apps = [make_app(Settings()), make_app(Settings())]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for app in apps:
            app.finalize()

    assert [[True] * 2] * 2 == [[app.tasks[name].app is app for name in (JOB_TASK, SUBMIT_TASK)] for app in apps]
