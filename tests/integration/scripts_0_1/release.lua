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

local function enter_ready(group, member, score)
  local tenant = tenant_of(member)
  if not redis.call('ZSCORE', P .. 't:' .. group, tenant) then
    local first = redis.call('ZRANGE', P .. 't:' .. group, 0, 0, 'WITHSCORES')
    redis.call('XADD', P .. 'b:' .. group, 'MAXLEN', 1, '*', 'r', 1)
    redis.call('ZADD', P .. 't:' .. group, first[2] or 0, tenant)
  end
  redis.call('ZADD', P .. 'r:' .. group .. ':' .. tenant, score, member)
end

-- release: give held jobs back to their old places, charging nothing (shutdown, preemption). The fence changes, so whatever
-- the giver still sends is refused.
-- touches  P .. 'j:'<m> (state, fence, worker), P .. 'r:', P .. 't:', P .. 'b:', P .. 'leases'
-- ARGV     (member, fence)*
-- reply    how many went back
local read = reader('s', 'f', 'a', 'w', 'm', 't', 'z')
local _, now_us = now_ms()
local released = 0
for i = 1, #ARGV, 2 do
  local member, fence = ARGV[i], ARGV[i + 1]
  local fields = read(member)
  if fields and fields[2] == fence and fields[4] and (fields[1] == 'queued' or fields[1] == 'running') then
    local attempts = fields[1] == 'running' and fields[3] - 1 or fields[3]
    enter_ready(fields[5] .. ':' .. fields[6], member, fields[7])
    redis.call('HSET', P .. 'j:' .. member, 's', 'queued', 'f', next_fence(fence, now_us), 'a', attempts, 'w', '', 'l', '')
    redis.call('ZREM', P .. 'leases', member .. '#' .. fence)
    released = released + 1
  end
end
return released
