#!lua
-- submit: accept jobs: record, input, queue and bell, under a cap, names and idempotency keys. Many are looked at first and
-- then written together, so that each costs little more than its own record.
-- touches  JOB<m> hash (created), INPUT<m> string, INDEX<tenant> zset m by arrival, TENANTS set, GROUPS zset,
--          QUEUE<group> hash (arrivals counted), USAGE<tenant>:<day> hash with USAGE_DAYS zset (what the tenant had),
--          WAITING_CAPS hash (read), ROUNDS<group>:<tenant> zset and FLOWS<group>:<tenant> zset (turns of fairness keys),
--          IDEM string "m|request hash", NAMED<m> string (an id that its submitter chose), DEDUPE string m (the job of a
--          key), DEADLINES zset m by expiry, HOOK<m> string, META<m> string, and either READY<group>:<tenant> zset m by
--          score with TURN<group> and BELL<group>, or DELAYED zset m by due time
-- ARGV     tenant, cap, ttl s of idempotency keys, ttl s of names, '1' for all or none ('look' to store nothing: only the
--          reply is wanted), how many kinds of jobs there are, how many jobs, then for each kind what its jobs have in
--          common: group, model@version, tier, offset ms, the next higher tier's, attempts allowed, not before ms, start by
--          ms, deadline ms (0 = none), URL that is told of its end or '', letters of what that is told, traceparent or '',
--          digest of its dedupe key or '', that key's scope (active | window | content), s that it is remembered, '1' if its
--          submitter chose the id, s that it may run or '', s that it is kept after its end or '', '1' if its submitter waits
--          for its end, causes for which its attempts may be repeated (R) or '', '1' if no other job may be in its pass, seed
--          of its random numbers (D) or '', fairness key (F) or ''; then for each job: member, number of its kind, input; and
--          if any job has one of them, for each: idempotency key or '', request hash, metadata or ''
-- reply    {ms now, (accepted | replayed | mismatch | full | tenant_full | duplicate | gone | withheld, member or '', depth before)*},
--          or {ms now, depth before the first} if all of them were accepted into one queue
-- Refused before it begins when memory is full. The record comes after all that leads to it: before that write there is no
-- job, only entries that whoever meets them drops, the index last (`sweep`); after it the job is whole. Its keys follow, so
-- that they never lead to nothing.
-- Where all jobs of a call are free (of such only room decides), there is room, and none was sent before, they go straight
-- through, and that is nearly always; any other call goes the long way.
local KIND_WIDTH, WIDTH, ARGV, call, pcall, format = 23, 3, ARGV, redis.call, redis.pcall, string.format
local KIND_AT, INPUT_AT = 1, 2
local tenant, cap, idem_ttl, name_ttl, whole = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == '1'
local now, now_us = now_ms()
local now_text = format('%.0f', now)

-- What the jobs of the kind whose arguments begin at `at` have in common; `more` are fields of their records.
local function kind_at(at)
  local kind, more = {
    group = ARGV[at], ref = ARGV[at + 1], tier = ARGV[at + 2], offset = tonumber(ARGV[at + 3]), floor = tonumber(ARGV[at + 4]),
    attempts = ARGV[at + 5], not_before = tonumber(ARGV[at + 6]), start_by = tonumber(ARGV[at + 7]),
    deadline = tonumber(ARGV[at + 8]), hook = ARGV[at + 9], twin = ARGV[at + 12], scope = ARGV[at + 13],
    twin_s = ARGV[at + 14], is_named = ARGV[at + 15] == '1', flow = ARGV[at + 22], jobs = 0, keys = {}, scores = {}
  }, {}
  local function set(name, value)
    more[#more + 1] = name
    more[#more + 1] = value
  end
  kind.is_later, kind.more = kind.not_before > now, more
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
  if ARGV[at + 21] ~= '' then set('D', ARGV[at + 21]) end
  if kind.flow ~= '' then set('F', kind.flow) end
  -- A plain job has none of the fields that few have and `claim` or `commit` would look for; its fence says so until it is
  -- claimed.
  local is_rare = kind.hook ~= '' or ARGV[at + 17] ~= '' or ARGV[at + 19] ~= '' or ARGV[at + 20] == '1' or ARGV[at + 21] ~= ''
  local is_bound = kind.expiry or ARGV[at + 11] ~= '' or ARGV[at + 16] ~= ''
  kind.is_free = kind.twin == '' and kind.hook == '' and kind.flow == ''
    and not (kind.expiry or kind.is_named or kind.is_later)
  kind.fence = (kind.is_later or is_rare or is_bound) and '0' or '00'
  return kind
end
local kinds, jobs_at, total = {}, 8, tonumber(ARGV[7])
for number = 1, tonumber(ARGV[6]) do
  kinds[number] = kind_at(jobs_at)
  jobs_at = jobs_at + KIND_WIDTH
end

-- How many more jobs of the tenant may wait in all its queues together, of the thousand that were submitted to last.
local tenants_room, tenants_depth, caps = math.huge, 0, pcall('HMGET', WAITING_CAPS, tenant, '*')
local most = tonumber(caps[1] or caps[2] or nil)
if most then
  for _, group in ipairs(pcall('ZREVRANGE', GROUPS, 0, 999)) do
    local depth = pcall('ZCARD', READY .. group .. ':' .. tenant)
    if type(depth) == 'number' then tenants_depth = tenants_depth + depth end
  end
  tenants_room = most - tenants_depth
end

-- Submissions are seldom sent again after their answer was lost, and few queues take turns among fairness keys: one look
-- tells that none of these was, and none of those does.
local notes_at = jobs_at + WIDTH * total
local keys, are_free, are_known, kind, spelled = {}, notes_at > #ARGV, false, nil, nil
for number = 1, total do
  local at = jobs_at + WIDTH * (number - 1)
  if ARGV[at + KIND_AT] ~= spelled then
    spelled = ARGV[at + KIND_AT]
    kind = kinds[tonumber(spelled)]
    are_free = are_free and kind.is_free
  end
  keys[number], kind.jobs = JOB .. ARGV[at], kind.jobs + 1
end
for k, kind in ipairs(kinds) do keys[total + k] = ROUNDS .. kind.group .. ':' .. tenant end
for k = 1, #keys, 2000 do
  are_known = are_known or call('EXISTS', unpack(keys, k, math.min(k + 1999, #keys))) > 0
end
for k = total + 1, #keys do keys[k] = nil end

local queues, are_together = {}, true
for _, kind in ipairs(kinds) do
  local queue = queues[kind.group]
  if not queue then
    local depth = pcall('ZCARD', READY .. kind.group .. ':' .. tenant)
    if type(depth) ~= 'number' then
      -- Somebody else's value lies there. It is set apart once tenant and group are known, whatever became of their keys.
      pcall('SADD', TENANTS, tenant)
      pcall('ZADD', GROUPS, now, kind.group)
      return depth
    end
    queue = {depth = depth, was_empty = depth == 0, coming = depth, entries = {}, arrived = 0, bytes = 0}
    are_together = next(queues) == nil
    queues[kind.group] = queue
  end
  queue.coming, kind.queue = queue.coming + kind.jobs, queue
  are_free = are_free and queue.coming <= cap
end

local index, inputs, count, reply = {}, {}, 0, {now}
local function keep(key, kind, score, more)
  call('HSET', key, 'v', '1', 's', 'queued', 'f', kind.fence, 'a', '0', 'n', kind.attempts, 'm', kind.ref, 't', kind.tier,
    'z', score, 'q', now_text, unpack(more))
end

-- Jobs of a kind differ in their scores at most, so the record of the last is the mould of the others before it takes its
-- own score: a copy is one write, as HSET is, and costs a third.
local function keep_alike(kind)
  local keys, scores = kind.keys, kind.scores
  local mould, score = keys[#keys], scores[1]
  keep(mould, kind, score, kind.more)
  for k = 2, #keys do
    -- Unless the same job came twice in one call.
    if keys[k - 1] ~= mould then call('COPY', mould, keys[k - 1]) end
    if scores[k] ~= score then
      score = scores[k]
      call('HSET', mould, 'z', score)
    end
  end
end

local function submit_with_care()
  --> long way
end

-- Jobs of one call keep their order. Ids that we gave out do that by themselves, as long as they rise; else each job comes
-- a microsecond after the one before it. What the long way has to write besides it writes before the records and after them.
local write_further, write_last
if are_free and not are_known and total <= tenants_room then
  local at, came, came_text, last_id = jobs_at, nil, nil, nil
  count = total
  if are_together then reply[2] = kind.queue.depth end
  for number = 1, count do
    local member, input = ARGV[at], ARGV[at + INPUT_AT]
    if ARGV[at + KIND_AT] ~= spelled then
      spelled = ARGV[at + KIND_AT]
      kind = kinds[tonumber(spelled)]
    end
    if not last_id or member <= last_id then
      came = (now_us + number) / 1000
      came_text = format('%.3f', came)
    end
    if kind.came ~= came then kind.came, kind.score = came, format('%.3f', came + kind.offset) end
    local queue, score, n, k = kind.queue, kind.score, 2 * number, #kind.keys + 1
    local entries, e = queue.entries, 2 * queue.arrived
    kind.keys[k], kind.scores[k], entries[e + 1], entries[e + 2] = keys[number], score, score, member
    index[n - 1], index[n], inputs[n - 1], inputs[n] = came_text, member, INPUT .. member, input
    if not are_together then
      reply[n + number - 1], reply[n + number], reply[n + number + 1] = 'accepted', member, queue.depth + queue.arrived
    end
    queue.arrived, queue.bytes = queue.arrived + 1, queue.bytes + #input
    last_id, at = member, at + WIDTH
  end
else
  write_further, write_last = submit_with_care()
end
if ARGV[5] == 'look' then return reply end

if count > 0 then
  for group, queue in pairs(queues) do
    if queue.was_empty and queue.arrived > 0 then
      call('SADD', TENANTS, tenant)
      call('ZADD', GROUPS, now, group)
    end
    if queue.arrived > 0 then pcall('HINCRBY', QUEUE .. group, 'arrived', queue.arrived) end
  end
  call_in_pieces('ZADD', INDEX .. tenant, index)
  for k = 1, #inputs, 2000 do call('MSET', unpack(inputs, k, math.min(k + 1999, #inputs))) end
  if write_further then write_further() end
  for group, queue in pairs(queues) do
    local entries = queue.entries
    if entries[1] then
      enter_ready(group, entries[2], entries[1])
      if entries[3] then call_in_pieces('ZADD', READY .. group .. ':' .. tenant, entries) end
    end
  end
  for _, kind in ipairs(kinds) do
    if kind.keys[1] then keep_alike(kind) end
  end
end
if write_last then write_last() end
for group, queue in pairs(queues) do
  if queue.arrived > 0 then write_usage(tenant, group, {accepted = queue.arrived, in_bytes = queue.bytes}, now) end
end
return reply
