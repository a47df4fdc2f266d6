-- Shared functions, put before the body of every script. The capital names are key families: `headrace.keys` spells them.
-- A member is tenant/id; a group is name@version:tier. `held` means: a worker has it, its name is in field w.

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

-- Fields of a record, or nil and whether it is broken (no hash) rather than gone.
local function read(member, ...)
  local fields = redis.pcall('HMGET', JOB .. member, ...)
  if fields.err then return nil, true end
  if not fields[1] then return nil, false end
  return fields
end

local function quarantine(member, now)
  redis.call('ZADD', QUARANTINE, 'NX', now, member)
  redis.call('HINCRBY', STATS, 'quarantined', 1)
end

-- Into the ready set. A tenant that had nothing ready takes its turn with the least served, so idling saves nothing up,
-- and the bell rings: a worker waits at the bell only after a claim that found nothing, so no other ring is needed.
local function enter_ready(group, member, score)
  local tenant = tenant_of(member)
  local waiting = redis.call('ZSCORE', TURN .. group, tenant)
  if not waiting then
    local first = redis.call('ZRANGE', TURN .. group, 0, 0, 'WITHSCORES')
    redis.call('ZADD', TURN .. group, first[2] or 0, tenant)
  end
  redis.call('ZADD', READY .. group .. ':' .. tenant, score, member)
  if not waiting then redis.call('XADD', BELL .. group, 'MAXLEN', 1, '*', 'r', 1) end
end

local function leave_ready(group, member)
  local tenant = tenant_of(member)
  local ready = READY .. group .. ':' .. tenant
  redis.call('ZREM', ready, member)
  if redis.call('EXISTS', ready) == 0 then redis.call('ZREM', TURN .. group, tenant) end
end

local function say(words)
  if #words > 0 then
    redis.call('XADD', EVENTS, 'MAXLEN', '~', 1000, '*', 'jobs', table.concat(words, ' '))
  end
end

-- The last write of a job's life: state, end, time to live. A failed job keeps its input for whoever looks into it.
local function finish(member, state, now, ttl, ...)
  redis.call('HSET', JOB .. member, 's', state, 'e', now, ...)
  redis.call('EXPIRE', JOB .. member, ttl)
  if state == 'failed' then
    redis.call('EXPIRE', INPUT .. member, ttl)
  else
    redis.call('DEL', INPUT .. member)
  end
end

local function is_terminal(state)
  return state == 'succeeded' or state == 'failed' or state == 'canceled' or state == 'expired'
end

-- Variadic commands in pieces: Lua's stack holds no more than some thousands.
local function call_in_pieces(command, key, values)
  for k = 1, #values, 2000 do
    redis.call(command, key, unpack(values, k, math.min(k + 1999, #values)))
  end
end

