#!lua flags=allow-oom
local P = KEYS[1]
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- A fence no server hands out twice, also one that came back from an older file: microseconds, and always rising.
local ENDED = {queued = false, running = false, canceling = false,
  succeeded = true, failed = true, canceled = true, expired = true}
local NUMBER = {f = true, a = true, n = true, z = true, q = true, o = true, b = true, d = true, y = true}
local OPTIONAL = {w = true, r = true, o = true, b = true, d = true, y = true, h = true}

-- A function that reads these fields of records, the state first: empty ones as false; or nil and whether the record is
-- broken rather than gone. What is known of the fields is looked up once a script, not once a job.
local function reader(...)
  local names, count, number, optional = {...}, select('#', ...), {}, {}
  for i = 1, count do
    number[i], optional[i] = NUMBER[names[i]], OPTIONAL[names[i]]
  end
  return function(member)
    local fields = redis.pcall('HMGET', P .. 'j:' .. member, unpack(names))
    if fields.err then return nil, true end
    local sound, found = ENDED[fields[1]] ~= nil, false
    for i = 1, count do
      local value = fields[i]
      if value and value ~= '' then
        found = true
        sound = sound and (not number[i] or tonumber(value))
      else
        fields[i] = false
        sound = sound and optional[i]
      end
    end
    if sound then return fields end
    return nil, found
  end
end

local function quarantine(member, now)
  local added = redis.call('ZADD', P .. 'quarantine', 'NX', now, member)
  if added == 1 then redis.call('HINCRBY', P .. 'stats', 'quarantined', 1) end
end

-- When a job expires: at its deadline, or at its latest start if that is earlier; nil if it never does.
local function say(words)
  if #words > 0 then
    redis.call('XADD', P .. 'events', 'MAXLEN', '~', 1000, '*', 'jobs', table.concat(words, ' '))
  end
end

-- A failed job keeps its input for whoever looks into it. A record's time to live comes last: `sweep` looks after those
-- that have none.
local function let_go(member, state, ttl)
  if state == 'failed' then
    redis.call('EXPIRE', P .. 'i:' .. member, ttl)
  else
    redis.call('DEL', P .. 'i:' .. member)
  end
  redis.call('EXPIRE', P .. 'j:' .. member, ttl)
end

-- A job whose end somebody is to be told of (hook, its field h) stays until that is done, which sets the usual time to
-- live (`settle_deliveries`), or until this is over, if no courier ever comes.
local HOLD_S = 4 * 86400

local function kept_s(ttl, hook)
  return hook and ttl + HOLD_S or ttl
end

-- The row that a courier works from comes before the state, so that no end goes untold; a row whose job has not ended is
-- dropped by `claim_deliveries`. One ring a call is enough.
local has_rung = false
local function post(member, now)
  if not has_rung then redis.call('XADD', P .. 'b:@couriers', 'MAXLEN', 1, '*', 'r', 1) end
  has_rung = true
  redis.call('ZADD', P .. 'outbox', now, member .. ':1')
end

-- The last change of a record.
local function finish(member, state, now, ttl, hook, ...)
  if hook then post(member, now) end
  redis.call('HSET', P .. 'j:' .. member, 's', state, 'e', now, ...)
  let_go(member, state, kept_s(ttl, hook))
end

-- Variadic commands in pieces: Lua's stack holds no more than some thousands.
local function call_in_pieces(command, key, values)
  for k = 1, #values, 2000 do
    redis.call(command, key, unpack(values, k, math.min(k + 1999, #values)))
  end
end

-- commit: finish a batch. Each job only if its lease is still ours; a job whose cancellation was asked for ends canceled.
-- touches  P .. 'o:'<m> string (set, time to live), P .. 'j:'<m> (state, end, time to live), P .. 'i:'<m> (deleted, or kept for a
--          failed job), P .. 'leases', P .. 'deadlines', P .. 'events' (one entry), P .. 'stats', P .. 'q:'<group> hash (what was done), P .. 'outbox' with
--          P .. 'b:@couriers'
-- ARGV     ttl s, ms that the forward pass took, (member, fence, succeeded | failed, cause or '', body)*
-- reply    one character a job: 1 kept, 2 already kept by the same commit sent before, 0 refused
-- The output comes before the state: a job never looks finished without its result. Sent again after a lost answer it
-- says the event again, for waiters that missed it.
local read = reader('s', 'f', 'a', 'w', 'd', 'y', 'm', 't', 'q', 'o', 'b', 'h')
local ttl, ran_ms, now = ARGV[1], tonumber(ARGV[2]), now_ms()
local size = (#ARGV - 2) / 5
local answers, leases, words, late = {}, {}, {}, 0
local served, NOTHING = {}, {}

-- How long a job was ready before its pass began, added up for each group.
local function note_served(group, ready_since, begun)
  local sum = served[group]
  if not sum then
    sum = {jobs = 0, wait_ms = 0}
    served[group] = sum
  end
  sum.jobs = sum.jobs + 1
  sum.wait_ms = sum.wait_ms + math.max(0, begun - ready_since)
end

-- Counts must never stop a commit, so a key that is none of ours is passed over. What was lately is forgotten over half a
-- minute.
local function count_served(group, jobs, wait_ms)
  local counts = redis.pcall('HMGET', P .. 'q:' .. group, 'ended', 'wait_ms', 'run_ms', 'lately', 'lately_wait_ms', 'at')
  if counts.err then return end
  for i = 1, #counts do counts[i] = tonumber(counts[i] or 0) or 0 end
  local keep = math.exp(math.min(0, counts[6] - now) / 30000)
  redis.pcall('HSET', P .. 'q:' .. group, 'ended', counts[1] + jobs, 'wait_ms', counts[2] + wait_ms,
    'run_ms', counts[3] + ran_ms * jobs / size, 'lately', counts[4] * keep + jobs,
    'lately_wait_ms', counts[5] * keep + wait_ms, 'at', now)
end

for i = 3, #ARGV, 5 do
  local member, fence, state, cause, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local fields, broken = read(member)
  local ours = fields and fields[2] == fence and fields[4]
  local answer = '0'
  if broken then
    quarantine(member, now)
  elseif ours and (fields[1] == 'running' or fields[1] == 'queued') then
    redis.call('SET', P .. 'o:' .. member, body, 'EX', kept_s(ttl, fields[12]))
    local begun, why = tonumber(fields[11] or 0), cause ~= '' and {'c', cause} or NOTHING
    if fields[1] == 'queued' then
      -- So short a pass that its start was not told apart.
      begun = math.floor(now - ran_ms)
      finish(member, state, now, ttl, fields[12], 'a', fields[3] + 1, 'b', begun, 'g', size, unpack(why))
    else
      finish(member, state, now, ttl, fields[12], unpack(why))
    end
    note_served(fields[7] .. ':' .. fields[8], tonumber(fields[10] or fields[9]), begun)
    answer = '1'
  elseif ours and fields[1] == 'canceling' then
    finish(member, 'canceled', now, ttl, fields[12])
    state = 'canceled'
    words[#words + 1] = member
    words[#words + 1] = state
  elseif ours and fields[1] == state then
    answer = '2'
  end
  if ours then
    leases[#leases + 1] = member .. '#' .. fence
    if fields[5] or fields[6] then redis.call('ZREM', P .. 'deadlines', member) end
  end
  if answer == '0' then
    if not ours then late = late + 1 end
  else
    words[#words + 1] = member
    words[#words + 1] = state
  end
  answers[#answers + 1] = answer
end
call_in_pieces('ZREM', P .. 'leases', leases)
say(words)
if late > 0 then redis.call('HINCRBY', P .. 'stats', 'late_refused', late) end
for group, sum in pairs(served) do count_served(group, sum.jobs, sum.wait_ms) end
return table.concat(answers)
