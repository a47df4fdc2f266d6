#!lua
local P = KEYS[1]
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- A fence no server hands out twice, also one that came back from an older file: microseconds, and always rising.
local function tenant_of(member)
  return string.match(member, '^(.-)/')
end

-- The states, and which of them are ends.
local function expiry_of(deadline, start_by)
  local first = math.min(tonumber(deadline or nil) or math.huge, tonumber(start_by or nil) or math.huge)
  return first < math.huge and first or nil
end

-- Into the ready set. A tenant that had nothing ready takes its turn with the least served, so idling saves nothing up,
-- and the bell rings: a worker waits at the bell only after a claim that found nothing, so no other ring is needed.
-- The bell comes first: whoever comes for nothing clears the tenant's turn away, and the next job rings again.
local function enter_ready(group, member, score)
  local tenant = tenant_of(member)
  if not redis.call('ZSCORE', P .. 't:' .. group, tenant) then
    local first = redis.call('ZRANGE', P .. 't:' .. group, 0, 0, 'WITHSCORES')
    redis.call('XADD', P .. 'b:' .. group, 'MAXLEN', 1, '*', 'r', 1)
    redis.call('ZADD', P .. 't:' .. group, first[2] or 0, tenant)
  end
  redis.call('ZADD', P .. 'r:' .. group .. ':' .. tenant, score, member)
end

-- submit: accept one job: record, input, queue and bell, under a cap and an idempotency key.
-- touches  P .. 'j:'<m> hash (created), P .. 'i:'<m> string, P .. 'a:'<tenant> zset m by arrival, P .. 'tenants' set, P .. 'groups' zset,
--          P .. 'q:'<group> hash (arrivals counted),
--          P .. 'k:' string "m|request hash", P .. 'deadlines' zset m by expiry, P .. 'h:'<m> string, and either
--          P .. 'r:'<group>:<tenant> zset m by score with P .. 't:'<group> and P .. 'b:'<group>, or P .. 'delayed' zset m by due time
-- ARGV     member, tenant, group, model@version, tier, offset ms, the next higher tier's, cap, input, attempts allowed,
--          not before ms, start by ms, deadline ms (0 = none), idempotency key or '', request hash, its ttl s,
--          URL that is told of its end or ''
-- reply    {accepted | replayed | mismatch | full, member or '', depth before, ms now}
-- Refused before it begins when memory is full. The record comes after all that leads to it: before that write there is no
-- job, only entries that whoever meets them drops, the index last (`sweep`); after it the job is whole. The idempotency key
-- follows, so that it never leads to nothing.
local member, tenant, group, ref, tier = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local offset, floor, cap = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local input, max_attempts = ARGV[9], ARGV[10]
local not_before, start_by, deadline = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local idem, request, idem_ttl, hook = ARGV[14], ARGV[15], ARGV[16], ARGV[17]
local ready = P .. 'r:' .. group .. ':' .. tenant
local now = now_ms()

if idem ~= '' then
  local earlier = redis.call('GET', idem)
  if earlier then
    local known, hash = string.match(earlier, '^(.-)|(.*)$')
    if hash ~= request then return {'mismatch', '', 0, now} end
    return {'replayed', known, 0, now}
  end
end
local depth = redis.call('ZCARD', ready)
local again = redis.call('EXISTS', P .. 'j:' .. member) == 1 -- the same submission, sent again after its answer was lost
if not again then
  if depth >= cap then return {'full', '', depth, now} end
  if not_before > now and redis.call('ZCARD', P .. 'delayed') >= cap then return {'full', '', cap, now} end

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
  local expiry = expiry_of(deadline > 0 and deadline, start_by > 0 and start_by)

  if depth == 0 then
    redis.call('SADD', P .. 'tenants', tenant)
    redis.call('ZADD', P .. 'groups', now, group)
  end
  redis.pcall('HINCRBY', P .. 'q:' .. group, 'arrived', 1)
  redis.call('ZADD', P .. 'a:' .. tenant, now, member)
  redis.call('SET', P .. 'i:' .. member, input)
  if hook ~= '' then redis.call('SET', P .. 'h:' .. member, hook) end
  if expiry then redis.call('ZADD', P .. 'deadlines', expiry, member) end
  if not_before > now then
    redis.call('ZADD', P .. 'delayed', not_before, member)
  else
    enter_ready(group, member, score)
  end
  redis.call('HSET', P .. 'j:' .. member, unpack(record))
end
if idem ~= '' then redis.call('SET', idem, member .. '|' .. request, 'EX', idem_ttl) end
return {'accepted', member, depth, now}
