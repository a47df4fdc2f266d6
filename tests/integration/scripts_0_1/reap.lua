#!lua flags=allow-oom
local P = KEYS[1]
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- A fence no server hands out twice, also one that came back from an older file: microseconds, and always rising.
local function next_fence(fence, now_us)
  return string.format('%.0f', math.max(tonumber(fence) + 1, now_us))
end

local function tenant_of(member)
  return string.match(member, '^(.-)/')
end

-- The states, and which of them are ends.
local ENDED = {queued = false, running = false, canceling = false,
  succeeded = true, failed = true, canceled = true, expired = true}
local NUMBER = {f = true, a = true, n = true, z = true, q = true, o = true, b = true, d = true, y = true}
local OPTIONAL = {w = true, r = true, o = true, b = true, d = true, y = true, h = true}

-- A function that reads these fields of records, the state first: empty ones as false; or nil and whether the record is
-- broken rather than gone. What is known of the fields is looked up once a script, not once a job.
local function reader(...)
  local names, count, number, optional = {...}, select('#', ...), {}, {}
  for i = 1, count do
    number[i], optional[i] = NUMBER[names[i]], OPTIONAL[names[i]]
  end
  return function(member)
    local fields = redis.pcall('HMGET', P .. 'j:' .. member, unpack(names))
    if fields.err then return nil, true end
    local sound, found = ENDED[fields[1]] ~= nil, false
    for i = 1, count do
      local value = fields[i]
      if value and value ~= '' then
        found = true
        sound = sound and (not number[i] or tonumber(value))
      else
        fields[i] = false
        sound = sound and optional[i]
      end
    end
    if sound then return fields end
    return nil, found
  end
end

local function quarantine(member, now)
  local added = redis.call('ZADD', P .. 'quarantine', 'NX', now, member)
  if added == 1 then redis.call('HINCRBY', P .. 'stats', 'quarantined', 1) end
end

-- When a job expires: at its deadline, or at its latest start if that is earlier; nil if it never does.
local function enter_ready(group, member, score)
  local tenant = tenant_of(member)
  if not redis.call('ZSCORE', P .. 't:' .. group, tenant) then
    local first = redis.call('ZRANGE', P .. 't:' .. group, 0, 0, 'WITHSCORES')
    redis.call('XADD', P .. 'b:' .. group, 'MAXLEN', 1, '*', 'r', 1)
    redis.call('ZADD', P .. 't:' .. group, first[2] or 0, tenant)
  end
  redis.call('ZADD', P .. 'r:' .. group .. ':' .. tenant, score, member)
end

local function say(words)
  if #words > 0 then
    redis.call('XADD', P .. 'events', 'MAXLEN', '~', 1000, '*', 'jobs', table.concat(words, ' '))
  end
end

-- A failed job keeps its input for whoever looks into it. A record's time to live comes last: `sweep` looks after those
-- that have none.
local function let_go(member, state, ttl)
  if state == 'failed' then
    redis.call('EXPIRE', P .. 'i:' .. member, ttl)
  else
    redis.call('DEL', P .. 'i:' .. member)
  end
  redis.call('EXPIRE', P .. 'j:' .. member, ttl)
end

-- A job whose end somebody is to be told of (hook, its field h) stays until that is done, which sets the usual time to
-- live (`settle_deliveries`), or until this is over, if no courier ever comes.
local HOLD_S = 4 * 86400

local function kept_s(ttl, hook)
  return hook and ttl + HOLD_S or ttl
end

-- The row that a courier works from comes before the state, so that no end goes untold; a row whose job has not ended is
-- dropped by `claim_deliveries`. One ring a call is enough.
local has_rung = false
local function post(member, now)
  if not has_rung then redis.call('XADD', P .. 'b:@couriers', 'MAXLEN', 1, '*', 'r', 1) end
  has_rung = true
  redis.call('ZADD', P .. 'outbox', now, member .. ':1')
end

-- The last change of a record.
local function finish(member, state, now, ttl, hook, ...)
  if hook then post(member, now) end
  redis.call('HSET', P .. 'j:' .. member, 's', state, 'e', now, ...)
  let_go(member, state, kept_s(ttl, hook))
end

-- Variadic commands in pieces: Lua's stack holds no more than some thousands.
-- reap: take jobs back whose lease ran out: a new fence at once, so that the silent worker's result will be refused, then
-- the old place in the queue, or failed if no attempt is left. A job that was leased but never begun is charged nothing.
-- touches  P .. 'leases', P .. 'j:'<m>, P .. 'i:'<m>, P .. 'o:'<m> (error document), P .. 'r:' with P .. 't:' and P .. 'b:', P .. 'deadlines', P .. 'events', P .. 'stats',
--          P .. 'outbox' with P .. 'b:@couriers'
-- ARGV     at most, ttl s
-- reply    {requeued, ended}
local read = reader('s', 'f', 'a', 'n', 'w', 'm', 't', 'z', 'h')
local ttl = ARGV[2]
local now, now_us = now_ms()
local requeued, ended, words = 0, 0, {}
for _, lease in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local member, fence = string.match(lease, '^(.*)#(%d+)$')
  local fields, broken
  if member then fields, broken = read(member) end
  if broken then quarantine(member, now) end
  local held = fields and fields[2] == fence and (fields[5] or fields[1] ~= 'queued')
  local state = held and fields[1]
  if state == 'canceling' then
    finish(member, 'canceled', now, ttl, fields[9])
    redis.call('ZREM', P .. 'deadlines', member)
    words[#words + 1] = member .. ' canceled'
    ended = ended + 1
  elseif state == 'running' and tonumber(fields[3]) >= tonumber(fields[4]) then
    redis.call('SET', P .. 'o:' .. member,
      '{"cause":"worker_lost","detail":"its worker was lost during the last attempt","retryable":true}', 'EX',
      kept_s(ttl, fields[9]))
    finish(member, 'failed', now, ttl, fields[9], 'c', 'worker_lost', 'f', next_fence(fence, now_us))
    redis.call('ZREM', P .. 'deadlines', member)
    redis.call('HINCRBY', P .. 'stats', 'dead', 1)
    words[#words + 1] = member .. ' failed'
    ended = ended + 1
  elseif state == 'running' or state == 'queued' then
    enter_ready(fields[6] .. ':' .. fields[7], member, fields[8])
    redis.call('HSET', P .. 'j:' .. member, 's', 'queued', 'f', next_fence(fence, now_us), 'r', 'worker_lost', 'w', '', 'l', '')
    requeued = requeued + 1
  end
  redis.call('ZREM', P .. 'leases', lease)
end
say(words)
if requeued > 0 then redis.call('HINCRBY', P .. 'stats', 'rescued', requeued) end
return {requeued, ended}
