"""Plausible mistakes in the scripts are found by the ledger: a check that nothing can fail checks nothing."""

import pytest

from headrace.keys import Keys
from headrace.redis_op import load_script
from headrace.sync_redis import SyncRedis
from tests.integration.script_bench import Bench
from tests.integration.script_faults import Mutation
from tests.integration.script_ledger import Violation
from tests.integration.script_scenarios import SCENARIOS
from tests.integration.script_stories import STORIES

_LEASE = "call_in_pieces('ZADD', LEASES, leases)\n"
_ZREM_FIRST = """
for _, source in ipairs(sources) do
  for _, queue in ipairs(source.queues) do
    local seen = (queue.at - 1) / step
    if seen > 0 then call('ZREMRANGEBYRANK', READY .. source.group .. ':' .. queue.tenant, 0, seen - 1) end
    queue.at = 1
  end
end
"""

_RECORD_FIRST = """
if not write_further then
  for _, kind in ipairs(kinds) do keep_alike(kind) end
end
"""
_ACCEPT = "    comes_at(number, member, kind.is_named)\n    local score, n = score_of(kind), 2 * count\n"
_FURTHER = "  local function write_further()\n"

_TOLD = "    if hook then post(end_of(member, hook), at) end\n"
_ENDED = "    call('HSET', JOB .. member, 's', state, 'e', at, 'M', spent, ...)\n"

_POST = "  if hook then post(end_of(member, hook), now) end\n"
_END = "  conclude(member, state, now, kept_s(ttl, hook), ...)\n"
_POST_FIRST, _POST_LAST = _POST + _END, _END + _POST

MISTAKES = {
    "commit looks at no fence": Mutation("commit", "and fields[2] == fence and worker and", "and worker and"),
    "commit looks at no fence of what is not plain": Mutation(
        "commit", "local ours = rest and fields[2] == fence and fields[4]", "local ours = rest and fields[4]"
    ),
    "commit looks at no state": Mutation("commit", "local is_ours = fields[1] == 'queued' and", "local is_ours ="),
    "commit looks at no state of what is not plain": Mutation(
        "commit", "if is_brief or fields[1] == 'running' then", "if true then"
    ),
    "commit keeps the state before the result": Mutation(
        "commit",
        "local kept = #keys\n",
        "for k = 1, #keys do call('HSET', keys[k], 's', 'succeeded') end\nlocal kept = #keys\n",
    ),
    "commit keeps the state before the result of what is not plain": Mutation(
        "commit",
        "        call('SET', OUTPUT .. member, body, 'EX', kept)\n",
        "        call('HSET', JOB .. member, 's', state)\n        call('SET', OUTPUT .. member, body, 'EX', kept)\n",
    ),
    "commit takes every job for a plain one": Mutation("commit", "string.byte(price) == 43 and", ""),
    "commit takes all jobs for what the first is": Mutation(
        "commit", "run.price == price and run.arrival == arrival", "true"
    ),
    "commit counts no end of a plain job": Mutation(
        "commit", "  note_used(share.used, 'succeeded', jobs, run.out_bytes)\n", ""
    ),
    "commit counts no end of what is not plain": Mutation(
        "commit", "        note_used(share.used, state, 1, state == 'succeeded' and #body or 0)\n", ""
    ),
    "claim takes from the ready set before it leases": Mutation("claim", _LEASE, _ZREM_FIRST + _LEASE),
    "claim takes every job for a plain one": Mutation("claim", "fields[2] == '00' and fields[1] == ", "fields[1] == "),
    "claim looks at no state of a plain job": Mutation(
        "claim", " and fields[1] == 'queued' and fields[4]", " and fields[4]"
    ),
    "claim takes what has outgrown a size out of a queue that is paused": Mutation(
        "claim", "queues[i - 8] = counted_in(ARGV[i])", "queues[i - 8] = ARGV[i]"
    ),
    "resume rings only for what fits every worker": Mutation(
        "resume", "if counted_in(group) == queue and", "if group == queue and"
    ),
    "resume goes on before it rings": Mutation(
        "resume",
        "local queue = ARGV[1]\n",
        "local queue = ARGV[1]\nredis.call('HDEL', PAUSED, queue)\n",
    ),
    "claim gives all the same fence": Mutation("claim", "new_fence = string.format('%.0f', now_us)", "new_fence = '1'"),
    "claim gives the fence that was there": Mutation("claim", "next_fence(fields[2], now_us)", "fields[2]"),
    "start looks at no fence": Mutation("start", "fields and fields[2] == ARGV[i + 1] and", "fields and"),
    "reap leaves the fence": Mutation("reap", "'queued', 'f', next_fence(fence, now_us), 'r'", "'queued', 'r'"),
    "reap leaves the fence of what has failed": Mutation(
        "reap", "'worker_lost', 'f', next_fence(fence, now_us))", "'worker_lost')"
    ),
    "reap counts no attempts": Mutation(
        "reap", "state == 'running' and (is_final or tonumber(fields[3]) >= tonumber(fields[4]))", "false"
    ),
    "reap drops the lease first": Mutation(
        "reap",
        "  local fields, broken\n  if member",
        "  local fields, broken\n  redis.call('ZREM', LEASES, lease)\n  if member",
    ),
    "fail counts no attempts": Mutation("fail", "if is_final or attempts >= tonumber(fields[4]) then", "if false then"),
    "fail changes the record before it finds a place": Mutation(
        "fail",
        "      if backoff > 0 then\n",
        "      redis.call('HSET', JOB .. member, 's', 'queued', 'w', '')\n      if backoff > 0 then\n",
    ),
    "release drops the lease first": Mutation(
        "release",
        "    enter_ready(",
        "    redis.call('ZREM', LEASES, member .. '#' .. fence)\n    enter_ready(",
    ),
    "submit remembers the idempotency key before there is a job": Mutation(
        "submit",
        _FURTHER,
        f"{_FURTHER}    for _, row in ipairs(rows) do\n"
        "      if row.idem ~= '' then call('SET', row.idem, row.member .. '|' .. row.request) end\n"
        "    end\n",
    ),
    "submit writes the record before what leads to it": Mutation(
        "submit", "if count > 0 then\n", f"{_RECORD_FIRST}if count > 0 then\n"
    ),
    "submit writes the record of what is not plain before what leads to it": Mutation(
        "submit", _ACCEPT, f"{_ACCEPT}    keep(JOB .. member, kind, score, kind.more)\n"
    ),
    "submit takes what it has accepted before for new": Mutation(
        "submit", "if are_free and not are_known and", "if are_free and"
    ),
    "submit takes what it has accepted before for new if it is not plain": Mutation(
        "submit", "row.again = are_known and call('EXISTS', row.key) == 1", "row.again = false"
    ),
    "submit takes every job for a plain one": Mutation(
        "submit", "(kind.is_later or is_rare or is_bound) and '0' or '00'", "'00'"
    ),
    "submit takes every job for one of which only room decides": Mutation(
        "submit", "are_free = are_free and kind.is_free\n", "\n"
    ),
    "submit remembers a name before there is a job": Mutation(
        "submit",
        _FURTHER,
        f"{_FURTHER}    for _, row in ipairs(rows) do\n"
        "      if row.kind.is_named then call('SET', NAMED .. row.member, row.request) end\n"
        "    end\n",
    ),
    "submit remembers a dedupe key of a job that is none": Mutation(
        "submit",
        "if type(twin) == 'string' and stands(state_of(twin), scope) then",
        "if type(twin) == 'string' then",
    ),
    "commit ends a job before its end is in the outbox": Mutation("commit", _TOLD + _ENDED, _ENDED + _TOLD),
    "commit tells nobody of the end": Mutation("commit", _TOLD, ""),
    "start counts an event that nobody is told": Mutation("start", "  post(delivery, now)\n", ""),
    "start counts an event before it is in the outbox": Mutation(
        "start",
        "      news = {'h', post_early(",
        "      local number, letters = string.match(hook, '(%d+)(.*)')\n"
        "      redis.call('HSET', JOB .. ARGV[i], 'h', number + 1 .. letters)\n"
        "      news = {'h', post_early(",
    ),
    "progress looks at no fence": Mutation("progress", "fields[2] == ARGV[i + 1] and fields[4]", "fields[4]"),
    "progress looks at no state": Mutation("progress", "fields[1] == 'running' and fields[2]", "fields[2]"),
    "progress counts an event before it is in the outbox": Mutation(
        "progress",
        "      news = {'h', post_early(",
        "      local number, letters = string.match(hook, '(%d+)(.*)')\n"
        "      redis.call('HSET', JOB .. member, 'h', number + 1 .. letters)\n"
        "      news = {'h', post_early(",
    ),
    "claim_deliveries tells an event that the record has not counted": Mutation(
        "claim_deliveries", "(seq < last and known[4])", "(seq <= last and known[4])"
    ),
    "cancel ends a job before its end is in the outbox": Mutation("cancel", _POST_FIRST, _POST_LAST),
    "fail tells nobody of the end": Mutation("fail", _POST, ""),
    "claim_deliveries looks at no state": Mutation(
        "claim_deliveries", "(seq == last and ENDED[fields[1]])", "(seq == last)"
    ),
    "claim_deliveries gives out what is settled": Mutation(
        "claim_deliveries", "or (known[1] and known[1] ~= 'pending')", ""
    ),
    "settle_deliveries looks at no fence": Mutation(
        "settle_deliveries", "known[2] == fence and (known[1] == 'pending' or known[1] == state)", "true"
    ),
    "settle_deliveries takes the row out first": Mutation(
        "settle_deliveries",
        "  if ours and outcome == ''",
        "  if ours then redis.call('ZREM', OUTBOX, id) end\n  if ours and outcome == ''",
    ),
    "settle_deliveries leaves the fence to who gave a delivery back": Mutation(
        "settle_deliveries", "known[3] - 1, 'f', next_fence(fence, now_us))", "known[3] - 1)"
    ),
    "replay_deliveries leaves a delivery without a row": Mutation("replay_deliveries", "    post(id, now)\n", ""),
    "erase takes the input of a job that could still run": Mutation(
        "erase",
        "if fields[1] == 'running' then redis.call('HSET', JOB .. member, 's', 'canceling') end\n",
        "",
    ),
    "erase forgets a job that somebody is to be told of": Mutation(
        "erase", "redis.call('ZSCORE', OUTBOX, end_of(member, fields[5])) then return 'untold'", "false then return ''"
    ),
    "amend leaves the old place first": Mutation(
        "amend",
        "if waits then enter_ready(",
        "leave_ready(before, member)\nif waits then enter_ready(",
    ),
    "amend lets a URL lie where the record names nobody": Mutation(
        "amend",
        "if url == '-' then redis.call('DEL', HOOK .. member) end\n",
        "if url == '-' then redis.call('HDEL', JOB .. member, 'E') end\n",
    ),
    "amend takes the number of an event for that of another": Mutation(
        "amend", "next_event .. letters", "'1' .. letters"
    ),
    "hasten leaves the old place first": Mutation(
        "hasten",
        "  enter_ready(after, member, score)\n",
        "  leave_ready(before, member)\n  enter_ready(after, member, score)\n",
    ),
    "commit counts again what it had counted": Mutation(
        "commit", "answer = '2'\n", "answer = '2'\n        write_usage('default', 'm@1:standard', {[state] = 1}, now)\n"
    ),
    "reap counts nobody's end": Mutation(
        "reap", "    note_usage(tenant_of(member), fields[6] .. ':' .. fields[7], 'failed', 1)\n", ""
    ),
    "cancel looks at no state": Mutation("cancel", "if fields[1] ~= 'queued' then return fields[1] end\n", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_the_mistake_is_found(connection: SyncRedis, keys: Keys, mistake: Mutation) -> None:
    right = load_script(mistake.script)
    assert mistake.make(right).text != right.text

    with pytest.raises(Violation):
        run_everything(Bench(connection, keys.cell, mistake.make), mistake.script)


def run_everything(bench: Bench, script: str) -> None:
    """All stories, then every scenario of one script with a stop at each of its calls."""
    for story in STORIES:
        ledger = bench.ledger(story.__name__)
        story(ledger)
        ledger.drain()
        ledger.cell.clear()
    for scenario in SCENARIOS[script]:
        bench.stop_everywhere(script, scenario)
