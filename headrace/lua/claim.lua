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
--          (place, how far its pass was)*, (place, causes for which its attempts may be repeated)*, (place, 1)* of those that
--          nobody else may be in a pass with and (place, seed)*, likewise,
--          (m, fence, attempts, allowed, group index from 0, input)*}
-- Notes first who has a job, leases next, removes from the ready set last: whatever stops it between two writes, a job stays
-- ready or is leased, and a lease that nobody got runs out.
-- Plain jobs (`submit`), which are nearly all, are taken straight; whatever is not as usual goes the long way.
local ARGV, call, pcall = ARGV, redis.call, redis.pcall
local worker, limit, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ahead, share, lane = tonumber(ARGV[4]), tonumber(ARGV[5]), 0
local room, lease_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
local now, now_us = now_ms()
-- What is the same for all jobs is made text once. A plain job was never claimed, so any fence will do that is new.
local now_text, expires = string.format('%.0f', now), string.format('%.0f', now + lease_ms)
local new_fence = string.format('%.0f', now_us)
local new_fence_told = tonumber(new_fence)

-- Mostly none of these is there, which one look tells.
local is_ruled = call('EXISTS', RUNNING_CAPS, PAUSED, WEIGHTS) > 0
local sources, step, met, is_held_back = {}, 1, {}, false
local count, bytes, leases, held = 0, 0, {}, {}
local NONE = {}
local reply = {0, 0, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE}

-- Lists a job for the reply, and what is leased of it.
local function take(queue, source, member, fence, attempts, allowed, input)
  local n = 6 * count + 10
  count, bytes = count + 1, bytes + #input
  queue.vtime = queue.vtime + queue.price
  leases[2 * count - 1], leases[2 * count] = expires, member .. '#' .. fence
  reply[n + 1], reply[n + 2], reply[n + 3] = member, fence == new_fence and new_fence_told or tonumber(fence), attempts
  reply[n + 4], reply[n + 5], reply[n + 6] = allowed, source.index, input
end

local function go_long()
  --> long way
end
local long
local function long_way()
  long = long or go_long()
  return long
end

for i = 9, #ARGV do
  local group, turns, full = ARGV[i], nil, 0
  if is_ruled then
    turns, full = long_way().turns_of(i)
  else
    turns = pcall('ZRANGE', TURN .. group, 0, most - 1, 'WITHSCORES')
  end
  -- One tenant waits, and there was room to see a second.
  local is_alone = full == 0 and #turns == 2 and most > 1
  if turns[1] then
    sources[#sources + 1] = {group = group, index = i - 9, turns = turns, full = full, is_alone = is_alone, queues = {}}
  end
end

if most > limit then
  local waiting = 0
  for _, source in ipairs(sources) do
    for k = 1, #source.turns, 2 do
      local ready = pcall('ZCARD', READY .. source.group .. ':' .. source.turns[k])
      if type(ready) == 'number' then waiting = waiting + ready end
    end
  end
  limit = math.min(most, limit + math.max(0, math.floor((waiting - limit) / share) - ahead))
end
-- Not even a long window may keep a tenant waiting that has just come to others.
for _, source in ipairs(sources) do
  if #source.turns > 2 then limit = math.max(limit, math.min(1, most)) end
end

-- A queue is one tenant's ready set in one group; its heads are read once, as many as could be taken. Where several groups
-- wait, each head is followed by its score.
local scores = {}
if #sources > 1 then step, scores = 2, {'WITHSCORES'} end
for _, source in ipairs(sources) do
  for k = 1, #source.turns, 2 do
    local tenant = source.turns[k]
    local heads = pcall('ZRANGE', READY .. source.group .. ':' .. tenant, 0, math.max(0, limit - 1), unpack(scores))
    source.queues[(k + 1) / 2] = {tenant = tenant, vtime = tonumber(source.turns[k + 1]), broken = heads.err ~= nil,
      heads = heads.err and {} or heads, at = 1, unread = 1, price = 0, price_text = '0', plain_text = '+0'}
  end
end

-- What a tenant is charged for a job until `commit` knows better: what its jobs took lately, else those of the group. Nothing
-- where nobody else waits and it will wait no more, since what it had is forgotten then; if it is back when its jobs end, and
-- others are there, `commit` charges it what they took.
for _, source in ipairs(sources) do
  local queues, names, tenants = source.queues, {'run_ms', 'ended'}, {}
  if not source.is_alone or #queues[1].heads >= step * limit then
    for k, queue in ipairs(queues) do names[k + 2], tenants[k] = 'ms:' .. queue.tenant, queue.tenant end
    local counts, weights = pcall('HMGET', QUEUE .. counted_in(source.group), unpack(names)), {}
    if is_ruled then weights = pcall('HMGET', WEIGHTS, unpack(tenants)) end
    local run_ms, ended = tonumber(counts[1] or nil), tonumber(counts[2] or nil)
    local mean_ms = run_ms and ended and ended > 0 and run_ms / ended
    for k, queue in ipairs(queues) do
      queue.price = virtual_ms(tonumber(counts[k + 2] or nil) or mean_ms, weights[k])
      queue.price_text = tostring(queue.price)
      queue.plain_text = '+' .. queue.price_text
    end
  end
end

-- Inputs are read a few at a time, since they may be more bytes than there is room for; then as many as should fit by those
-- before. What is no string is none.
local function read_inputs(queue)
  local names, heads, at, at_once = {}, queue.heads, queue.at, 8
  if count > 0 then at_once = math.max(1, math.min(64, math.floor((room - bytes) / (bytes / count + 1)))) end
  for k = at, math.min(at + step * at_once, #heads + 1) - 1, step do names[#names + 1] = INPUT .. heads[k] end
  queue.inputs, queue.first, queue.unread = call('MGET', unpack(names)), at, at + step * #names
end

-- Jobs that came by one call share a score, and are mostly the same but for their names: one whose record is found to be what that
-- of the job before it was, down to the last byte (`look`), gets a copy of what became of that (`mould`). To look at fields and
-- change them costs twice as much.
local function read_job(queue, key)
  if queue.mould and call('DUMP', key) == queue.look then return queue.allowed end
  local fields = pcall('HMGET', key, 's', 'f', 'n', 'a', 'z')
  local allowed = fields[2] == '00' and fields[1] == 'queued' and fields[4] == '0' and tonumber(fields[3] or nil)
  allowed = allowed and allowed < 1e16 and allowed
  queue.look = allowed and fields[5] == queue.score and call('DUMP', key)
  queue.mould, queue.allowed, queue.score = nil, allowed, fields[5]
  return allowed
end

local is_single = #sources == 1 and #sources[1].queues == 1 and not is_ruled
local queue, source = nil, sources[1]
if is_single then queue = source.queues[1] elseif source then lane = math.floor(limit / ARGV[6]) end
while source and count < limit do
  if not is_single then queue, source = long_way().next_job() end
  local member = queue and queue.heads[queue.at]
  if not member then break end
  if queue.at >= queue.unread then read_inputs(queue) end
  local input, key = queue.inputs[(queue.at - queue.first) / step + 1], JOB .. member
  local allowed = not met[member] and read_job(queue, key)
  if input and allowed then
    if count > 0 and bytes + #input > room then break end
    queue.at = queue.at + step
    if not is_single then long.note(queue, member, new_fence) end
    if queue.mould then
      call('COPY', queue.mould, key, 'REPLACE')
    else
      call('HSET', key, 'f', new_fence, 'w', worker, 'l', now_text, 'j', queue.plain_text)
      queue.mould = queue.look and key
    end
    take(queue, source, member, new_fence, 0, allowed, input)
  elseif long_way().take_other(queue, source, member, input) then
    break
  end
end

-- Listed before they are leased, so that no lease is overlooked.
for tenant, listed in pairs(held) do
  for k = 1, #listed, 2000 do pcall('SADD', HELD .. tenant, unpack(listed, k, math.min(k + 1999, #listed))) end
  call('EXPIRE', HELD .. tenant, 86400)
end
call_in_pieces('ZADD', LEASES, leases)
for _, source in ipairs(sources) do
  for _, queue in ipairs(source.queues) do
    local ready = READY .. source.group .. ':' .. queue.tenant
    -- What was looked at is what comes first.
    local seen = (queue.at - 1) / step
    if seen > 0 then call('ZREMRANGEBYRANK', ready, 0, seen - 1) end
    -- If fewer heads were there than were asked for, and all were taken, nothing is left.
    local is_drained = #queue.heads < step * limit and not queue.heads[queue.at]
    local is_empty = queue.broken or is_drained or call('EXISTS', ready) == 0
    if not is_empty and is_ruled and long.is_full(queue.tenant) then source.full, is_held_back = source.full + 1, true end
    if is_empty then
      leave_turn(source.group, queue.tenant, queue.vtime, source.is_alone)
      source.is_over = source.is_alone
    elseif seen > 0 then
      call('ZADD', TURN .. source.group, 'XX', queue.vtime, queue.tenant)
    end
  end
  if not source.is_over and call('ZCARD', TURN .. source.group) > source.full then reply[1] = reply[1] + 1 end
end
if count == 0 then
  local due = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
  -- Not sooner than a little later: what is due already waits for `promote`, which rings.
  if due[2] then reply[2] = math.max(100, tonumber(due[2]) - now) end
end
-- Nobody rings when a tenant may have more again, so its jobs are looked for soon.
if is_held_back then reply[2] = 50 end
return reply
