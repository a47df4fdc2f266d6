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
local function call_in_pieces(command, key, values)
  for k = 1, #values, 2000 do
    redis.call(command, key, unpack(values, k, math.min(k + 1999, #values)))
  end
end

-- claim: lease up to n ready jobs to one worker, in the order of service: first as many urgent ones as have a lane of their
-- own, then tiers merged by score; within a group the tenant that was served least, its oldest job first.
-- touches  P .. 't:'<group> zset tenant by virtual time, P .. 'r:'<group>:<tenant> zset (removed from), P .. 'leases' zset "m#fence" by
--          expiry ms, P .. 'j:'<m> (fence, worker, claimed), P .. 'i:'<m> (read), P .. 'delayed' (looked at when nothing is ready),
--          P .. 'quarantine' zset of broken records
-- ARGV     worker, most jobs, of these kept for priority, most bytes, lease ms, group…
-- reply    {groups that still hold jobs, ms until a delayed job is due (0 = none), (m, fence, attempts, allowed, group
--          index from 0, input)*}
-- Looks first, leases next, removes from the ready set last: whatever stops it between two writes, a job stays ready or
-- is leased, and a lease that nobody got runs out.
local read = reader('s', 'f', 'a', 'n')
local worker, limit, lane, room, lease_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now, now_us = now_ms()

-- A queue is one tenant's ready set in one group; its heads are read once, as many as could be taken.
local function open_queue(group, tenant, vtime)
  local heads = redis.pcall('ZRANGE', P .. 'r:' .. group .. ':' .. tenant, 0, limit - 1, 'WITHSCORES')
  local broken = heads.err ~= nil
  return {tenant = tenant, vtime = tonumber(vtime), heads = broken and {} or heads, broken = broken, at = 1, taken = {}}
end

local sources = {}
for i = 6, #ARGV do
  local group, queues = ARGV[i], {}
  local turns = redis.pcall('ZRANGE', P .. 't:' .. group, 0, limit - 1, 'WITHSCORES')
  if turns.err then turns = {} end
  for k = 1, #turns, 2 do queues[#queues + 1] = open_queue(group, turns[k], turns[k + 1]) end
  if #queues > 0 then sources[#sources + 1] = {group = group, index = i - 6, queues = queues} end
end

-- The queue whose turn it is in a group: least served among those that still have heads.
local function in_turn(source)
  local queues, best = source.queues, nil
  if #queues == 1 then return queues[1].heads[queues[1].at] and queues[1] end
  for _, queue in ipairs(queues) do
    if queue.heads[queue.at] and (not best or queue.vtime < best.vtime) then best = queue end
  end
  return best
end

local function first_of(some)
  if #some == 1 then return in_turn(some[1]), some[1] end
  local best, best_source, best_score
  for _, source in ipairs(some) do
    local queue = in_turn(source)
    if queue then
      local score = tonumber(queue.heads[queue.at + 1])
      if not best or score < best_score then best, best_source, best_score = queue, source, score end
    end
  end
  return best, best_source
end

local urgent = {}
for _, source in ipairs(sources) do
  if string.find(source.group, ':priority$') then urgent[#urgent + 1] = source end
end
local function next_job(count)
  if count < lane and #urgent > 0 then
    local queue, source = first_of(urgent)
    if queue then return queue, source end
  end
  return first_of(sources)
end

local chosen, bytes = {}, 0
while #chosen < limit do
  local queue, source = next_job(#chosen)
  if not queue then break end
  local member = queue.heads[queue.at]
  local fields, broken = read(member)
  local waits = fields and fields[1] == 'queued'
  local input = waits and redis.pcall('GET', P .. 'i:' .. member)
  if type(input) == 'table' then input = false end -- an error: not a string
  if input and #chosen > 0 and bytes + #input > room then break end
  queue.at = queue.at + 2
  queue.taken[#queue.taken + 1] = member
  if input then
    queue.vtime = queue.vtime + 1
    bytes = bytes + #input
    chosen[#chosen + 1] = {member, next_fence(fields[2], now_us), fields[3], fields[4], source.index, input}
  elseif broken or waits then
    quarantine(member, now)
  end
end

local reply, leases = {0, 0}, {}
for _, job in ipairs(chosen) do
  redis.call('HSET', P .. 'j:' .. job[1], 'f', job[2], 'w', worker, 'l', now)
  leases[#leases + 1] = now + lease_ms
  leases[#leases + 1] = job[1] .. '#' .. job[2]
  local n = #reply
  reply[n + 1] = job[1]
  reply[n + 2] = tonumber(job[2])
  reply[n + 3] = tonumber(job[3])
  reply[n + 4] = tonumber(job[4])
  reply[n + 5] = job[5]
  reply[n + 6] = job[6]
end
call_in_pieces('ZADD', P .. 'leases', leases)
for _, source in ipairs(sources) do
  for _, queue in ipairs(source.queues) do
    local ready = P .. 'r:' .. source.group .. ':' .. queue.tenant
    if #queue.taken > 0 then call_in_pieces('ZREM', ready, queue.taken) end
    if queue.broken or redis.call('EXISTS', ready) == 0 then
      redis.call('ZREM', P .. 't:' .. source.group, queue.tenant)
    elseif #queue.taken > 0 then
      redis.call('ZADD', P .. 't:' .. source.group, 'XX', queue.vtime, queue.tenant)
    end
  end
  if redis.call('EXISTS', P .. 't:' .. source.group) == 1 then reply[1] = reply[1] + 1 end
end
if #chosen == 0 then
  local due = redis.call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')
  -- Not sooner than a little later: what is due already waits for `promote`, which rings.
  if due[2] then reply[2] = math.max(100, tonumber(due[2]) - now) end
end
return reply
