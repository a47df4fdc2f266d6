#!lua flags=no-writes
-- follow_deliveries: the events of a tenant that couriers began to tell after a place in their order, with all that they say.
-- touches  DELIVERIES<tenant> zset d by first attempt, DELIVERY<d>, JOB<m>, HOOK<m>, OUTPUT<m> (all read only)
-- ARGV     tenant, first attempt (ms) and id of the last one that was seen, or '' and '' to begin now; most events, most bytes
--          of an output that goes along
-- reply    {ms, id of the place that was reached, {d, attempts, URL, record, output or false, state, outcome, and of an event
--          before the end: what it is, when it was, in which attempt, and of progress: when that began, fraction, words}*}
-- Milliseconds that are not over yet are left for later: nothing can come before a place that was reached.
local read = reader('s', 'h')
local index, limit, room, now = DELIVERIES .. ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]), now_ms()
if ARGV[2] == '' then return {now, ''} end

local function row_of(id)
  local member = string.match(id, '^(.*):%d+$')
  local fields = member and read(member)
  local url = fields and fields[2] and redis.pcall('GET', HOOK .. member)
  local known = redis.pcall('HMGET', DELIVERY .. id, 'a', 's', 'o', 'k', 'e', 'n', 'b', 'p', 'm')
  if type(url) ~= 'string' or known.err then return nil end
  local is_end, length = id == end_of(member, fields[2]), redis.pcall('STRLEN', OUTPUT .. member)
  local goes_along = is_end and type(length) == 'number' and length > 0 and length <= room
  local row = {id, known[1], url, redis.call('HGETALL', JOB .. member), goes_along and redis.call('GET', OUTPUT .. member),
    known[2], known[3]}
  if is_end then return row end
  for k = 4, 9 do row[k + 4] = known[k] end
  return known[4] and row
end

local seen = redis.call('ZSCORE', index, ARGV[3]) == ARGV[2]
local first = seen and redis.call('ZRANK', index, ARGV[3]) + 1 or redis.call('ZCOUNT', index, '-inf', '(' .. ARGV[2])
local found = redis.call('ZRANGE', index, first, first + limit - 1, 'WITHSCORES')
local reply = {ARGV[2], ARGV[3]}
for i = 1, #found, 2 do
  if tonumber(found[i + 1]) >= now then break end
  reply[1], reply[2] = found[i + 1], found[i]
  local row = row_of(found[i])
  if row then reply[#reply + 1] = row end
end
return reply
