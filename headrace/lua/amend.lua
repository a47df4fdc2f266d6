#!lua flags=allow-oom
-- amend: change what a job that waits was submitted with: its tier, its deadline, what was noted beside it, who is told of it.
-- touches  JOB<m>, META<m>, HOOK<m>, DEADLINES, READY with TURN and BELL (of both groups), DELAYED and INDEX<tenant> (looked
--          at), GROUPS, QUEUE<group> hash (arrivals counted), OUTBOX (removed from) and DELIVERY<d> of what its former receiver
--          was still to be told, ROUNDS and FLOWS (of the group that it gets)
-- ARGV     member, cap, the tier that it has, the tier that it gets, offset ms of that, the next higher tier's, deadline ms
--          (0 = none, '' as it is), metadata ('{}' = none, '' as it is), URL that is told of its end ('-' = none, '' as it is),
--          letters of what that is told
-- reply    {amended | full | held | changed (it has another tier by now) | a state in which it is not, how many wait where it
--          would go}, or false
-- A job enters the set it goes to before it leaves the one it comes from, so a stop between leaves it in both: whoever meets
-- it where it does not belong takes it out. Nobody is told of a job whose record does not say so: a URL that lies there all
-- the same is taken away by `sweep`, which the number of the next event bids (E).
local read = reader('s', 'w', 'm', 't', 'q', 'o', 'd', 'y', 'B', 'f', 'h', 'E', 'F', 'z')
local member, cap, tier, due, notes = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[7], ARGV[8]
local url, letters = ARGV[9], ARGV[10]
local fields = read(member)
if not fields then return false end
if fields[1] ~= 'queued' then return {fields[1], 0} end
if fields[2] then return {'held', 0} end
if fields[4] ~= ARGV[3] then return {'changed', 0} end
local before = group_of(fields[3], fields[4], fields[9])
local group = group_of(fields[3], tier, fields[9])
local depth = redis.call('ZCARD', READY .. group .. ':' .. tenant_of(member))
if group ~= before and depth >= cap then return {'full', depth} end

local deadline = fields[7]
if due ~= '' then deadline = due ~= '0' and due end
local came = redis.call('ZSCORE', INDEX .. tenant_of(member), member) or fields[5]
local arrival = math.max(came, fields[6] or 0)
local score = arrival + ARGV[5]
local waits, rounds = not redis.call('ZSCORE', DELAYED, member), nil
-- Where it stays it keeps its turn among fairness keys, and takes one where it goes.
if waits and group == before and (due == '' or fields[13]) then
  score = math.min(score, fields[14])
elseif waits and fields[13] then
  rounds = rounds_of(group .. ':' .. tenant_of(member))
  score = rounds.take(fields[13], score)
end
if deadline then score = math.min(score, math.max(deadline, arrival + ARGV[6])) end
score = string.format('%.3f', score)
local expiry = expiry_of(deadline, fields[8])

-- Events keep their numbers, whoever is told: one that was told under a number is never another.
local next_event = fields[11] and string.match(fields[11], '^%d+') or fields[12] or '1'

-- What earlier attempts have left to be told, to somebody who is told no more.
local function untold()
  local found = {}
  if url == '' or redis.pcall('GET', HOOK .. member) == url then return found end
  for event = 1, next_event - 1 do
    local delivery = string.format('%s:%d', member, event)
    if redis.call('ZSCORE', OUTBOX, delivery) then found[#found + 1] = delivery end
  end
  return found
end

for _, delivery in ipairs(untold()) do
  redis.pcall('HSET', DELIVERY .. delivery, 's', 'failed', 'o', 'withdrawn')
  redis.call('ZREM', OUTBOX, delivery)
end
if notes ~= '' and notes ~= '{}' then redis.call('SET', META .. member, notes) end
if expiry then redis.call('ZADD', DEADLINES, expiry, member) end
if group ~= before then
  redis.call('ZADD', GROUPS, now_ms(), group)
  redis.pcall('HINCRBY', QUEUE .. group, 'arrived', 1)
end
if rounds then rounds.write() end
if waits then enter_ready(group, member, score) end
local record = {'t', tier, 'z', score, 'd', deadline or ''}
local function set(name, value)
  record[#record + 1] = name
  record[#record + 1] = value
end
if notes ~= '' then set('x', notes ~= '{}' and '1' or '') end
if url == '-' then
  set('h', '')
  set('E', next_event)
elseif url ~= '' then
  if not fields[11] then redis.call('HSET', JOB .. member, 'E', next_event) end
  redis.call('SET', HOOK .. member, url)
  set('h', next_event .. letters)
  set('E', '')
end
-- No plain job any more (`submit`): `claim` must look for its deadline, and `commit` for its hook.
if fields[10] == '00' and (deadline or url ~= '') then set('f', '0') end
redis.call('HSET', JOB .. member, unpack(record))
if group ~= before then leave_ready(before, member) end
if not expiry then redis.call('ZREM', DEADLINES, member) end
if notes == '{}' then redis.call('DEL', META .. member) end
if url == '-' then redis.call('DEL', HOOK .. member) end
return {'amended', depth}
