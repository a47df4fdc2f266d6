"""Jobs in, results out: one Celery worker per GPU slot that runs batches of queued jobs as single forward passes.

The Celery process (the parent) moves bytes. `job_path` is the story of a job in it (`path_parts`: what that connects,
`held_jobs`: the jobs that are here, `model_loads` and `served_models`: how models come and go beside it) and `engine`
the machine around that (`engine_parts`: as the settings want them, `identity` and `self_report`: who it is and what it
says of itself, `loop` and `nested_loop`: what it runs on, a lean loop inside Celery's): `claimer` (what to take, and
when, by `claim_policy`), `bell` (how an idle worker waits), `home_look` (what is left to a cheaper class), `committer`
(how results get back), `keeper` (leases and presence, in a thread), `catalog` (which models to serve), `links` and
`wire` (connections to Redis that never block), `forward_clock` (when a pass will end), `starts` (tells that a pass
runs), `progress` (and how far it is, as its model says), `run_limits` (ends what runs too long), `cost_states` (what
other workers learned), `passing_on` (what is too large for this worker).

`executor` is the parent's end of the child (`child_process`: the process and its descriptors, `outbox`: bytes on their
way, `child_listener`: who is told what it says, `hang_watch`: what takes it too long, `backoff`: when the next one is
tried), `children` of all of them (`separation`: who has one of its own). `suspects` may have brought one down, `trial`
runs them alone, `circuit` takes a version out that fails whatever it is given.

`app` is the Celery application. `step` hangs the engine into it; `view` is what the engine tells of its jobs,
`celery_view`, `requests` and `job_events` are what Celery and Flower see of them, `control` what remote control does
(`offer`: which jobs are claimed), `celery_quarantine` keeps bad messages from ending a worker. `launch` starts the
process (`__main__` calls it), `spare` has it wait for its name. `submit_task` (with `submit_desk`) takes jobs from
Celery producers, and `task_results` tells them the ends. `metrics`, `tally` and `job_log` say how it all went.

`residency` decides which models stay loaded where they do not all fit (`model_choice`: which of the others is worth a
load, `eviction`: which makes way for it, `host_memory`: whether as a copy, `backlog_look`: what waits for them,
`move_log`: tells what it did). `device_lease` gives each worker a GPU of its own (`devices`: of which ones).
`preemption` looks for the notice that the machine is taken away, and `grace` says how long a pass may still take.
`start_stages` tells where the time of a start went.

`webhooks` is another kind of worker: the courier, which tells ends of jobs and runs no model.

The child (`child`) runs the models and may hang or crash without harm; `frames` is the language between it and the
parent. Its `intake` hears what that says (by an `alarm` also while it is at work). Jobs come into its `inbox`, are
staged by the `preparer` beside the running pass, go through the `runtime` of one of its `loaded_models` and are told by
the `finisher`, where `overlap` finds that this helps (by `stage_time`); the `reporter` hands on how far models say they
are; `opening` tells that a pass begins; `stage_marks` shows the parent what each stage has in its hands; `vital_thread`
ends the process with a thread that it needs. Which jobs run together, `batcher` decides (`waiting`: the jobs in their
order, `admission`: who joins, `cost_model` with `hinge`: how long a batch takes, `batch_size`: which size is best).
`codec` and `collate` make tensors of inputs and results of rows, `finite` looks at these; `failures` says what an
exception means, `isolation` finds the guilty input, `oom_limit` remembers what was too large (`device_mark`: where).
`child_loads` is how models come into it and go, `parking` copies them to host memory and back; `memory_meter`,
`device_memory` and `memory_cap` measure and bound what a load takes. `compiled` and `device_copy` are what torch can
do for a pass, `runtimes` are classes for models that come as a file.

`check` and `tune` (with `tuning`) are commands of model authors, and load as a worker would (`tryout`).
"""
