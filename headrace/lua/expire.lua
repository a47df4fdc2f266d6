#!lua flags=allow-oom
-- expire: jobs whose deadline has passed, or that have not begun by their latest start.
-- touches  DEADLINES zset m by the earlier of the two, JOB<m>, INPUT<m>, OUTPUT<m> (deleted), READY with TURN, DELAYED, LEASES,
--          EVENTS, OUTBOX with COURIERS, USAGE with USAGE_DAYS
-- ARGV     at most, ttl s
-- reply    how many were looked at (as many as `at most`: call again)
local read = reader('s', 'f', 'a', 'm', 't', 'd', 'y', 'h', 'T', 'B')
local now, words = now_ms(), {}
local due = redis.call('ZRANGEBYSCORE', DEADLINES, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local fields = read(member)
  local state = fields and fields[1]
  local late = fields and fields[6] and tonumber(fields[6]) <= now
  local unbegun = fields and fields[7] and tonumber(fields[7]) <= now and state == 'queued' and fields[3] == '0'
  if (state == 'queued' or state == 'running') and (late or unbegun) then
    finish(member, 'expired', now, fields[9] or ARGV[2], fields[8], 'c', 'deadline')
    leave_ready(group_of(fields[4], fields[5], fields[10]), member)
    redis.call('ZREM', DELAYED, member)
    redis.call('ZREM', LEASES, member .. '#' .. fields[2])
    note_usage(tenant_of(member), fields[4] .. ':' .. fields[5], 'expired', 1)
    words[#words + 1] = member .. ' expired'
    redis.call('ZREM', DEADLINES, member)
  elseif fields and not late and not ENDED[state] and fields[6] then
    redis.call('ZADD', DEADLINES, fields[6], member)
  else
    redis.call('ZREM', DEADLINES, member)
  end
end
count_usage(now)
say(words)
return #due
