"""Mistakes that somebody could make in the sources, each with an existing test that must find it."""

from tests.faults.mutation_rig import Mutation

_RUNNING = "tests/integration/test_scripts_running.py"
_CLAIM = "tests/integration/test_scripts_claim.py"
_FAIR = "tests/integration/test_scripts_fair.py"
_CARE = "tests/integration/test_scripts_care.py"
_SUBMIT = "tests/integration/test_scripts_submit.py"
_INJECTED = "tests/integration/test_scripts_injected.py"
_HASTEN = "tests/integration/test_scripts_hasten.py"
_ENDING = "tests/integration/test_scripts_ending.py"
_OUTGROWN = "tests/integration/test_scripts_outgrown.py"
_ENGINE = "tests/integration/test_engine.py"
_RETRY_ON = "tests/integration/test_scripts_retry_on.py"
_APART = "tests/integration/test_scripts_apart.py"
_PROGRESS = "tests/integration/test_scripts_progress.py"
_CHANGING = "tests/integration/test_scripts_changing.py"
_PAUSED = "tests/integration/test_scripts_paused.py"
_COURIER = "tests/integration/test_courier.py"
_MESSENGER = "tests/integration/test_messenger.py"


_ZREM_FIRST = """for _, source in ipairs(sources) do
  for _, queue in ipairs(source.queues) do
    local seen = (queue.at - 1) / 2
    if seen > 0 then redis.call('ZREMRANGEBYRANK', READY .. source.group .. ':' .. queue.tenant, 0, seen - 1) end
    queue.at = 1
  end
end
"""
_LEASED = "call_in_pieces('ZADD', LEASES, leases)\n"
_CHOSEN = "local leases = {}\n"

#: The mistakes that the design names; the sources are the real ones.
NAMED = (
    Mutation(
        "no fence",
        "headrace/lua/commit.lua",
        "local ours = fields and fields[2] == fence and fields[4]",
        "local ours = fields and fields[4]",
        f"{_RUNNING}::test_a_late_result_cannot_replace_the_successors",
    ),
    Mutation(
        "no state check",
        "headrace/lua/commit.lua",
        "elseif ours and (fields[1] == 'running' or fields[1] == 'queued') then",
        "elseif ours then",
        f"{_RUNNING}::test_a_commit_sent_again_is_known_and_changes_nothing",
    ),
    Mutation(
        "no lease",
        "headrace/lua/claim.lua",
        _LEASED,
        "",
        f"{_CLAIM}::test_a_claimed_job_is_leased_and_no_longer_ready",
    ),
    Mutation(
        "fence reuse",
        "headrace/lua/claim.lua",
        "next_fence(fields[2], now_us)",
        "string.format('%.0f', fields[2] + 1)",
        f"{_CLAIM}::test_a_server_that_forgot_a_claim_gives_another_fence",
    ),
    Mutation(
        "ready lost",
        "headrace/lua/reap.lua",
        "    enter_ready(group, member, fields[8])\n",
        "",
        f"{_CARE}::test_a_claimed_job_of_a_silent_worker_takes_its_old_place_and_is_charged_nothing",
    ),
    Mutation(
        "no crash count",
        "headrace/lua/reap.lua",
        "state == 'running' and (is_final or tonumber(fields[3]) >= tonumber(fields[4]))",
        "false",
        f"{_CARE}::test_a_job_that_lost_its_worker_on_the_last_attempt_has_failed",
    ),
    Mutation(
        "no solo lane",
        "workers/job_path.py",
        "self._unsuspected(waiting)",
        "waiting",
        f"{_ENGINE}::test_an_input_that_kills_the_process_fails_alone",
    ),
    Mutation(
        "idem ignored",
        "headrace/lua/submit.lua",
        "  if type(earlier) == 'string' then",
        "  if false then",
        f"{_SUBMIT}::test_the_same_idempotency_key_with_another_request_is_a_mismatch",
    ),
    Mutation(
        "outbox out of transaction",
        "headrace/lua/commit.lua",
        "  if hook then post(end_of(member, hook), at) end\n"
        "  redis.call('HSET', JOB .. member, 's', state, 'e', at, ...)\n",
        "  redis.call('HSET', JOB .. member, 's', state, 'e', at, ...)\n"
        "  if hook then post(end_of(member, hook), at) end\n",
        f"{_INJECTED}::test_nothing_is_lost_wherever_a_script_stops[commit-committing]",
    ),
    Mutation(
        "ack before commit",
        "headrace/lua/commit.lua",
        "  local answer = '0'\n",
        "  local answer = '0'\n  redis.call('ZREM', LEASES, member .. '#' .. fence)\n",
        f"{_INJECTED}::test_nothing_is_lost_wherever_a_script_stops[commit-committing]",
    ),
    Mutation(
        "reap without grace",
        "scheduler/reap_guard.py",
        "        return now >= self._grace_until\n",
        "        return True\n",
        "tests/unit/test_scheduler_reap_guard.py::test_a_restart_between_two_looks_gets_a_lease",
    ),
    Mutation(
        "shared result path",
        "headrace/lua/commit.lua",
        "redis.call('SET', OUTPUT .. member, body,",
        "redis.call('SET', OUTPUT .. tenant_of(member), body,",
        f"{_RUNNING}::test_a_committed_result_is_kept_and_the_job_has_succeeded",
    ),
    Mutation(
        "ZPOPMIN first",
        "headrace/lua/claim.lua",
        _CHOSEN,
        _ZREM_FIRST + _CHOSEN,
        f"{_INJECTED}::test_nothing_is_lost_wherever_a_script_stops[claim-claiming]",
    ),
    Mutation(
        "commit without allow-oom",
        "headrace/lua/commit.lua",
        "#!lua flags=allow-oom\n",
        "#!lua\n",
        "tests/integration/test_scripts_memory_full.py::test_what_was_accepted_is_worked_on_to_the_end",
    ),
)

#: Further ones, most of them in what workers do with the answers.
FURTHER = (
    Mutation(
        "an end told without its result",
        "headrace/lua/commit.lua",
        "record[#record + 1] = body",
        "record[#record + 1] = ''",
        f"{_RUNNING}::test_the_end_that_a_submitter_waits_for_is_told_as_it_would_be_read",
    ),
    Mutation(
        "leases are not renewed",
        "workers/keeper.py",
        "        if now < self._renew_at:\n            return\n",
        "        return\n",
        f"{_ENGINE}::test_a_pass_longer_than_the_lease_keeps_it",
    ),
    Mutation(
        "a commit without an answer is forgotten",
        "workers/committer.py",
        "        for number in list(self._unanswered):\n",
        "        for number in ():\n",
        f"{_ENGINE}::test_a_commit_whose_connection_breaks_before_the_answer_is_sent_again",
    ),
    Mutation(
        "nobody is called when a job comes back",
        "headrace/lua/shared.lua",
        "    tell(BELL .. group, 1, '*', 'r', 1)\n",
        "",
        f"{_CARE}::test_the_bell_rings_for_what_was_taken_back",
    ),
    Mutation(
        "a batch that outlasts the grace is left behind",
        "workers/engine.py",
        "        path.give_back(path.held.all(), self._grace.reason)\n",
        "",
        f"{_ENGINE}::test_a_batch_that_outlasts_the_grace_is_given_back_uncharged",
    ),
    Mutation(
        "an attempt is charged again when the start is told again",
        "headrace/lua/start.lua",
        "  if ours and fields[1] == 'queued' then\n",
        "  if ours and (fields[1] == 'queued' or fields[1] == 'running') then\n",
        f"{_RUNNING}::test_a_start_sent_twice_charges_once",
    ),
    Mutation(
        "an attempt is not given back with its job",
        "headrace/lua/release.lua",
        "fields[1] == 'running' and fields[3] - 1 or fields[3]",
        "fields[3]",
        f"{_RUNNING}::test_a_released_job_takes_its_old_place_and_is_charged_nothing",
    ),
    Mutation(
        "what is given back for a reason does not say it",
        "headrace/lua/release.lua",
        "ARGV[1] ~= '' and {'r', ARGV[1]} or {}",
        "{}",
        f"{_RUNNING}::test_a_job_that_is_given_back_for_a_reason_says_it_until_it_runs_again",
    ),
    Mutation(
        "whoever gave a job back may still finish it",
        "headrace/lua/release.lua",
        "'f', next_fence(fence, now_us), ",
        "",
        f"{_RUNNING}::test_who_gave_a_job_back_can_neither_finish_nor_fail_it",
    ),
    Mutation(
        "a tenant is not charged for what its jobs took",
        "headrace/lua/commit.lua",
        "    charge(group, tenant, virtual_ms(share.ms, weight) - share.charged)\n",
        "",
        f"{_FAIR}::test_what_is_charged_ahead_is_set_right_by_the_commit",
    ),
    Mutation(
        "what a tenant had is forgotten when it has nothing ready",
        "headrace/lua/shared.lua",
        "    local had = first[2] and redis.pcall('HGET', PAID .. group, tenant)\n",
        "    local had = false\n",
        f"{_FAIR}::test_coming_and_going_saves_nothing_up",
    ),
    Mutation(
        "what ran out of memory comes back to workers of the same size",
        "headrace/lua/fail.lua",
        "      local group = group_of(fields[6], fields[7], outgrown or fields[13])\n",
        "      local group = group_of(fields[6], fields[7])\n",
        f"{_OUTGROWN}::test_others_pass_it_by_and_a_larger_worker_takes_it_first",
    ),
    Mutation(
        "what larger workers ran is set right in the turn of others",
        "headrace/lua/commit.lua",
        "sums_of(fields[5], fields[6], rest[5], tenant)\n",
        "sums_of(fields[5], fields[6], nil, tenant)\n",
        f"{_OUTGROWN}::test_what_was_charged_ahead_is_set_right_where_it_was_charged",
    ),
    Mutation(
        "what is reaped forgets that it needs a larger worker",
        "headrace/lua/reap.lua",
        "group_of(fields[6], fields[7], fields[15])",
        "group_of(fields[6], fields[7])",
        f"{_OUTGROWN}::test_however_it_comes_back_it_stays_with_larger_workers",
    ),
    Mutation(
        "what was not run is paid",
        "headrace/lua/release.lua",
        "    charge(group_of(fields[5], fields[6], fields[11]), tenant_of(member), -(fields[8] or 0))\n",
        "",
        f"{_FAIR}::test_what_was_not_run_is_not_paid",
    ),
    Mutation(
        "a renewal takes a lease back",
        "headrace/lua/renew.lua",
        "  if redis.call('ZSCORE', LEASES, ARGV[i]) then\n    redis.call('ZADD', LEASES, 'XX', 'GT', ",
        "  if true then\n    redis.call('ZADD', LEASES, ",
        f"{_RUNNING}::test_a_renewal_names_the_leases_that_are_lost",
    ),
    Mutation(
        "a pass may hang for ever",
        "workers/executor.py",
        '            self.kill("timeout")\n',
        "            pass\n",
        f"{_ENGINE}::test_an_input_that_hangs_the_process_fails_alone",
    ),
    Mutation(
        "a model's process is not replaced",
        "workers/executor.py",
        "        self._respawn()\n        if copied",
        "        if copied",
        f"{_ENGINE}::test_an_idle_child_that_dies_is_replaced",
    ),
    Mutation(
        "a model makes way while its jobs are held",
        "workers/residency.py",
        "sorted(self.leaving.difference(busy))",
        "sorted(self.leaving)",
        "tests/unit/test_residency.py::test_what_is_to_go_is_closed_at_once_and_unloaded_when_its_jobs_have_run",
    ),
    Mutation(
        "a model that brings others down stays with them",
        "workers/separation.py",
        "        self._apart.add(ref)\n",
        "",
        "tests/integration/test_own_process.py::test_what_runs_apart_hurts_nobody_but_itself",
    ),
    Mutation(
        "a silent server is waited for without end",
        "workers/wire.py",
        "        if self._connection is not None and self._waiting and ",
        "        if False and self._connection is not None and self._waiting and ",
        "tests/integration/test_wire.py::test_a_peer_that_stays_silent_is_given_up",
    ),
    Mutation(
        "an answer that cannot be used ends the worker",
        "workers/wire.py",
        "            on_reply(reply)\n        except Exception:\n",
        "            on_reply(reply)\n        except ZeroDivisionError:\n",
        "tests/integration/test_wire.py::test_a_callback_that_raises_does_not_end_the_loop",
    ),
    Mutation(
        "what waits for spot machines is moved whatever its deadline",
        "headrace/lua/hasten.lua",
        "  if risk and left < risk then\n",
        "  if risk then\n",
        f"{_HASTEN}::test_how_long_a_job_would_wait_goes_by_how_many_are_before_it",
    ),
    Mutation(
        "how far a pass was is kept and never handed on",
        "headrace/lua/release.lua",
        "      redis.call('HSET', JOB .. member, 'C', 1)\n",
        "",
        "tests/integration/test_scripts_checkpoint.py::test_how_far_a_pass_was_is_handed_to_the_worker_that_runs_it_next",
    ),
    Mutation(
        "who lost the lead may write",
        "scheduler/lua/desire.lua",
        "if redis.call('GET', KEYS[1]) ~= ARGV[4] then return 0 end\n",
        "",
        "tests/integration/test_leader.py::test_who_lost_the_lead_cannot_write_wishes",
    ),
    Mutation(
        "workers take what they were told to leave to a cheaper class",
        "headrace/homes.py",
        "own = tuple(group for group in groups if group not in others)",
        "own = tuple(group for group in groups if group not in self.spare)",
        "tests/integration/test_engine.py::"
        "test_what_is_left_to_another_class_is_not_claimed_until_nobody_says_so_any_more",
    ),
    Mutation(
        "a lead that runs for ever is respected",
        "scheduler/lua/lead.lua",
        "if holder and redis.call('PTTL', KEYS[1]) > 0 then\n",
        "if holder then\n",
        "tests/integration/test_leader.py::test_a_lead_that_would_never_end_is_no_lead",
    ),
    Mutation(
        "Celery's own transport",
        "workers/app.py",
        '        broker_transport="workers.celery_quarantine:QuarantineTransport",\n',
        "",
        "tests/faults/test_garbage.py::test_garbage_where_everybody_looks_stops_nobody",
    ),
    Mutation(
        "nobody tidies",
        "scheduler/loop.py",
        "            _attempt(self._tidier.step)\n",
        "            pass\n",
        "tests/integration/test_tidier.py::test_a_key_of_another_type_is_set_apart_by_the_scheduler",
    ),
    Mutation(
        "a silent courier's word counts",
        "headrace/lua/settle_deliveries.lua",
        "known[2] == fence and (known[1] == 'pending' or known[1] == state)",
        "true",
        f"{_INJECTED}::test_the_promises_hold_when_nothing_stops[a_silent_courier_comes_back]",
    ),
    Mutation(
        "the outbox is not filled by the script that ends a job",
        "headrace/lua/commit.lua",
        "  if hook then post(end_of(member, hook), at) end\n",
        "",
        "tests/integration/test_scripts_deliveries.py::test_a_delivery_is_charged_an_attempt_when_it_is_leased",
    ),
    Mutation(
        "an event before its end",
        "headrace/lua/claim_deliveries.lua",
        "(seq == last and ENDED[fields[1]])",
        "(seq == last)",
        f"{_INJECTED}::test_nothing_is_lost_wherever_a_script_stops[claim_deliveries-claiming_deliveries]",
    ),
    Mutation(
        "a courier overrules what another noted meanwhile",
        "headrace/lua/note_health.lua",
        " or (noted or '') ~= ARGV[3] then",
        " then",
        "tests/integration/test_endpoint_book.py::test_of_two_couriers_that_note_at_once_neither_loses_the_others_note",
    ),
    Mutation(
        "a job that goes on is given up after its start was told",
        "headrace/lua/settle_deliveries.lua",
        "    if known[4] then\n",
        "    if false then\n",
        "tests/integration/test_scripts_deliveries.py::test_a_start_that_was_told_leaves_its_job_as_it_is",
    ),
    Mutation(
        "a lost worker says how far a job is",
        "headrace/lua/progress.lua",
        " and fields[2] == ARGV[i + 1] and fields[4]",
        " and fields[4]",
        f"{_PROGRESS}::test_a_late_word_of_a_lost_worker_is_refused",
    ),
    Mutation(
        "a word of progress is told and not counted, so that the end takes its number",
        "headrace/lua/progress.lua",
        "'N', words, unpack(news))",
        "'N', words)",
        f"{_PROGRESS}::test_it_is_told_between_start_and_end_under_rising_numbers",
    ),
    Mutation(
        "who takes events slowly is told of every word",
        "headrace/lua/progress.lua",
        " and not is_waiting(member, hook) then",
        " then",
        f"{_PROGRESS}::test_one_word_waits_at_a_time_and_the_end_is_told_all_the_same",
    ),
    Mutation(
        "a new id for each attempt",
        "workers/webhooks/teller.py",
        "signed_headers(event_id_of(due.id),",
        'signed_headers(f"{event_id_of(due.id)}-{due.attempts}",',
        f"{_COURIER}::test_a_receiver_that_fails_gets_the_same_event_again_with_a_new_timestamp",
    ),
    Mutation(
        "an event counts as told before it is sent",
        "workers/webhooks/courier.py",
        "        answer = await self._tell(due)\n",
        '        self._judge(due, Answer("http_200", 200))\n        answer = await self._tell(due)\n',
        f"{_COURIER}::test_a_courier_killed_in_the_middle_of_a_delivery_is_made_up_for_under_the_same_id",
    ),
    Mutation(
        "a name is resolved again after it was judged",
        "workers/webhooks/guard.py",
        "self._network.connect_tcp(address, port,",
        "self._network.connect_tcp(host, port,",
        f"{_MESSENGER}::test_a_name_is_resolved_once_for_a_connection_and_goes_into_the_request",
    ),
    Mutation(
        "one bad address is outvoted by good ones",
        "workers/webhooks/guard.py",
        "        if refused := self._egress.refused(addresses):\n",
        "        if len(refused := self._egress.refused(addresses)) == len(addresses):\n",
        f"{_MESSENGER}::test_one_bad_address_among_good_ones_is_enough",
    ),
    Mutation(
        "who hangs may take every place",
        "workers/webhooks/lanes.py",
        "        return is_free and (lane.is_quick or self._slow_under_way < self._slow_places)\n",
        "        return is_free\n",
        "tests/unit/test_lanes.py::test_receivers_that_hang_leave_half_of_the_places_to_quick_ones",
    ),
    Mutation(
        "what was fetched is not verified",
        "registry/cache.py",
        "        if _digest(part).hexdigest() == file.sha256:\n",
        "        if part.tell():\n",
        "tests/unit/test_registry.py::test_a_corrupt_file_in_the_store_is_named_with_both_digests_and_never_laid_out",
    ),
    Mutation(
        "a transfer that broke off begins anew behind what is there",
        "registry/cache.py",
        "self._store.stream(object_path(file.sha256), offset=offset)",
        "self._store.stream(object_path(file.sha256))",
        "tests/integration/test_fetch.py::test_a_store_that_breaks_off_after_each_chunk_is_read_to_the_end",
    ),
    Mutation(
        "files that another process uses make room",
        "registry/cache_room.py",
        "            if is_free:\n                log.info",
        "            if not is_free or is_free:\n                log.info",
        "tests/unit/test_cache_room.py::test_what_another_process_uses_stays_though_it_is_the_oldest",
    ),
    Mutation(
        "the memory that a load may take bounds what comes after it",
        "workers/memory_cap.py",
        "        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))\n",
        "        _data_bytes()\n",
        "tests/unit/test_memory_cap.py::test_after_the_load_memory_is_free_again",
    ),
    Mutation(
        "a job over its limit takes its mates along",
        "workers/hang_watch.py",
        "if self.running and self._forsaken.issuperset(self.running):",
        "if self.running and self._forsaken:",
        "tests/integration/test_run_limits.py::test_a_job_over_its_limit_fails_and_its_mates_run_on",
    ),
    Mutation(
        "nobody is over a limit",
        "workers/held_jobs.py",
        "self.running and now - self.began_s > limit_s",
        "self.running and now < self.began_s",
        "tests/unit/test_held_jobs.py::test_a_job_is_overdue_once_its_pass_took_longer_than_it_may",
    ),
    Mutation(
        "every job is kept as long as others",
        "headrace/lua/commit.lua",
        "local ttl = rest[4] or ARGV[1]",
        "local ttl = ARGV[1]",
        f"{_ENDING}::test_each_job_is_kept_as_long_as_was_asked_for_however_it_ended[succeeded]",
    ),
    Mutation(
        "every job is taken for one that has nothing of its own",
        "headrace/lua/claim.lua",
        "fields and fields[2] == '00', nil",
        "true, nil",
        f"{_ENDING}::test_each_job_is_kept_as_long_as_was_asked_for_however_it_ended[succeeded at once]",
    ),
    Mutation(
        "a job that is to be kept for long is taken for a plain one",
        "headrace/lua/submit.lua",
        "kind.hook ~= '' or ARGV[at + 17] ~= '' or",
        "kind.hook ~= '' or",
        f"{_ENDING}::test_a_job_that_asks_for_nothing_else_is_kept_as_long_as_was_asked_for",
    ),
    Mutation(
        "a job that is bound in time is taken for a plain one",
        "headrace/lua/submit.lua",
        "(kind.is_later or is_rare or is_bound)",
        "(kind.is_later or is_rare)",
        f"{_CLAIM}::test_a_claimed_job_says_how_long_its_pass_may_take",
    ),
    Mutation(
        "a job that gets a deadline stays plain",
        "headrace/lua/amend.lua",
        "if fields[10] == '00' and (deadline or url ~= '') then",
        "if fields[10] == '00' and url ~= '' then",
        f"{_CHANGING}::test_a_deadline_that_is_given_is_told_to_whoever_claims_the_job",
    ),
    Mutation(
        "a job that somebody is to be told of stays plain",
        "headrace/lua/amend.lua",
        "if fields[10] == '00' and (deadline or url ~= '') then",
        "if fields[10] == '00' and deadline then",
        f"{_CHANGING}::test_a_job_that_nobody_was_to_be_told_of_gets_somebody",
    ),
    Mutation(
        "a window closes with its job",
        "headrace/lua/submit.lua",
        "  if scope == 'window' then return ENDED[state] ~= nil end\n",
        "",
        "tests/contract/test_api_dedupe.py::test_within_its_window_a_job_stands_for_others_however_it_ended",
    ),
    Mutation(
        "what came to no result stands for the same content",
        "headrace/lua/submit.lua",
        "(scope == 'content' and state == 'succeeded')",
        "scope == 'content'",
        "tests/contract/test_api_dedupe.py::test_what_came_to_no_result_is_done_anew",
    ),
    Mutation(
        "paused queues are claimed from",
        "headrace/lua/claim.lua",
        "if not paused[i - 8] then turns",
        "if true then turns",
        f"{_PAUSED}::test_nothing_is_claimed_from_a_queue_that_is_paused_and_what_came_meanwhile_when_it_goes_on",
    ),
    Mutation(
        "a paused queue that goes on wakes nobody",
        "headrace/lua/resume.lua",
        " then tell(BELL .. group, 1, '*', 'r', 1) end",
        " then local _ = tell end",
        f"{_PAUSED}::test_whoever_waits_at_the_bell_is_woken_when_the_queue_goes_on_and_only_if_something_waits",
    ),
    Mutation(
        "workers are started for a paused queue",
        "scheduler/observer.py",
        "queue._replace(waiting=0, arrivals=0.0, arrived=0.0, oldest_age_s=0.0, dues=())",
        "queue",
        "tests/integration/test_scaler.py"
        "::test_no_worker_is_started_for_a_queue_that_is_paused_and_some_are_when_it_goes_on",
    ),
    Mutation(
        "a model is loaded for a paused queue",
        "workers/backlog_look.py",
        "if queue_of(depth.group) in self._paused:",
        "if False:",
        "tests/integration/test_backlog_look.py"
        "::test_what_waits_in_a_queue_that_is_paused_is_worth_no_load_until_it_goes_on",
    ),
    Mutation(
        "what is paused is before others",
        "api/prospects.py",
        "roster.serving(ref, other) and not roster.is_paused(ref, other)",
        "roster.serving(ref, other)",
        "tests/contract/test_api_prospects.py::test_what_is_paused_is_before_nobody_of_another_tier",
    ),
    Mutation(
        "what has outgrown a size is left when its queue is emptied",
        "headrace/lua/waiting.lua",
        "counted_in(group) == queue",
        "group == queue",
        "tests/contract/test_api_purging.py::test_what_waits_is_canceled_and_nothing_else",
    ),
    Mutation(
        "a queue is emptied of what is scheduled in others",
        "headrace/lua/waiting.lua",
        "and group_of(fields[3], fields[4]) == queue then",
        "then",
        "tests/contract/test_api_purging.py::test_what_waits_is_canceled_and_nothing_else",
    ),
    Mutation(
        "what never began was an attempt",
        "headrace/lua/reap.lua",
        "    if state == 'running' then note_attempt(",
        "    if state then note_attempt(",
        "tests/integration/test_scripts_past.py::test_what_never_began_was_no_attempt",
    ),
    Mutation(
        "a worker on its way takes a whole start whatever its age",
        "headrace/cold_start.py",
        "max(row.cold_start_s - age_s, _LEAST * row.cold_start_s)",
        "row.cold_start_s",
        "tests/unit/test_cold_start.py::test_one_that_has_begun_takes_what_is_left_of_it",
    ),
    Mutation(
        "what failed for a cause that is not named is tried again",
        "headrace/lua/fail.lua",
        "if is_final or attempts",
        "if attempts",
        f"{_RETRY_ON}::test_a_failure_for_another_cause_ends_the_job_although_attempts_are_left",
    ),
    Mutation(
        "a lost worker is forgiven though it is not named",
        "headrace/lua/reap.lua",
        "(is_final or tonumber",
        "(tonumber",
        f"{_RETRY_ON}::test_a_job_whose_worker_was_lost_has_failed_unless_that_is_named",
    ),
    Mutation(
        "a job that says when to try again is taken for a plain one",
        "headrace/lua/submit.lua",
        " or ARGV[at + 19] ~= '' or ",
        " or ",
        f"{_RETRY_ON}::test_workers_are_told_of_those_that_say_so_and_of_no_others",
    ),
    Mutation(
        "a job that shares no pass is taken for a plain one",
        "headrace/lua/submit.lua",
        " or ARGV[at + 20] == '1'\n",
        "\n",
        f"{_APART}::test_workers_are_told_which_jobs_share_no_pass",
    ),
    Mutation(
        "a job that shares no pass is handed down like others",
        "workers/job_path.py",
        "alone=alone, apart=apart)",
        "alone=alone)",
        f"{_ENGINE}::test_no_other_job_is_in_the_pass_of_one_that_is_not_batchable",
    ),
    Mutation(
        "a job that shares no pass has company",
        "workers/batcher.py",
        "is_apart=job.slot in apart)",
        "is_apart=False)",
        "tests/unit/test_batcher.py::test_a_job_apart_runs_by_itself_in_its_turn_and_those_around_it_together",
    ),
)
