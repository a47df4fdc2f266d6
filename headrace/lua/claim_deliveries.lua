#!lua flags=allow-oom
-- claim_deliveries: lease due deliveries to one courier, with all that their events say. A lease that runs out makes its
-- delivery due again: the row in the outbox is only put off.
-- touches  OUTBOX zset d by due ms (put off, or removed: no such job, not ended, settled), DELIVERY<d> hash (state s,
--          attempts a, fence f, time of the attempt t; of an event before the end what it is k, when it was e, in which
--          attempt of the job n; of progress when that began b, the fraction p and words m), DELIVERIES<tenant> zset d by first attempt, JOB<m>, HOOK<m> and OUTPUT<m> (read), STATS
-- ARGV     most deliveries, lease ms, most bytes of an output that goes along, most deliveries listed per tenant
-- reply    {ms until the next one is due (0 = none), {d, fence, attempts, URL, record, output or false, and of an event before
--          the end: what it is, when it was, in which attempt, and of progress: when that began, fraction, words}*}
local read = reader('s', 'f', 'a', 'n', 'm', 't', 'z', 'q', 'h')
local limit, lease_ms, room, listed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local MOST_ATTEMPTS = 100 -- far beyond any schedule: each of them ended its courier
local now, now_us = now_ms()
local reply, lost = {0}, 0

local function output_of(member)
  local length = redis.pcall('STRLEN', OUTPUT .. member)
  if type(length) == 'table' or length == 0 or length > room then return false end
  return redis.call('GET', OUTPUT .. member)
end

-- Whether the record says that this is to be told: its end, or an event that it has counted.
local function is_borne_out(fields, seq, known)
  local last = tonumber(string.match(fields[9], '^%d+') or 1)
  return (seq < last and known[4]) or (seq == last and ENDED[fields[1]])
end

local function known_of(id)
  local known = redis.pcall('HMGET', DELIVERY .. id, 's', 'f', 'a', 'k', 'e', 'n', 'b', 'p', 'm')
  if not known.err then return known end
  redis.call('DEL', DELIVERY .. id)
  return {}
end

local function list(id, member)
  local index = DELIVERIES .. tenant_of(member)
  redis.call('ZADD', index, 'NX', now, id)
  redis.call('ZREMRANGEBYRANK', index, 0, -listed - 1)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', OUTBOX, '-inf', now, 'LIMIT', 0, limit)) do
  local member, seq = string.match(id, '^([^/]+/.*):(%d+)$')
  local fields = member and read(member)
  local url = fields and fields[9] and redis.pcall('GET', HOOK .. member)
  local known = known_of(id)
  local attempts = tonumber(known[3] or 0) + 1
  if type(url) ~= 'string' or attempts > MOST_ATTEMPTS then
    redis.call('EXPIRE', DELIVERY .. id, 86400)
    redis.call('ZREM', OUTBOX, id)
    lost = lost + 1
  elseif not is_borne_out(fields, tonumber(seq), known) or (known[1] and known[1] ~= 'pending') then
    mend_end(member, now)
    redis.call('ZREM', OUTBOX, id)
  else
    local is_end = id == end_of(member, fields[9])
    if is_end and known[4] then redis.call('HDEL', DELIVERY .. id, 'k', 'e', 'n', 'b', 'p', 'm') end
    local fence = next_fence(known[2] or 0, now_us)
    if attempts == 1 then list(id, member) end
    redis.call('HSET', DELIVERY .. id, 's', 'pending', 'a', attempts, 'f', fence, 't', now)
    redis.call('ZADD', OUTBOX, now + lease_ms, id)
    local row = {id, fence, attempts, url, redis.call('HGETALL', JOB .. member), is_end and output_of(member)}
    for k = 4, is_end and 0 or 9 do row[#row + 1] = known[k] end
    reply[#reply + 1] = row
  end
end
local due = redis.call('ZRANGE', OUTBOX, 0, 0, 'WITHSCORES')
if due[2] then reply[1] = math.max(1, tonumber(due[2]) - now) end
if lost > 0 then redis.pcall('HINCRBY', STATS, 'hooks_lost', lost) end
return reply
