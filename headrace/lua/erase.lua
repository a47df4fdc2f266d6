#!lua flags=allow-oom
-- erase: what a job holds is deleted at once, its input, its result and what was noted beside it; then its record, unless
-- somebody is still to be told of its end. A job that has not ended is canceled first, so that it never comes to a result.
-- touches  JOB<m>, INPUT<m>, OUTPUT<m>, META<m>, HOOK<m>, PAST<m>, CHECKPOINT<m> (deleted), INDEX<tenant> and DEAD<tenant> (removed from), READY
--          with TURN, DELAYED, DEADLINES, LEASES, EVENTS, OUTBOX with COURIERS, USAGE with USAGE_DAYS
-- ARGV     member, ttl s
-- reply    erased | canceling (in its forward pass: the record stays) | untold (so does this one), or false if there is none
-- The state comes first: a job that could still run must not lose its input; nor must one that can be sent again from DEAD.
local read = reader('s', 'f', 'm', 't', 'h', 'T', 'B')
local member, ttl, now = ARGV[1], ARGV[2], now_ms()
local fields = read(member)
if not fields then return false end
if fields[1] == 'running' then redis.call('HSET', JOB .. member, 's', 'canceling') end
local group = group_of(fields[3], fields[4], fields[7])
if fields[1] == 'queued' then call_off(member, group, fields[2], now, fields[6] or ttl, fields[5]) end
redis.pcall('ZREM', DEAD .. tenant_of(member), member)
redis.call('DEL', INPUT .. member, OUTPUT .. member, META .. member, CHECKPOINT .. member)
if fields[1] == 'running' or fields[1] == 'canceling' then return 'canceling' end
if fields[5] and redis.call('ZSCORE', OUTBOX, end_of(member, fields[5])) then return 'untold' end
redis.call('DEL', HOOK .. member, PAST .. member, JOB .. member)
redis.call('ZREM', INDEX .. tenant_of(member), member)
return 'erased'
