#!lua flags=allow-oom
-- promote: delayed jobs whose time has come become ready.
-- touches  DELAYED, JOB<m> (reason removed), READY with TURN and BELL
-- ARGV     at most
-- reply    how many were looked at (as many as `at most`: call again)
local read = reader('s', 'm', 't', 'z', 'w', 'B')
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local fields, broken = read(member)
  if broken then quarantine(member, now) end
  if fields and fields[1] == 'queued' and not fields[5] then
    enter_ready(group_of(fields[2], fields[3], fields[6]), member, fields[4])
    redis.call('HSET', JOB .. member, 'r', '')
  end
  redis.call('ZREM', DELAYED, member)
end
return #due
