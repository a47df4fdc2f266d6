#!lua flags=allow-oom
-- claim: lease ready jobs to one worker, in the order of service: first as many urgent ones as have a lane of their own, then
-- tiers merged by score; within a group the tenant that was served least, its oldest job first. How many: the least, if
-- they are there; beyond those, with what the worker has ahead already, no more than one in `share` of what waits, so that
-- nobody hoards the end of a backlog.
-- touches  TURN<group> zset tenant by virtual time, READY<group>:<tenant> zset (removed from), LEASES zset "m#fence" by
--          expiry ms, JOB<m> (fence, worker, claimed, charged), INPUT<m> and CHECKPOINT<m> (read), DELAYED (looked at),
--          QUEUE<group> and WEIGHTS (read), PAID<group> hash tenant to virtual time, QUARANTINE zset of broken records,
--          RUNNING_CAPS hash (read), HELD<tenant> set of m#fence, of tenants that have such a cap, PAUSED hash (read)
-- ARGV     worker, least jobs, most jobs, jobs ahead, share, lane (one place in so many is priority's), most bytes, lease ms,
--          group…
-- reply    {groups that still hold jobs, ms until a delayed job is due, or a tenant may have more again (0 = none), (place among the jobs from 1,
--          traceparent)* of those that have one, (place, workers lost with it)*, (place, ms until its deadline)*, (place, s that it may run)*
--          (place, how far its pass was)*, (place, causes for which its attempts may be repeated)* and (place, 1)* of those that
--          nobody else may be in a pass with, likewise,
--          (m, fence, attempts, allowed, group index from 0, input)*}
-- Looks first, leases next, removes from the ready set last: whatever stops it between two writes, a job stays ready or
-- is leased, and a lease that nobody got runs out.
local read = reader('s', 'f', 'a', 'n')
-- What only those have that were claimed before, of whose passes something was kept, or that ask for what few do: no plain
-- one (`submit`).
local read_rest = reader('s', 'k', 'C', 'R', 'S', 'p', 'd', 'L')
local worker, limit, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ahead, share = tonumber(ARGV[4]), tonumber(ARGV[5])
local room, lease_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
local now, now_us = now_ms()
-- What is the same for all jobs is made text once.
local now_text, expires = string.format('%.0f', now), string.format('%.0f', now + lease_ms)

-- Mostly neither is there, which one look tells.
local is_ruled = redis.call('EXISTS', RUNNING_CAPS, PAUSED) > 0
-- How many more jobs of each tenant workers may hold, where that is limited; and whether somebody waits for that alone.
local has_caps, rooms, is_held_back = is_ruled and redis.call('EXISTS', RUNNING_CAPS) == 1, {}, false

-- What is paused is as if nothing were in it: nobody comes back for it until `resume` rings.
local paused = {}
if is_ruled then
  local queues = {}
  for i = 9, #ARGV do queues[i - 8] = counted_in(ARGV[i]) end
  paused = redis.pcall('HMGET', PAUSED, unpack(queues))
end

-- The turns of tenants that may have more, as many as are needed, and how many tenants may not.
local function within_caps(turns)
  local names, kept, full = {'*'}, {}, 0
  for k = 1, #turns, 2 do names[#names + 1] = turns[k] end
  local caps = redis.pcall('HMGET', RUNNING_CAPS, unpack(names))
  for k = 1, #turns, 2 do
    local tenant, cap = turns[k], tonumber(caps[(k + 3) / 2] or caps[1] or nil)
    if cap and not rooms[tenant] then
      local held, gone = held_by(tenant)
      call_in_pieces('SREM', HELD .. tenant, gone)
      rooms[tenant] = math.max(0, cap - held)
    end
    if rooms[tenant] == 0 then
      full = full + 1
    elseif #kept < 2 * most then
      kept[#kept + 1] = tenant
      kept[#kept + 1] = turns[k + 1]
    end
  end
  return kept, full
end

local sources = {}
for i = 9, #ARGV do
  local full, turns = 0, {}
  if not paused[i - 8] then turns = redis.pcall('ZRANGE', TURN .. ARGV[i], 0, has_caps and 999 or most - 1, 'WITHSCORES') end
  if has_caps and turns[1] then turns, full = within_caps(turns) end
  is_held_back = is_held_back or full > 0
  -- One tenant waits, and there was room to see a second.
  local is_alone = full == 0 and #turns == 2 and most > 1
  if turns[1] then sources[#sources + 1] = {group = ARGV[i], index = i - 9, turns = turns, full = full, is_alone = is_alone, queues = {}} end
end

if most > limit then
  local waiting = 0
  for _, source in ipairs(sources) do
    for k = 1, #source.turns, 2 do
      local count = redis.pcall('ZCARD', READY .. source.group .. ':' .. source.turns[k])
      if type(count) == 'number' then waiting = waiting + count end
    end
  end
  limit = math.min(most, limit + math.max(0, math.floor((waiting - limit) / share) - ahead))
end
-- Not even a long window may keep a tenant waiting that has just come to others.
for _, source in ipairs(sources) do
  if #source.turns > 2 then limit = math.max(limit, math.min(1, most)) end
end
local lane = math.floor(limit / ARGV[6])

-- A queue is one tenant's ready set in one group; its heads are read once, as many as could be taken.
local function open_queue(group, tenant, vtime)
  local heads = redis.pcall('ZRANGE', READY .. group .. ':' .. tenant, 0, math.max(0, limit - 1), 'WITHSCORES')
  local broken = heads.err ~= nil
  return {tenant = tenant, vtime = tonumber(vtime), heads = broken and {} or heads, broken = broken, at = 1, unread = 1}
end

-- What each tenant is charged for a job until `commit` knows better: what its jobs took lately, else those of the group.
local function set_prices(group, queues)
  local names, tenants = {'run_ms', 'ended'}, {}
  for k, queue in ipairs(queues) do
    names[k + 2] = 'ms:' .. queue.tenant
    tenants[k] = queue.tenant
  end
  local counts, weights = redis.pcall('HMGET', QUEUE .. counted_in(group), unpack(names)), redis.pcall('HMGET', WEIGHTS, unpack(tenants))
  local run_ms, ended = tonumber(counts[1] or nil), tonumber(counts[2] or nil)
  local mean_ms = run_ms and ended and ended > 0 and run_ms / ended
  for k, queue in ipairs(queues) do
    queue.price = virtual_ms(tonumber(counts[k + 2] or nil) or mean_ms, weights[k])
    queue.price_text = tostring(queue.price)
    queue.plain_text = '+' .. queue.price_text
  end
end

for _, source in ipairs(sources) do
  local turns, queues = source.turns, source.queues
  for k = 1, #turns, 2 do queues[#queues + 1] = open_queue(source.group, turns[k], turns[k + 1]) end
  set_prices(source.group, queues)
end

local function may_go_on(queue)
  return queue.heads[queue.at] and rooms[queue.tenant] ~= 0
end

-- The queue whose turn it is in a group: least served among those that still have heads, and may have more.
local function in_turn(source)
  local queues, best = source.queues, nil
  if #queues == 1 then return may_go_on(queues[1]) and queues[1] end
  for _, queue in ipairs(queues) do
    if may_go_on(queue) and (not best or queue.vtime < best.vtime) then best = queue end
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
  if string.find(source.group, ':priority>?%d*$') then urgent[#urgent + 1] = source end
end
local function next_job(count)
  if count < lane and #urgent > 0 then
    local queue, source = first_of(urgent)
    if queue then return queue, source end
  end
  return first_of(sources)
end

-- Inputs are read a few at a time, since they may be more bytes than there is room for. What is no string is none.
local INPUTS_AT_ONCE = 8
local function input_at(queue, at)
  if at >= queue.unread then
    local names = {}
    for k = at, math.min(at + 2 * INPUTS_AT_ONCE, #queue.heads) - 1, 2 do names[#names + 1] = INPUT .. queue.heads[k] end
    queue.inputs, queue.first, queue.unread = redis.call('MGET', unpack(names)), at, at + 2 * #names
  end
  return queue.inputs[(at - queue.first) / 2 + 1]
end

local function add(told, place, value)
  if value then told[#told + 1], told[#told + 2] = place, value end
end

-- A job that changed its tier half-way stands in two queues: here it is met once.
local count, fences, prices, listed, met, bytes = 0, {}, {}, {}, {}, 0
local traces, rescues, dues, limits, kept, repeats, apart = {}, {}, {}, {}, {}, {}, {}
local reply = {0, 0, traces, rescues, dues, limits, kept, repeats, apart}
while count < limit do
  local queue, source = next_job(count)
  if not queue then break end
  local member = queue.heads[queue.at]
  local fields, broken = nil, false
  if not met[member] then fields, broken = read(member) end
  met[member] = true
  local waits = fields and fields[1] == 'queued'
  local input = waits and input_at(queue, queue.at)
  local is_plain, rest = fields and fields[2] == '00', nil
  if input and not is_plain then
    rest = read_rest(member)
    input = rest and input
  end
  local state = rest and rest[3] and redis.pcall('GET', CHECKPOINT .. member)
  if type(state) ~= 'string' then state = '' end
  if input and count > 0 and bytes + #input + #state > room then break end
  queue.at = queue.at + 2
  if input then
    queue.vtime = queue.vtime + queue.price
    bytes = bytes + #input + #state
    count = count + 1
    local fence, n = next_fence(fields[2], now_us), 6 * count + 3
    fences[count], prices[count] = fence, is_plain and queue.plain_text or queue.price_text
    reply[n + 1], reply[n + 2], reply[n + 3] = member, tonumber(fence), tonumber(fields[3])
    reply[n + 4], reply[n + 5], reply[n + 6] = tonumber(fields[4]), source.index, input
    if rooms[queue.tenant] then
      rooms[queue.tenant] = rooms[queue.tenant] - 1
      listed[queue.tenant] = listed[queue.tenant] or {}
      table.insert(listed[queue.tenant], member .. '#' .. fences[count])
    end
    if rest then
      add(traces, count, rest[6])
      add(rescues, count, rest[2] and tonumber(rest[2]))
      add(dues, count, rest[7] and rest[7] - now)
      add(limits, count, rest[8])
      add(kept, count, state ~= '' and state)
      add(repeats, count, rest[4])
      add(apart, count, rest[5] and 1)
    end
  elseif broken or waits then
    quarantine(member, now)
  end
end

local leases = {}
for k = 1, count do
  local member = reply[6 * k + 4]
  redis.call('HSET', JOB .. member, 'f', fences[k], 'w', worker, 'l', now_text, 'j', prices[k])
  leases[2 * k - 1], leases[2 * k] = expires, member .. '#' .. fences[k]
end
-- Listed before they are leased, so that no lease is overlooked.
for tenant, held in pairs(listed) do
  for k = 1, #held, 2000 do redis.pcall('SADD', HELD .. tenant, unpack(held, k, math.min(k + 1999, #held))) end
  redis.call('EXPIRE', HELD .. tenant, 86400)
end
call_in_pieces('ZADD', LEASES, leases)
for _, source in ipairs(sources) do
  for _, queue in ipairs(source.queues) do
    local ready = READY .. source.group .. ':' .. queue.tenant
    -- What was looked at is what comes first.
    local seen = (queue.at - 1) / 2
    if seen > 0 then redis.call('ZREMRANGEBYRANK', ready, 0, seen - 1) end
    -- If fewer heads were there than were asked for, and all were taken, nothing is left.
    local is_drained = #queue.heads < 2 * limit and not queue.heads[queue.at]
    local is_empty = queue.broken or is_drained or redis.call('EXISTS', ready) == 0
    if not is_empty and rooms[queue.tenant] == 0 then source.full, is_held_back = source.full + 1, true end
    if is_empty then
      leave_turn(source.group, queue.tenant, queue.vtime, source.is_alone)
      source.is_over = source.is_alone
    elseif seen > 0 then
      redis.call('ZADD', TURN .. source.group, 'XX', queue.vtime, queue.tenant)
    end
  end
  if not source.is_over and redis.call('ZCARD', TURN .. source.group) > source.full then reply[1] = reply[1] + 1 end
end
if count == 0 then
  local due = redis.call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
  -- Not sooner than a little later: what is due already waits for `promote`, which rings.
  if due[2] then reply[2] = math.max(100, tonumber(due[2]) - now) end
end
-- Nobody rings when a tenant may have more again, so its jobs are looked for soon.
if is_held_back then reply[2] = 50 end
return reply
