#!lua
-- submit: accept jobs: record, input, queue and bell, under a cap, names and idempotency keys. Many are looked at first and
-- then written together, so that each costs little more than its own record.
-- touches  JOB<m> hash (created), INPUT<m> string, INDEX<tenant> zset m by arrival, TENANTS set, GROUPS zset,
--          QUEUE<group> hash (arrivals counted), IDEM string "m|request hash", NAMED<m> string (an id that its submitter
--          chose), DEDUPE string m (the open job of a key), DEADLINES zset m by expiry, HOOK<m> string, META<m> string, and
--          either READY<group>:<tenant> zset m by score with TURN<group> and BELL<group>, or DELAYED zset m by due time
-- ARGV     tenant, cap, ttl s of idempotency keys, ttl s of names, '1' for all or none, then for each job: member, group,
--          model@version, tier, offset ms, the next higher tier's, input, attempts allowed, not before ms, start by ms,
--          deadline ms (0 = none), idempotency key or '', request hash, URL that is told of its end or '', traceparent or '',
--          metadata or '', digest of its dedupe key or '', '1' if its submitter chose the id
-- reply    {ms now, (accepted | replayed | mismatch | full | duplicate | gone | withheld, member or '', depth before)*}
-- Refused before it begins when memory is full. The record comes after all that leads to it: before that write there is no
-- job, only entries that whoever meets them drops, the index last (`sweep`); after it the job is whole. Its keys follow, so
-- that they never lead to nothing.
local WIDTH = 18
local tenant, cap, idem_ttl, name_ttl, whole = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == '1'
local read = reader('s', 'i')
local now, now_us = now_ms()
local depths, was_empty, delayed, claimed_keys = {}, {}, nil, {}

local function row_at(i)
  return {member = ARGV[i], group = ARGV[i + 1], ref = ARGV[i + 2], tier = ARGV[i + 3], offset = tonumber(ARGV[i + 4]),
    floor = tonumber(ARGV[i + 5]), input = ARGV[i + 6], attempts = ARGV[i + 7], not_before = tonumber(ARGV[i + 8]),
    start_by = tonumber(ARGV[i + 9]), deadline = tonumber(ARGV[i + 10]), idem = ARGV[i + 11], request = ARGV[i + 12],
    hook = ARGV[i + 13], trace = ARGV[i + 14], metadata = ARGV[i + 15], dedupe = ARGV[i + 16],
    is_named = ARGV[i + 17] == '1'}
end

-- What an earlier submission says to this one, and which job that made.
local function replay_of(row)
  if row.idem == '' then return nil end
  local earlier = redis.pcall('GET', row.idem)
  if type(earlier) == 'string' then
    local known, hash = string.match(earlier, '^(.-)|(.*)$')
    if hash ~= row.request then return 'mismatch', '' end
    return 'replayed', known
  end
end

local function namesake_of(row)
  local fields = read(row.member)
  if fields then
    if fields[2] ~= row.request then return 'mismatch', '' end
    return 'replayed', row.member
  end
  if redis.call('EXISTS', NAMED .. row.member) == 1 then return 'gone', '' end
end

local function twin_of(row)
  if row.dedupe == '' then return nil end
  if claimed_keys[row.dedupe] then return 'duplicate', claimed_keys[row.dedupe] end
  local twin = redis.pcall('GET', DEDUPE .. tenant .. ':' .. row.dedupe)
  local fields = type(twin) == 'string' and read(twin)
  if fields and not ENDED[fields[1]] then return 'duplicate', twin end
  claimed_keys[row.dedupe] = row.member
end

local function decide(row)
  local outcome, known = replay_of(row)
  if not outcome and row.is_named then outcome, known = namesake_of(row) end
  if outcome then return outcome, known end
  -- The same submission, sent again after its answer was lost.
  row.again = redis.call('EXISTS', JOB .. row.member) == 1
  if row.again then return 'accepted', row.member end
  if row.depth >= cap then return 'full', '' end
  if row.not_before > now then
    delayed = delayed or redis.call('ZCARD', DELAYED)
    if delayed >= cap then
      row.depth = cap
      return 'full', ''
    end
  end
  outcome, known = twin_of(row)
  if outcome then return outcome, known end
  depths[row.group] = row.depth + 1
  if row.not_before > now then delayed = delayed + 1 end
  return 'accepted', row.member
end

local rows, reply, refused = {}, {now}, false
for i = 6, #ARGV, WIDTH do
  local row = row_at(i)
  rows[#rows + 1] = row
  if not depths[row.group] then
    local depth = redis.pcall('ZCARD', READY .. row.group .. ':' .. tenant)
    if type(depth) ~= 'number' then
      -- Somebody else's value lies there. It is set apart once tenant and group are known, whatever became of their keys.
      redis.pcall('SADD', TENANTS, tenant)
      redis.pcall('ZADD', GROUPS, now, row.group)
      return depth
    end
    depths[row.group], was_empty[row.group] = depth, depth == 0
  end
  row.depth = depths[row.group]
  row.outcome, row.known = decide(row)
  refused = refused or row.outcome == 'full' or row.outcome == 'mismatch' or row.outcome == 'gone'
end
for _, row in ipairs(rows) do
  if whole and refused and row.outcome == 'accepted' and not row.again then row.outcome, row.known = 'withheld', '' end
  reply[#reply + 1] = row.outcome
  reply[#reply + 1] = row.known
  reply[#reply + 1] = row.depth
end

-- Jobs of one call keep their order: each has a microsecond of its own.
local function place(row, number)
  local arrival = math.max(now_us / 1000 + number * 0.001, row.not_before)
  local score = arrival + row.offset
  -- A deadline moves a job forward within its tier, never past one that arrives now in the tier above.
  if row.deadline > 0 then score = math.min(score, math.max(row.deadline, arrival + row.floor)) end
  return string.format('%.3f', score)
end

local function record_of(row)
  local record = {'v', 1, 's', 'queued', 'f', 0, 'a', 0, 'n', row.attempts, 'm', row.ref, 't', row.tier, 'z', row.score,
    'q', now}
  local function set(name, value)
    record[#record + 1] = name
    record[#record + 1] = value
  end
  if row.deadline > 0 then set('d', row.deadline) end
  if row.start_by > 0 then set('y', row.start_by) end
  if row.not_before > now then
    set('r', 'scheduled')
    set('o', row.not_before)
  end
  if row.hook ~= '' then set('h', 1) end
  if row.trace ~= '' then set('p', row.trace) end
  if row.metadata ~= '' then set('x', 1) end
  if row.dedupe ~= '' then set('u', row.dedupe) end
  if row.is_named then set('i', row.request) end
  return record
end

local fresh, index, inputs, deadlines, due, ready = {}, {}, {}, {}, {}, {}
local function append(list, first, second)
  list[#list + 1] = first
  list[#list + 1] = second
end
for number, row in ipairs(rows) do
  if row.outcome == 'accepted' and not row.again then
    fresh[#fresh + 1] = row
    row.score = place(row, number)
    append(index, string.format('%.3f', now_us / 1000 + number * 0.001), row.member)
    append(inputs, INPUT .. row.member, row.input)
    local expiry = expiry_of(row.deadline > 0 and row.deadline, row.start_by > 0 and row.start_by)
    if expiry then append(deadlines, expiry, row.member) end
    local entries = ready[row.group] or {arrived = 0}
    ready[row.group] = entries
    entries.arrived = entries.arrived + 1
    if row.not_before > now then
      append(due, row.not_before, row.member)
    else
      append(entries, row.score, row.member)
    end
  end
end

if #fresh > 0 then
  for group, entries in pairs(ready) do
    if was_empty[group] then
      redis.call('SADD', TENANTS, tenant)
      redis.call('ZADD', GROUPS, now, group)
    end
    redis.pcall('HINCRBY', QUEUE .. group, 'arrived', entries.arrived)
  end
  call_in_pieces('ZADD', INDEX .. tenant, index)
  for k = 1, #inputs, 2000 do redis.call('MSET', unpack(inputs, k, math.min(k + 1999, #inputs))) end
  for _, row in ipairs(fresh) do
    if row.hook ~= '' then redis.call('SET', HOOK .. row.member, row.hook) end
    if row.metadata ~= '' then redis.call('SET', META .. row.member, row.metadata) end
  end
  call_in_pieces('ZADD', DEADLINES, deadlines)
  call_in_pieces('ZADD', DELAYED, due)
  for group, entries in pairs(ready) do
    if entries[1] then
      enter_ready(group, entries[2], entries[1])
      if entries[3] then call_in_pieces('ZADD', READY .. group .. ':' .. tenant, entries) end
    end
  end
  for _, row in ipairs(fresh) do redis.call('HSET', JOB .. row.member, unpack(record_of(row))) end
end
for _, row in ipairs(rows) do
  if row.outcome == 'accepted' then
    if row.is_named then redis.call('SET', NAMED .. row.member, row.request, 'EX', name_ttl) end
    if row.dedupe ~= '' then redis.call('SET', DEDUPE .. tenant .. ':' .. row.dedupe, row.member, 'EX', 86400) end
    if row.idem ~= '' then redis.call('SET', row.idem, row.member .. '|' .. row.request, 'EX', idem_ttl) end
  end
end
return reply
