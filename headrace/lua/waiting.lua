#!lua flags=no-writes
-- waiting: how many jobs wait in a queue, and which they are: what is ready, and what of a stretch of DELAYED is for it.
-- touches  GROUPS, TURN<group>, READY<group>:<tenant>, DELAYED, JOB<m> (all read only)
-- ARGV     queue (name@version:tier, also for what has outgrown a size), most jobs to name, first place of the stretch, its
--          length; what is ready is looked at with the first stretch
-- reply    {how many, 1 if DELAYED goes on behind the stretch, m*}
-- Over at most 10000 tenants. What lies at a key and is none of ours counts as nothing.
local read = reader('s', 'w', 'm', 't')
local queue, most, first, length = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local reply = {0, 0}

local function look_at(ready)
  local count = redis.pcall('ZCARD', ready)
  if type(count) ~= 'number' then return end
  reply[1] = reply[1] + count
  local room = most - (#reply - 2)
  if room > 0 then
    for _, member in ipairs(redis.call('ZRANGE', ready, 0, room - 1)) do reply[#reply + 1] = member end
  end
end

if first == 0 then
  for _, group in ipairs(redis.call('ZRANGE', GROUPS, 0, -1)) do
    local tenants = counted_in(group) == queue and redis.pcall('ZRANGE', TURN .. group, 0, 9999) or {}
    for _, tenant in ipairs(tenants) do look_at(READY .. group .. ':' .. tenant) end
  end
end

for _, member in ipairs(redis.call('ZRANGE', DELAYED, first, first + length - 1)) do
  local fields = read(member)
  if fields and fields[1] == 'queued' and not fields[2] and group_of(fields[3], fields[4]) == queue then
    reply[1] = reply[1] + 1
    if #reply - 2 < most then reply[#reply + 1] = member end
  end
end
if redis.call('ZCARD', DELAYED) > first + length then reply[2] = 1 end
return reply
