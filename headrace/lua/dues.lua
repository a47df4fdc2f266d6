#!lua flags=no-writes
-- dues: how much of what waits is due soon, by group. The time to come is looked at in stretches; where one has more deadlines
-- than are looked at, those stand for all of it.
-- touches  DEADLINES, JOB<m> (read only)
-- ARGV     most jobs to look at in each stretch, ms from now until the end of each, ascending
-- reply    (group, jobs, ms until they are due on average)*
local read = reader('s', 'w', 'm', 't', 'B')
local now, from, reply = now_ms(), 0, {}
for i = 2, #ARGV do
  local first, last = '(' .. string.format('%.0f', now + from), string.format('%.0f', now + ARGV[i])
  local found, seen = redis.call('ZRANGE', DEADLINES, first, last, 'BYSCORE', 'LIMIT', 0, ARGV[1], 'WITHSCORES'), {}
  for k = 1, #found, 2 do
    local fields = read(found[k])
    if fields and fields[1] == 'queued' and not fields[2] then
      local group = group_of(fields[3], fields[4], fields[5])
      local its = seen[group] or {0, 0}
      seen[group] = {its[1] + 1, its[2] + found[k + 1] - now}
    end
  end
  local times = #found > 0 and redis.call('ZCOUNT', DEADLINES, first, last) / (#found / 2)
  for group, its in pairs(seen) do
    reply[#reply + 1] = group
    reply[#reply + 1] = math.floor(its[1] * times + 0.5)
    reply[#reply + 1] = math.floor(its[2] / its[1] + 0.5)
  end
  from = ARGV[i]
end
return reply
