#!lua flags=no-writes
-- place: how many ready jobs come before a place in a tenant's queue: its own, the share of other tenants, by turns, and
-- those of other tiers of the same model that are older for their tier.
-- touches  TURN<group>, READY<group>:<tenant>, ROUNDS and FLOWS of it (all read only)
-- ARGV     tenant, group, score of the place, member that has it or '' (jobs that came in one call share a score), fairness key
--          of which it is the next place or '', other group*
-- reply    {all, of its own tenant and group}
-- Over at most 1000 tenants. What lies at a key and is none of ours counts as nothing.
local tenant, group, score = ARGV[1], ARGV[2], ARGV[3]

local function count(command, ...)
  local found = redis.pcall(command, ...)
  return type(found) == 'number' and found or 0
end

local function tenants_of(group)
  local found = redis.pcall('ZRANGE', TURN .. group, 0, 999)
  return found.err and {} or found
end

local ready = READY .. group .. ':' .. tenant
local rank = redis.pcall('ZRANK', ready, ARGV[4])
local before = '(' .. score
if ARGV[5] ~= '' then
  -- Behind those that are in its round already.
  score = string.format('%.3f', math.min(score, rounds_of(group .. ':' .. tenant).take(ARGV[5], tonumber(score))))
  before = score
end
local own = type(rank) == 'number' and rank or count('ZCOUNT', ready, '-inf', before)
local all = own
for _, other in ipairs(tenants_of(group)) do
  if other ~= tenant then all = all + math.min(count('ZCARD', READY .. group .. ':' .. other), own + 1) end
end
for i = 6, #ARGV do
  for _, other in ipairs(tenants_of(ARGV[i])) do
    all = all + count('ZCOUNT', READY .. ARGV[i] .. ':' .. other, '-inf', '(' .. score)
  end
end
return {all, own}
