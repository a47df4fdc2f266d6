#!lua flags=allow-oom
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

local function leave_ready(group, member)
  local tenant = tenant_of(member)
  local ready = P .. 'r:' .. group .. ':' .. tenant
  redis.call('ZREM', ready, member)
  if redis.call('EXISTS', ready) == 0 then redis.call('ZREM', P .. 't:' .. group, tenant) end
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
-- cancel: at once if the job is not in a forward pass, else its result is discarded when the pass ends.
-- touches  P .. 'j:'<m>, P .. 'i:'<m>, P .. 'r:' with P .. 't:', P .. 'delayed', P .. 'deadlines', P .. 'leases', P .. 'events', P .. 'outbox' with P .. 'b:@couriers'
-- ARGV     member, ttl s
-- reply    the state now, or false if there is no such job
local read = reader('s', 'f', 'm', 't', 'h')
local member, ttl, now = ARGV[1], ARGV[2], now_ms()
local fields = read(member)
if not fields then return false end
if fields[1] == 'running' then
  redis.call('HSET', P .. 'j:' .. member, 's', 'canceling')
  return 'canceling'
end
if fields[1] ~= 'queued' then return fields[1] end
finish(member, 'canceled', now, ttl, fields[5])
leave_ready(fields[3] .. ':' .. fields[4], member)
redis.call('ZREM', P .. 'delayed', member)
redis.call('ZREM', P .. 'deadlines', member)
redis.call('ZREM', P .. 'leases', member .. '#' .. fields[2])
say({member, 'canceled'})
return 'canceled'
