#!lua flags=allow-oom
-- sweep: look at a stretch of a tenant's index: forget jobs whose records are gone, put back jobs that no set leads to,
-- give finished records their time to live. This is what makes every half-done script harmless.
-- touches  INDEX<tenant>, JOB<m>, INPUT<m>, OUTPUT<m>, READY with TURN and BELL, DELAYED (looked at), LEASES, QUARANTINE, STATS
-- ARGV     tenant, first rank, how many, ttl s
-- reply    {next rank or 0 at the end, forgotten, mended}
local index, first, limit, ttl = INDEX .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = now_ms()
local members = redis.call('ZRANGE', index, first, first + limit - 1)
local forgotten, mended = 0, 0

local function mend(member, fields)
  local state, lease = fields[1], member .. '#' .. fields[2]
  if is_terminal(state) then
    if redis.call('TTL', JOB .. member) ~= -1 then return 0 end
    finish(member, state, now, ttl)
    redis.call('EXPIRE', OUTPUT .. member, ttl)
    return 1
  end
  if redis.call('ZSCORE', LEASES, lease) then return 0 end
  if state ~= 'queued' then
    redis.call('ZADD', LEASES, now, lease) -- `reap` takes it from here
    return 1
  end
  local group = fields[3] .. ':' .. fields[4]
  if redis.call('ZSCORE', READY .. group .. ':' .. ARGV[1], member) then return 0 end
  if redis.call('ZSCORE', DELAYED, member) then return 0 end
  redis.call('HDEL', JOB .. member, 'w', 'l')
  redis.call('ZADD', GROUPS, 'NX', now, group)
  enter_ready(group, member, fields[5])
  return 1
end

for _, member in ipairs(members) do
  local fields, broken = read(member, 's', 'f', 'm', 't', 'z')
  if fields then
    mended = mended + mend(member, fields)
  else
    if broken then quarantine(member, now) end
    redis.call('DEL', INPUT .. member, OUTPUT .. member)
    redis.call('ZREM', index, member)
    forgotten = forgotten + 1
  end
end
if mended > 0 then redis.call('HINCRBY', STATS, 'mended', mended) end
return {#members < limit and 0 or first + limit - forgotten, forgotten, mended}
