#!lua
-- submit: accept one job: record, input, queue and bell, under a cap and an idempotency key.
-- touches  JOB<m> hash (created), INPUT<m> string, INDEX<tenant> zset m by arrival, TENANTS set, GROUPS zset,
--          QUEUE<group> hash (arrivals counted),
--          IDEM string "m|request hash", DEADLINES zset m by expiry, HOOK<m> string, and either
--          READY<group>:<tenant> zset m by score with TURN<group> and BELL<group>, or DELAYED zset m by due time
-- ARGV     member, tenant, group, model@version, tier, offset ms, the next higher tier's, cap, input, attempts allowed,
--          not before ms, start by ms, deadline ms (0 = none), idempotency key or '', request hash, its ttl s,
--          URL that is told of its end or '', traceparent or ''
-- reply    {accepted | replayed | mismatch | full, member or '', depth before, ms now}
-- Refused before it begins when memory is full. The record comes after all that leads to it: before that write there is no
-- job, only entries that whoever meets them drops, the index last (`sweep`); after it the job is whole. The idempotency key
-- follows, so that it never leads to nothing.
local member, tenant, group, ref, tier = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local offset, floor, cap = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local input, max_attempts = ARGV[9], ARGV[10]
local not_before, start_by, deadline = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local idem, request, idem_ttl, hook, trace = ARGV[14], ARGV[15], ARGV[16], ARGV[17], ARGV[18]
local ready = READY .. group .. ':' .. tenant
local now = now_ms()

if idem ~= '' then
  local earlier = redis.pcall('GET', idem)
  if type(earlier) == 'string' then
    local known, hash = string.match(earlier, '^(.-)|(.*)$')
    if hash ~= request then return {'mismatch', '', 0, now} end
    return {'replayed', known, 0, now}
  end
end
local depth = redis.pcall('ZCARD', ready)
if type(depth) ~= 'number' then
  -- Somebody else's value lies there. It is set apart once tenant and group are known, whatever became of their keys.
  redis.pcall('SADD', TENANTS, tenant)
  redis.pcall('ZADD', GROUPS, now, group)
  return depth
end
local again = redis.call('EXISTS', JOB .. member) == 1 -- the same submission, sent again after its answer was lost
if not again then
  if depth >= cap then return {'full', '', depth, now} end
  if not_before > now and redis.call('ZCARD', DELAYED) >= cap then return {'full', '', cap, now} end

  local arrival = math.max(now, not_before)
  local score = arrival + offset
  -- A deadline moves a job forward within its tier, never past one that arrives now in the tier above.
  if deadline > 0 then score = math.min(score, math.max(deadline, arrival + floor)) end
  local record = {'v', 1, 's', 'queued', 'f', 0, 'a', 0, 'n', max_attempts, 'm', ref, 't', tier, 'z', score, 'q', now}
  local function set(name, value)
    record[#record + 1] = name
    record[#record + 1] = value
  end
  if deadline > 0 then set('d', deadline) end
  if start_by > 0 then set('y', start_by) end
  if not_before > now then
    set('r', 'scheduled')
    set('o', not_before)
  end
  if hook ~= '' then set('h', 1) end
  if trace ~= '' then set('p', trace) end
  local expiry = expiry_of(deadline > 0 and deadline, start_by > 0 and start_by)

  if depth == 0 then
    redis.call('SADD', TENANTS, tenant)
    redis.call('ZADD', GROUPS, now, group)
  end
  redis.pcall('HINCRBY', QUEUE .. group, 'arrived', 1)
  redis.call('ZADD', INDEX .. tenant, now, member)
  redis.call('SET', INPUT .. member, input)
  if hook ~= '' then redis.call('SET', HOOK .. member, hook) end
  if expiry then redis.call('ZADD', DEADLINES, expiry, member) end
  if not_before > now then
    redis.call('ZADD', DELAYED, not_before, member)
  else
    enter_ready(group, member, score)
  end
  redis.call('HSET', JOB .. member, unpack(record))
end
if idem ~= '' then redis.call('SET', idem, member .. '|' .. request, 'EX', idem_ttl) end
return {'accepted', member, depth, now}
