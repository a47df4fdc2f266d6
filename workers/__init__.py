"""Jobs in, results out: one Celery worker per GPU slot that runs batches of queued jobs as single forward passes.

The Celery process (the parent) moves bytes. `job_path` is the story of a job in it (`path_parts`: what that connects,
`model_loads`: how models come and go beside it) and `engine` the machine around that (`engine_parts`: as the settings
want them, `self_report`: what it says of itself): `claimer` (what to take, and when, by `claim_policy`), `bell` (how an
idle worker waits), `home_look` (what is left to a cheaper class), `executor` (the parent's end of the child;
`child_listener`: who is told what that says, `hang_watch`: what takes it too long), `children` (of all of them;
`separation`: who has one of its own), `committer` (how results get back), `keeper` (leases and presence, in a thread),
`catalog` (which models to serve), `links` and `wire` (connections to Redis that never block), `forward_clock` (when a
pass will end), `starts` (tells that a pass runs), `progress` (and how far it is, as its model says), `cost_states`
(what other workers learned), `passing_on` (what is too large for this worker), `nested_loop` (a lean loop inside
Celery's). `step` hangs the engine into Celery; `celery_view`, `requests` and `job_events` are what Celery and Flower
see of it, `control` what remote control does to it (`offer`: which jobs are claimed). `launch` starts the process.
`submit_task` (with `submit_desk`) takes jobs from Celery producers, and `task_results` tells them the ends.
`residency` decides which models stay loaded where they do not all fit (`model_choice`: which of the others is worth a
load, `eviction`: which makes way for it, `backlog_look`: what waits for them, `move_log`: tells what it did).
`device_lease` gives each worker a GPU of its own (`devices`: of which ones).
`preemption` looks for the notice that the machine is taken away, and `grace` says how long a pass may still take.
`start_stages` tells where the time of a start went.

`webhooks` is another kind of worker: the courier, which tells ends of jobs and runs no model.

The child (`child`) runs the models and may hang or crash without harm. Jobs come into its `inbox`, are staged by the
`preparer` beside the running pass, go through the `runtime` of one of its `loaded_models` and are told by the
`finisher`, where `overlap` finds that this helps; the `reporter` hands on how far models say they are; `stage_marks`
shows the parent what each stage has in its hands. `compiled` and `device_copy` are what torch can do for a pass,
`runtimes` are classes for models that come as a file, and `memory_cap` bounds what a load may take. Which jobs run
together, `batcher` decides (`waiting`: the jobs in their order, `admission`: who joins, `cost_model` with `hinge`:
how long a batch takes, `batch_size`: which size is best). `frames` is the language between the two.
"""
