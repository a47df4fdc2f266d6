#!lua flags=allow-oom
-- hasten: jobs that wait for machines which may be taken away, and would not end before their deadlines there, go to a tier
-- that other workers serve. Looks at a stretch of the deadlines that are near.
-- touches  DEADLINES (read), JOB<m> (tier, score, when it was moved), READY with TURN and BELL (of both groups), GROUPS,
--          QUEUE<group> hash (arrivals counted), STATS
-- ARGV     how many near deadlines to pass over, how many to look at, most to move, ms within which a deadline is near, then
--          for each group: group, tier that its jobs get, jobs that wait, ms that each before it takes, ms that it needs
--          besides, ms without which it is late anyway
-- reply    {jobs moved, near deadlines to pass over next time}
-- Only from one tier to another, never back, and in the order of service no job is put before those that come before its
-- latest start. A job enters the set it goes to before it leaves the one it comes from, as in `amend`.
local read = reader('s', 'w', 'm', 't', 'd', 'z', 'B')
local first, limit, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, routes = now_ms(), {}
for i = 5, #ARGV, 6 do
  routes[ARGV[i]] = {tier = ARGV[i + 1], waiting = tonumber(ARGV[i + 2]), each_ms = tonumber(ARGV[i + 3]),
    needs_ms = tonumber(ARGV[i + 4]), least_ms = tonumber(ARGV[i + 5])}
end

-- How long it may be until a job has ended where it is; nil if it does not wait there.
local function risk_ms(member, group, route)
  local rank = redis.call('ZRANK', READY .. group .. ':' .. tenant_of(member), member)
  if not rank then return nil end
  local ahead = math.min(rank * redis.call('ZCARD', TURN .. group), route.waiting)
  return ahead * route.each_ms + route.needs_ms
end

local function move(member, fields, before, route)
  local after = group_of(fields[3], route.tier, fields[7])
  local score = string.format('%.3f', math.min(fields[6], math.max(now, fields[5] - route.least_ms)))
  redis.call('ZADD', GROUPS, now, after)
  redis.pcall('HINCRBY', QUEUE .. after, 'arrived', 1)
  enter_ready(after, member, score)
  redis.call('HSET', JOB .. member, 't', route.tier, 'z', score, 'H', now)
  leave_ready(before, member)
end

local due = redis.call('ZRANGEBYSCORE', DEADLINES, now, now + ARGV[4], 'LIMIT', first, limit)
local looked, moved = 0, 0
for _, member in ipairs(due) do
  if moved >= most then break end
  looked = looked + 1
  local fields = read(member)
  local waits = fields and fields[1] == 'queued' and not fields[2] and fields[5]
  local group = waits and group_of(fields[3], fields[4], fields[7])
  local route = group and routes[group]
  local left = route and fields[5] - now
  local risk = route and left >= route.least_ms and risk_ms(member, group, route)
  if risk and left < risk then
    move(member, fields, group, route)
    moved = moved + 1
  end
end
if moved > 0 then redis.pcall('HINCRBY', STATS, 'hastened', moved) end
return {moved, looked < limit and looked == #due and 0 or first + looked}
