#!lua flags=allow-oom
-- fail: end attempts that came to no result. With attempts left the job waits out its back-off, else it has failed; so it has
-- if it says for which causes its attempts may be repeated, and this is none of them.
-- touches  JOB<m>, OUTPUT<m> (error document), INPUT<m> (kept), DELAYED or READY with TURN and BELL, LEASES, DEADLINES,
--          PAST<m> (an attempt noted), EVENTS, STATS, QUEUE<group> hash (failures counted), GROUPS, OUTBOX with COURIERS,
--          DEAD<tenant> zset of jobs given up, USAGE with USAGE_DAYS
-- ARGV     ttl s, (member, fence, cause, back-off ms, error document, bytes of memory that the job has outgrown or '')*
-- reply    one character a job: 1 done, 2 already done by the same call sent before, 0 refused
local read = reader('s', 'f', 'a', 'n', 'w', 'm', 't', 'z', 'h', 'T', 'b', 'g', 'B', 'R')
local now, now_us = now_ms()
local answers, words = {}, {}
for i = 2, #ARGV, 6 do
  local member, fence, cause, backoff, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4]
  local outgrown = ARGV[i + 5] ~= '' and ARGV[i + 5]
  local fields = read(member)
  local state, ours = fields and fields[1], fields and fields[2] == fence
  local answer, ttl = '0', fields and fields[10] or ARGV[1]
  if ours and fields[5] and state == 'canceling' then
    finish(member, 'canceled', now, ttl, fields[9])
    redis.call('ZREM', DEADLINES, member)
    note_usage(tenant_of(member), fields[6] .. ':' .. fields[7], 'canceled', 1)
    words[#words + 1] = member .. ' canceled'
  elseif ours and fields[5] and (state == 'running' or state == 'queued') then
    answer = '1'
    -- An attempt whose start was not told apart is charged now.
    local attempts = state == 'queued' and fields[3] + 1 or tonumber(fields[3])
    local is_final = fields[14] and not string.find(fields[14], ',' .. cause .. ',', 1, true)
    if is_final or attempts >= tonumber(fields[4]) then
      redis.call('SET', OUTPUT .. member, body, 'EX', kept_s(ttl, fields[9]))
      bury(member, now_us)
      finish(member, 'failed', now, ttl, fields[9], 'c', cause, 'a', attempts)
      count_failed(fields[6] .. ':' .. fields[7], 1)
      note_usage(tenant_of(member), fields[6] .. ':' .. fields[7], 'failed', 1)
      redis.call('ZREM', DEADLINES, member)
      words[#words + 1] = member .. ' failed'
    else
      local group = group_of(fields[6], fields[7], outgrown or fields[13])
      if outgrown then redis.call('ZADD', GROUPS, now, group) end
      if backoff > 0 then
        redis.call('ZADD', DELAYED, now + backoff, member)
      else
        enter_ready(group, member, fields[8])
      end
      -- The next attempt begins anew: what was kept of a pass may be why this one failed.
      local reason = backoff > 0 and 'retry_backoff' or outgrown and 'needs_larger_worker' or ''
      redis.call('HSET', JOB .. member, 's', 'queued', 'r', reason, 'a', attempts, 'w', '', 'l', '', 'j', '', 'C', '',
        unpack(outgrown and {'B', outgrown} or {}))
      local was_told = state == 'running'
      note_attempt(member, fields[5], was_told and fields[11], now, was_told and fields[12], cause)
    end
  elseif ours and (state == 'failed' or (state == 'queued' and not fields[5])) then
    answer = '2'
  end
  if ours then redis.call('ZREM', LEASES, member .. '#' .. fence) end
  answers[#answers + 1] = answer
end
count_usage(now)
say(words)
return table.concat(answers)
