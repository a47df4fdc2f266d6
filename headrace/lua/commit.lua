#!lua flags=allow-oom
-- commit: finish a batch. Each job only if its lease is still ours; a job whose cancellation was asked for ends canceled.
-- touches  OUTPUT<m> string (set, time to live), JOB<m> (state, end, time to live), INPUT<m> (deleted, or kept for a
--          failed job), LEASES, DEADLINES, EVENTS (one entry, with the ends that are waited for), STATS, QUEUE<group> hash (what was done), OUTBOX with
--          COURIERS, DEAD<tenant> zset of jobs given up, TURN<group> or PAID<group> (what the tenants are charged),
--          USAGE<tenant>:<day> hash with USAGE_DAYS zset (what they had)
-- ARGV     ttl s, ms that the forward pass took, each job's part of them with commas between or '' (equal parts), how many
--          jobs, (member, fence, body)*; and if not all of them succeeded, for each: (succeeded | failed, cause or '')*
-- reply    one character a job: 1 kept, 2 already kept by the same commit sent before, 0 refused
-- The output comes before the state: a job never looks finished without its result. Sent again after a lost answer it
-- says the event again, for waiters that missed it.
-- Plain jobs (`submit`) that succeeded, and whose start was not told, go straight through, and are nearly all; whatever is not
-- as usual goes the long way, after them.
local ARGV, call, pcall, format = ARGV, redis.call, redis.pcall, string.format
local ttl, ran_ms, size = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local JOBS_AT, WIDTH = 5, 3
local now, now_us = now_ms()
local equal_ms, parts = ran_ms / size, {}
if ARGV[3] ~= '' then
  for part in string.gmatch(ARGV[3], '[^,]+') do parts[#parts + 1] = tonumber(part) end
end
-- What many jobs of a batch have alike is made text once: when it ended and, where that was not told apart, began, its size,
-- and their parts.
local began, at, size_text = math.floor(now - ran_ms), format('%.0f', now), format('%.0f', size)
local began_text = format('%.0f', began)
local spent_ms, spent, spent_us
local function take_part(part_ms)
  if part_ms ~= spent_ms then
    spent_ms, spent = part_ms, format('%.2f', part_ms)
    -- As the record has it, so that what tenants had is the sum of their records.
    spent_us = math.floor(spent * 1000 + 0.5)
  end
end
take_part(equal_ms)
local answers, leases, words, spent_inputs = {}, {}, {}, {}
-- Records whose time to live comes last, and how long that is: those of jobs that are not plain.
local fading, late = {}, 0

-- The sums of a group, and a tenant's of them.
local served = {}
local function sums_of(group, tenant)
  local sum = served[group] or {jobs = 0, wait_ms = 0, failed = 0, tenants = {}}
  local share = sum.tenants[tenant] or {jobs = 0, ms = 0, charged = 0, used = {succeeded = 0, failed = 0, gpu_us = 0, out_bytes = 0}}
  served[group], sum.tenants[tenant] = sum, share
  return sum, share
end

-- How long jobs were ready before their pass began, and what their tenant had of the device.
local function note_served(sum, share, jobs, wait_ms, charged)
  sum.jobs, sum.wait_ms = sum.jobs + jobs, sum.wait_ms + jobs * (wait_ms > 0 and wait_ms or 0)
  share.jobs, share.ms, share.charged = share.jobs + jobs, share.ms + jobs * spent_ms, share.charged + jobs * charged
end

-- What a tenant had, for its bill.
local function note_used(used, state, jobs, out_bytes)
  used[state], used.gpu_us, used.out_bytes = used[state] + jobs, used.gpu_us + jobs * spent_us, used.out_bytes + out_bytes
end

-- Whoever handed in a job and waits for it gets its end with the event: its record as it is now, and its output. So many
-- bytes an entry; what goes beyond is read by those who wait, as are ends that come another way. Answers the record, for those
-- that are the same.
local ends, room = {}, 32768
local function tell_end(member, body, record)
  if #body > room then return record end
  if not record then
    record = call('HGETALL', JOB .. member)
    record[#record + 1] = ''
  end
  record[#record] = body
  local told = cmsgpack.pack(record)
  room = room - #told
  if room >= 0 then ends[#ends + 1], ends[#ends + 2] = member, told end
  return record
end

-- How a job ended, by its number, and why.
local states_at = JOBS_AT + WIDTH * size
local function end_of_pass(number)
  local i = states_at + 2 * (number - 1)
  return ARGV[i] or 'succeeded', ARGV[i + 1] or ''
end

-- Numbers of those that are not as usual.
local others = {}
local function finish_others()
  --> long way
end

-- Jobs that came by one call and were claimed by one have the same score and price, and mostly all else. Those of one tenant whose
-- records are found to be the same, down to the last byte (`look`), are a run: what becomes of the first one's record is copied
-- to the others, with its time to live.
local runs, run, met, keys, outputs = {}, nil, {}, {}, {}

-- A job that is plain, and still this worker's, begins a run.
local function begin_run(key, member, fence, part_ms)
  local fields = pcall('HMGET', key, 's', 'f', 'w', 'j', 'q', 'm', 't', 'W', 'z')
  local worker, price, arrival = fields[3], fields[4], fields[5]
  local is_as_before = run and run.price == price and run.arrival == arrival
  local charged, ready_at = is_as_before and run.charged, is_as_before and run.ready_at
  if not is_as_before then
    -- That a job is plain its claim says by a + before what was charged.
    charged = price and string.byte(price) == 43 and tonumber(price)
    ready_at = tonumber(arrival or nil)
  end
  local is_ours = fields[1] == 'queued' and fields[2] == fence and worker and worker ~= ''
  local is_sound = charged and charged < 1e16 and ready_at and ready_at < 1e16 and fields[6] and fields[7]
  if not (is_ours and is_sound) then return nil end
  local came_along = is_as_before and run.score == fields[9]
  local begun = {
    first = #keys + 1, last = #keys, out_bytes = 0, look = came_along and call('DUMP', key), fence = fence, part_ms = part_ms,
    price = price, charged = charged, arrival = arrival, ready_at = ready_at, ref = fields[6], tier = fields[7],
    tenant = tenant_of(member), is_awaited = fields[8], score = fields[9]
  }
  runs[#runs + 1] = begun
  return begun
end

for number = 1, size do
  local i = JOBS_AT + WIDTH * (number - 1)
  local member, fence, body, state = ARGV[i], ARGV[i + 1], ARGV[i + 2], end_of_pass(number)
  local key, part_ms = JOB .. member, parts[number] or equal_ms
  if state ~= 'succeeded' or met[member] then
    run = nil
  elseif not (run and run.look and fence == run.fence and part_ms == run.part_ms and tenant_of(member) == run.tenant
      and call('DUMP', key) == run.look) then
    run = begin_run(key, member, fence, part_ms)
  end
  if run then
    local k = run.last + 1
    met[member], run.last, run.out_bytes = true, k, run.out_bytes + #body
    keys[k], leases[k], spent_inputs[k] = key, member .. '#' .. fence, INPUT .. member
    outputs[2 * k - 1], outputs[2 * k], words[2 * k - 1], words[2 * k] = OUTPUT .. member, body, member, state
    answers[number] = '1'
  else
    others[#others + 1] = number
  end
end

-- Many by one command, which servers before Valkey 9.1 and Redis 8.4 do not know; SET is quicker for one.
local kept = #keys
if kept > 1 and kept <= 1000 and ((redis.VALKEY_VERSION_NUM or 0) >= 0x090100 or redis.REDIS_VERSION_NUM >= 0x080400) then
  outputs[2 * kept + 1], outputs[2 * kept + 2] = 'EX', ttl
  call('MSETEX', kept, unpack(outputs))
else
  for k = 1, kept do call('SET', outputs[2 * k - 1], outputs[2 * k], 'EX', ttl) end
end
for _, run in ipairs(runs) do
  local mould, record = keys[run.first], nil
  take_part(run.part_ms)
  call('HSET', mould, 's', 'succeeded', 'e', at, 'M', spent, 'a', '1', 'b', began_text, 'g', size_text)
  call('EXPIRE', mould, ttl)
  for k = run.first + 1, run.last do call('COPY', mould, keys[k], 'REPLACE') end
  local jobs, sum, share = run.last - run.first + 1, sums_of(group_of(run.ref, run.tier), run.tenant)
  note_served(sum, share, jobs, began - run.ready_at, run.charged)
  note_used(share.used, 'succeeded', jobs, run.out_bytes)
  if run.is_awaited then
    for k = run.first, run.last do record = tell_end(words[2 * k - 1], outputs[2 * k], record) end
  end
end
if others[1] then finish_others() end
for k = 1, #spent_inputs, 2000 do call('DEL', unpack(spent_inputs, k, math.min(k + 1999, #spent_inputs))) end
for key, kept in pairs(fading) do call('EXPIRE', key, kept) end
call_in_pieces('ZREM', LEASES, leases)
say(words, ends)

-- Accounts come last and must never stop a commit, so a key that is none of ours is passed over. What was lately is forgotten
-- over half a minute; what a tenant's jobs take each (ms:<tenant>) over a few batches.
if late > 0 then pcall('HINCRBY', STATS, 'late_refused', late) end
for group, sum in pairs(served) do
  local queue, names = QUEUE .. counted_in(group), {'ended', 'wait_ms', 'run_ms', 'lately', 'lately_wait_ms', 'at'}
  for tenant in pairs(sum.tenants) do names[#names + 1] = 'ms:' .. tenant end
  local counts = pcall('HMGET', queue, unpack(names))
  if not counts.err then
    for i = 1, #counts do counts[i] = tonumber(counts[i] or 0) or 0 end
    local keep, means = math.exp(math.min(0, counts[6] - now) / 30000), {}
    for i = 7, #names do
      local share = sum.tenants[string.sub(names[i], 4)]
      local mean, known = share.ms / share.jobs, counts[i]
      means[#means + 1] = names[i]
      means[#means + 1] = known > 0 and known + (mean - known) * share.jobs / (share.jobs + 16) or mean
    end
    pcall('HSET', queue, 'ended', counts[1] + sum.jobs, 'wait_ms', counts[2] + sum.wait_ms,
      'run_ms', counts[3] + equal_ms * sum.jobs, 'lately', counts[4] * keep + sum.jobs,
      'lately_wait_ms', counts[5] * keep + sum.wait_ms, 'at', now, unpack(means))
    if sum.failed > 0 then count_failed(counted_in(group), sum.failed) end
  end
  -- Where nobody has a turn, and nothing that was had is known, nobody can be charged.
  local is_charged = call('EXISTS', TURN .. group, PAID .. group) > 0
  for tenant, share in pairs(sum.tenants) do
    if is_charged then charge(group, tenant, virtual_ms(share.ms, pcall('HGET', WEIGHTS, tenant)) - share.charged) end
    write_usage(tenant, group, share.used, now)
  end
end
return table.concat(answers)
