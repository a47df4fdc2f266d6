#!lua flags=no-writes
-- depths: what waits in each group, over at most 1000 tenants.
-- touches  TURN<group>, READY<group>:<tenant>, JOB<m> (all read only)
-- ARGV     group*
-- reply    (depth, age in ms of the first in order)*
local read = reader('s', 'q')
local now, reply = now_ms(), {}
for _, group in ipairs(ARGV) do
  local depth, oldest = 0, now
  for _, tenant in ipairs(redis.call('ZRANGE', TURN .. group, 0, 999)) do
    local ready = READY .. group .. ':' .. tenant
    depth = depth + redis.call('ZCARD', ready)
    local head = redis.call('ZRANGE', ready, 0, 0)[1]
    local fields = head and read(head)
    if fields then oldest = math.min(oldest, tonumber(fields[2])) end
  end
  reply[#reply + 1] = depth
  reply[#reply + 1] = now - oldest
end
return reply
