#!lua flags=allow-oom
-- Takes the lead if nobody has it, or keeps it.
-- KEYS[1]  string "scheduler#fence": who leads; gone when that one is silent
-- ARGV[1]  counter: the last fence that was given
-- ARGV[2]  scheduler   ARGV[3]  milliseconds until a silent leader loses the lead
-- Answers the fence (0 if another one leads) and who leads.
-- Every leader's mark runs out; one that does not, or is none, was written by somebody else and means nothing.
local current = redis.call('GET', KEYS[1])
local holder, fence = string.match(current or '', '^(.*)#(%d+)$')
if holder and redis.call('PTTL', KEYS[1]) > 0 then
  if holder ~= ARGV[2] then return {0, holder} end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {tonumber(fence), holder}
end
-- Never below the clock: a server restored from an older file must not give a fence twice.
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', ARGV[1]) or '0') or 0
if last > 2 ^ 53 then last = 0 end
local fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', ARGV[1], fence)
redis.call('SET', KEYS[1], ARGV[2] .. '#' .. fence, 'PX', ARGV[3])
return {tonumber(fence), ARGV[2]}
