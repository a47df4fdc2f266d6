#!lua
-- submit: accept one job: record, input, queue and bell, under a cap and an idempotency key.
-- touches  JOB<m> hash (created), INPUT<m> string, INDEX<tenant> zset m by arrival, TENANTS set, GROUPS zset,
--          IDEM string "m|request hash", DEADLINES zset m by expiry, and either
--          READY<group>:<tenant> zset m by score with TURN<group> and BELL<group>, or DELAYED zset m by due time
-- ARGV     member, tenant, group, model@version, tier, offset ms, cap, input, attempts allowed,
--          not before ms, start by ms, deadline ms (0 = none), idempotency key or '', request hash, its ttl s
-- reply    {accepted | replayed | mismatch | full, member or '', depth before}
-- Refused before it begins when memory is full. The index comes first: whatever write fails after it, no 202 was sent, and
-- `sweep` finds what is there by the index and either queues or removes it.
local member, tenant, group, ref, tier = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local offset, cap, max_attempts = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[9]
local not_before, start_by, deadline = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local idem, request = ARGV[13], ARGV[14]
local ready = READY .. group .. ':' .. tenant
local now = now_ms()

if idem ~= '' then
  local earlier = redis.call('GET', idem)
  if earlier then
    local known, hash = string.match(earlier, '^(.-)|(.*)$')
    if hash ~= request then return {'mismatch', '', 0} end
    return {'replayed', known, 0}
  end
end
local depth = redis.call('ZCARD', ready)
-- The same submission again, after its answer was lost.
if redis.call('EXISTS', JOB .. member) == 1 then return {'accepted', member, depth} end
if depth >= cap then return {'full', '', depth} end
if not_before > now and redis.call('ZCARD', DELAYED) >= cap then return {'full', '', cap} end

local arrival = math.max(now, not_before)
local score = arrival + offset
-- A deadline moves a job forward within its tier, never into the one above.
if deadline > 0 then score = math.min(score, math.max(deadline, arrival)) end

redis.call('ZADD', INDEX .. tenant, now, member)
redis.call('SET', INPUT .. member, ARGV[8])
redis.call('HSET', JOB .. member, 'v', 1, 's', 'queued', 'f', 0, 'a', 0, 'n', max_attempts,
  'm', ref, 't', tier, 'z', score, 'q', now)
if deadline > 0 then redis.call('HSET', JOB .. member, 'd', deadline) end
if start_by > 0 then redis.call('HSET', JOB .. member, 'y', start_by) end
if not_before > now then redis.call('HSET', JOB .. member, 'r', 'scheduled') end
if depth == 0 then
  redis.call('SADD', TENANTS, tenant)
  redis.call('ZADD', GROUPS, now, group)
end
if idem ~= '' then redis.call('SET', idem, member .. '|' .. request, 'EX', ARGV[15]) end
if deadline > 0 or start_by > 0 then
  local first = deadline
  if deadline == 0 or (start_by > 0 and start_by < deadline) then first = start_by end
  redis.call('ZADD', DEADLINES, first, member)
end
if not_before > now then
  redis.call('ZADD', DELAYED, not_before, member)
else
  enter_ready(group, member, score)
end
return {'accepted', member, depth}
