#!lua flags=allow-oom
-- cancel: at once if the job is not in a forward pass, else its result is discarded when the pass ends.
-- touches  JOB<m>, INPUT<m>, OUTPUT<m> (deleted), READY with TURN, DELAYED, DEADLINES, LEASES, EVENTS, OUTBOX with COURIERS, USAGE with
--          USAGE_DAYS
-- ARGV     member, ttl s
-- reply    the state now, or false if there is no such job
local read = reader('s', 'f', 'm', 't', 'h', 'T', 'B')
local member, ttl, now = ARGV[1], ARGV[2], now_ms()
local fields = read(member)
if not fields then return false end
if fields[1] == 'running' then
  redis.call('HSET', JOB .. member, 's', 'canceling')
  return 'canceling'
end
if fields[1] ~= 'queued' then return fields[1] end
call_off(member, group_of(fields[3], fields[4], fields[7]), fields[2], now, fields[6] or ttl, fields[5])
return 'canceled'
