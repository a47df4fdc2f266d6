#!lua
-- submit: accept jobs: record, input, queue and bell, under a cap, names and idempotency keys. Many are looked at first and
-- then written together, so that each costs little more than its own record.
-- touches  JOB<m> hash (created), INPUT<m> string, INDEX<tenant> zset m by arrival, TENANTS set, GROUPS zset,
--          QUEUE<group> hash (arrivals counted), USAGE<tenant>:<day> hash with USAGE_DAYS zset (what the tenant had),
--          WAITING_CAPS hash (read),
--          IDEM string "m|request hash", NAMED<m> string (an id that its submitter chose), DEDUPE string m (the job of a
--          key), DEADLINES zset m by expiry, HOOK<m> string, META<m> string, and either READY<group>:<tenant> zset m by
--          score with TURN<group> and BELL<group>, or DELAYED zset m by due time
-- ARGV     tenant, cap, ttl s of idempotency keys, ttl s of names, '1' for all or none ('look' to store nothing: only the
--          reply is wanted), how many kinds of jobs there are, then for each kind what its jobs have in common: group,
--          model@version, tier, offset ms, the next higher tier's, attempts allowed, not before ms, start by ms, deadline ms
--          (0 = none), URL that is told of its end or '', letters of what that is told, traceparent or '', digest of its
--          dedupe key or '', that key's scope (active | window | content), s that it is remembered, '1' if its submitter
--          chose the id, s that it may run or '', s that it is kept after its end or '', '1' if its submitter waits for its end,
--          causes for which its attempts may be repeated (R) or '', '1' if no other job may be in its pass; then for each job:
--          member, number of its kind, input, idempotency key or '', request hash, metadata or ''
-- reply    {ms now, (accepted | replayed | mismatch | full | tenant_full | duplicate | gone | withheld, member or '', depth before)*}
-- Refused before it begins when memory is full. The record comes after all that leads to it: before that write there is no
-- job, only entries that whoever meets them drops, the index last (`sweep`); after it the job is whole. Its keys follow, so
-- that they never lead to nothing.
-- A row is a table of what is found out about the job whose arguments begin at `at`.
local KIND_WIDTH, WIDTH, ARGV, call = 21, 6, ARGV, redis.call
local KIND_AT, INPUT_AT, IDEM_AT, REQUEST, NOTES = 1, 2, 3, 4, 5
local tenant, cap, idem_ttl, name_ttl, whole = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == '1'
local now, now_us = now_ms()
local depths, was_empty, delayed, claimed_keys = {}, {}, nil, {}

-- What the jobs of the kind whose arguments begin at `at` have in common; `more` are fields of their records.
local function kind_at(at)
  local kind, more = {
    group = ARGV[at], ref = ARGV[at + 1], tier = ARGV[at + 2], offset = tonumber(ARGV[at + 3]), floor = tonumber(ARGV[at + 4]),
    attempts = ARGV[at + 5], not_before = tonumber(ARGV[at + 6]), start_by = tonumber(ARGV[at + 7]),
    deadline = tonumber(ARGV[at + 8]), hook = ARGV[at + 9], twin = ARGV[at + 12], scope = ARGV[at + 13],
    twin_s = ARGV[at + 14], is_named = ARGV[at + 15] == '1'
  }, {}
  local function set(name, value)
    more[#more + 1] = name
    more[#more + 1] = value
  end
  kind.is_later, kind.more, kind.alike = kind.not_before > now, more, {}
  -- Of such a job only room decides.
  kind.is_free = kind.twin == '' and not (kind.is_named or kind.is_later)
  kind.expiry = expiry_of(kind.deadline > 0 and kind.deadline, kind.start_by > 0 and kind.start_by)
  if kind.deadline > 0 then set('d', kind.deadline) end
  if kind.start_by > 0 then set('y', kind.start_by) end
  if kind.is_later then
    set('r', 'scheduled')
    set('o', kind.not_before)
  end
  if kind.hook ~= '' then set('h', '1' .. ARGV[at + 10]) end
  if ARGV[at + 11] ~= '' then set('p', ARGV[at + 11]) end
  -- A window ends though its job is open; other keys are kept alive by `sweep`.
  if kind.twin ~= '' and kind.scope ~= 'window' then set('u', kind.twin) end
  if ARGV[at + 16] ~= '' then set('L', ARGV[at + 16]) end
  if ARGV[at + 17] ~= '' then set('T', ARGV[at + 17]) end
  if ARGV[at + 18] == '1' then set('W', 1) end
  if ARGV[at + 19] ~= '' then set('R', ARGV[at + 19]) end
  if ARGV[at + 20] == '1' then set('S', 1) end
  -- A plain job has none of the fields that few have and `claim` or `commit` would look for; its fence says so until it is
  -- claimed.
  local is_rare = kind.hook ~= '' or ARGV[at + 17] ~= '' or ARGV[at + 19] ~= '' or ARGV[at + 20] == '1'
  local is_bound = kind.deadline > 0 or ARGV[at + 11] ~= '' or ARGV[at + 16] ~= ''
  kind.fence = (kind.is_later or is_rare or is_bound) and '0' or '00'
  return kind
end
local kinds, jobs_at = {}, 7
for number = 1, tonumber(ARGV[6]) do
  kinds[number] = kind_at(jobs_at)
  jobs_at = jobs_at + KIND_WIDTH
end

local function state_of(member)
  local fields = redis.pcall('HMGET', JOB .. member, 's', 'i')
  if fields.err then return nil end
  return fields[1], fields[2]
end

-- What an earlier submission says to this one, and which job that made.
local function replay_of(idem, request)
  local earlier = redis.pcall('GET', idem)
  if type(earlier) == 'string' then
    local known, hash = string.match(earlier, '^(.-)|(.*)$')
    if hash ~= request then return 'mismatch', '' end
    return 'replayed', known
  end
end

local function namesake_of(member, request)
  local state, hash = state_of(member)
  if state then
    if hash ~= request then return 'mismatch', '' end
    return 'replayed', member
  end
  if redis.call('EXISTS', NAMED .. member) == 1 then return 'gone', '' end
end

-- Whether a job in this state, nil if it is gone, stands for others with its key.
local function stands(state, scope)
  if scope == 'window' then return ENDED[state] ~= nil end
  return ENDED[state] == false or (scope == 'content' and state == 'succeeded')
end

local function twin_of(key, scope)
  local twin = claimed_keys[key]
  if twin then return 'duplicate', twin end
  twin = redis.pcall('GET', DEDUPE .. tenant .. ':' .. key)
  if type(twin) == 'string' and stands(state_of(twin), scope) then return 'duplicate', twin end
end

-- How many more jobs of the tenant may wait in all its queues together, of the thousand that were submitted to last.
local function waiting_room()
  local caps, waiting = redis.pcall('HMGET', WAITING_CAPS, tenant, '*'), 0
  local most = tonumber(caps[1] or caps[2] or nil)
  if not most then return math.huge, 0 end
  for _, group in ipairs(redis.pcall('ZREVRANGE', GROUPS, 0, 999)) do
    local count = redis.pcall('ZCARD', READY .. group .. ':' .. tenant)
    if type(count) == 'number' then waiting = waiting + count end
  end
  return most - waiting, waiting
end
local tenants_room, tenants_depth = waiting_room()

-- Submissions are seldom sent again after their answer was lost: one look tells that none of these was.
local keys, are_known = {}, false
for at = jobs_at, #ARGV, WIDTH do keys[#keys + 1] = JOB .. ARGV[at] end
for k = 1, #keys, 2000 do
  are_known = are_known or call('EXISTS', unpack(keys, k, math.min(k + 1999, #keys))) > 0
end

local function take_room(kind, depth)
  depths[kind.group] = depth + 1
  if kind.is_later then
    delayed = delayed + 1
  else
    tenants_room, tenants_depth = tenants_room - 1, tenants_depth + 1
  end
end

local function decide(row, at)
  local member, kind, outcome, known = row.member, row.kind, nil, nil
  if ARGV[at + IDEM_AT] ~= '' then outcome, known = replay_of(ARGV[at + IDEM_AT], ARGV[at + REQUEST]) end
  if not outcome and kind.is_named then outcome, known = namesake_of(member, ARGV[at + REQUEST]) end
  if outcome then return outcome, known end
  -- The same submission, sent again after its answer was lost.
  row.again = are_known and call('EXISTS', row.key) == 1
  if row.again then return 'accepted', member end
  if kind.twin ~= '' then outcome, known = twin_of(kind.twin, kind.scope) end
  if outcome then return outcome, known end
  if row.depth >= cap then return 'full', '' end
  if kind.is_later then
    delayed = delayed or redis.call('ZCARD', DELAYED)
    if delayed >= cap then
      row.depth = cap
      return 'full', ''
    end
  elseif tenants_room < 1 then
    row.depth = tenants_depth
    return 'tenant_full', ''
  end
  if kind.twin ~= '' then claimed_keys[kind.twin] = member end
  take_room(kind, row.depth)
  return 'accepted', member
end

local rows, reply, is_refused = {}, {now}, false
local REFUSED = {full = true, tenant_full = true, mismatch = true, gone = true}
for at = jobs_at, #ARGV, WIDTH do
  local kind = kinds[tonumber(ARGV[at + KIND_AT])]
  local group = kind.group
  local depth = depths[group]
  if not depth then
    depth = redis.pcall('ZCARD', READY .. group .. ':' .. tenant)
    if type(depth) ~= 'number' then
      -- Somebody else's value lies there. It is set apart once tenant and group are known, whatever became of their keys.
      redis.pcall('SADD', TENANTS, tenant)
      redis.pcall('ZADD', GROUPS, now, group)
      return depth
    end
    depths[group], was_empty[group] = depth, depth == 0
  end
  local member, number = ARGV[at], #rows + 1
  local row = {at = at, key = keys[number], member = member, kind = kind, depth = depth, outcome = 'accepted', known = member}
  rows[number] = row
  if kind.is_free and not are_known and ARGV[at + IDEM_AT] == '' and depth < cap and tenants_room >= 1 then
    take_room(kind, depth)
  else
    row.outcome, row.known = decide(row, at)
    is_refused = is_refused or REFUSED[row.outcome]
  end
end
local keyed = {}
for i, row in ipairs(rows) do
  if row.outcome == 'accepted' then
    if whole and is_refused and not row.again then
      row.outcome, row.known = 'withheld', ''
    elseif ARGV[row.at + IDEM_AT] ~= '' or row.kind.is_named or row.kind.twin ~= '' then
      keyed[#keyed + 1] = row
    end
  end
  reply[3 * i - 1], reply[3 * i], reply[3 * i + 1] = row.outcome, row.known, row.depth
end
if ARGV[5] == 'look' then return reply end

local now_text = string.format('%.0f', now)
local function keep(key, kind, score, more)
  call('HSET', key, 'v', '1', 's', 'queued', 'f', kind.fence, 'a', '0', 'n', kind.attempts, 'm', kind.ref, 't', kind.tier,
    'z', score, 'q', now_text, unpack(more))
end

local function keep_own(row)
  local at, kind, more = row.at, row.kind, {unpack(row.kind.more)}
  if ARGV[at + NOTES] ~= '' then more[#more + 1], more[#more + 2] = 'x', 1 end
  if kind.is_named then more[#more + 1], more[#more + 2] = 'i', ARGV[at + REQUEST] end
  keep(row.key, kind, row.score, more)
end

-- Jobs of a kind differ in their scores at most, so the record of the last is the mould of the others before it takes its
-- own score: a copy is one write, as HSET is, and costs a third.
local function keep_alike(kind)
  local alike = kind.alike
  local mould, score = alike[#alike], alike[1].score
  keep(mould.key, kind, score, kind.more)
  for k = 2, #alike do
    -- Unless the same job came twice in one call.
    if alike[k - 1].key ~= mould.key then call('COPY', mould.key, alike[k - 1].key) end
    if alike[k].score ~= score then
      score = alike[k].score
      call('HSET', mould.key, 'z', score)
    end
  end
end

-- Jobs of one call keep their order. Ids that we gave out do that by themselves, as long as they rise; else each job comes
-- a microsecond after the one before it.
local came, came_text, last_id
local function comes_at(number, row)
  local member, is_named = row.member, row.kind.is_named
  if not last_id or is_named or member <= last_id then
    came = (now_us + number) / 1000
    came_text = string.format('%.3f', came)
  end
  last_id = not is_named and member or nil
end

local function score_of(kind)
  if kind.came ~= came then
    local arrival = kind.is_later and math.max(came, kind.not_before) or came
    local score = arrival + kind.offset
    -- A deadline moves a job forward within its tier, never past one that arrives now in the tier above.
    if kind.deadline > 0 then score = math.min(score, math.max(kind.deadline, arrival + kind.floor)) end
    kind.came, kind.score = came, string.format('%.3f', score)
  end
  return kind.score
end

local further, owns, index, inputs, entered, count = {}, {}, {}, {}, {}, 0
for number, row in ipairs(rows) do
  if row.outcome == 'accepted' and not row.again then
    local member, kind, input, has_notes = row.member, row.kind, ARGV[row.at + INPUT_AT], ARGV[row.at + NOTES] ~= ''
    count = count + 1
    comes_at(number, row)
    row.score = score_of(kind)
    local n = 2 * count
    index[n - 1], index[n] = came_text, member
    inputs[n - 1], inputs[n] = INPUT .. member, input
    local entries = entered[kind.group]
    if not entries then
      entries = {arrived = 0, bytes = 0}
      entered[kind.group] = entries
    end
    entries.arrived = entries.arrived + 1
    entries.bytes = entries.bytes + #input
    if not kind.is_later then
      local k = #entries
      entries[k + 1], entries[k + 2] = row.score, member
    end
    local likes = (has_notes or kind.is_named) and owns or kind.alike
    likes[#likes + 1] = row
    if has_notes or kind.expiry or kind.is_later or kind.hook ~= '' then further[#further + 1] = row end
  end
end

if count > 0 then
  for group, entries in pairs(entered) do
    if was_empty[group] then
      call('SADD', TENANTS, tenant)
      call('ZADD', GROUPS, now, group)
    end
    redis.pcall('HINCRBY', QUEUE .. group, 'arrived', entries.arrived)
  end
  call_in_pieces('ZADD', INDEX .. tenant, index)
  for k = 1, #inputs, 2000 do call('MSET', unpack(inputs, k, math.min(k + 1999, #inputs))) end
  for _, row in ipairs(further) do
    local member, kind = row.member, row.kind
    if kind.hook ~= '' then call('SET', HOOK .. member, kind.hook) end
    if ARGV[row.at + NOTES] ~= '' then call('SET', META .. member, ARGV[row.at + NOTES]) end
    if kind.expiry then call('ZADD', DEADLINES, kind.expiry, member) end
    if kind.is_later then call('ZADD', DELAYED, kind.not_before, member) end
  end
  for group, entries in pairs(entered) do
    if entries[1] then
      enter_ready(group, entries[2], entries[1])
      if entries[3] then call_in_pieces('ZADD', READY .. group .. ':' .. tenant, entries) end
    end
  end
  for _, kind in ipairs(kinds) do
    if kind.alike[1] then keep_alike(kind) end
  end
  for _, row in ipairs(owns) do keep_own(row) end
  for group, entries in pairs(entered) do
    note_usage(tenant, group, 'accepted', entries.arrived)
    note_usage(tenant, group, 'in_bytes', entries.bytes)
  end
end
for _, row in ipairs(keyed) do
  local at, member, kind, request = row.at, row.member, row.kind, ARGV[row.at + REQUEST]
  if kind.is_named then call('SET', NAMED .. member, request, 'EX', name_ttl) end
  if kind.twin ~= '' then call('SET', DEDUPE .. tenant .. ':' .. kind.twin, member, 'EX', kind.twin_s) end
  if ARGV[at + IDEM_AT] ~= '' then call('SET', ARGV[at + IDEM_AT], member .. '|' .. request, 'EX', idem_ttl) end
end
count_usage(now)
return reply
