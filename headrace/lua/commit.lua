#!lua flags=allow-oom
-- commit: finish a batch. Each job only if its lease is still ours; a job whose cancellation was asked for ends canceled.
-- touches  OUTPUT<m> string (set, time to live), JOB<m> (state, end, time to live), INPUT<m> (deleted, or kept for a
--          failed job), LEASES, DEADLINES, EVENTS (one entry, with the ends that are waited for), STATS, QUEUE<group> hash (what was done), OUTBOX with
--          COURIERS, DEAD<tenant> zset of jobs given up, TURN<group> or PAID<group> (what the tenants are charged),
--          USAGE<tenant>:<day> hash with USAGE_DAYS zset (what they had)
-- ARGV     ttl s, ms that the forward pass took, each job's part of them with commas between or '' (equal parts), (member, fence, succeeded | failed, cause or '', body)*
-- reply    one character a job: 1 kept, 2 already kept by the same commit sent before, 0 refused
-- The output comes before the state: a job never looks finished without its result. Sent again after a lost answer it
-- says the event again, for waiters that missed it.
local read = reader('s', 'f', 'a', 'w', 'm', 't', 'q', 'j', 'W')
-- What few have. Of a plain job (`submit`) its claim says, by a + before what was charged, that it has none of these and no
-- checkpoint.
local read_rest = reader('s', 'o', 'h', 'T', 'B', 'b')
local PLAIN = {false, false, false, false, false, false}
local function read_all(member)
  local fields, broken = read(member)
  if not fields then return nil, PLAIN, broken end
  if fields[1] == 'queued' and fields[8] and string.byte(fields[8]) == 43 then return fields, PLAIN end
  local rest, rest_broken = read_rest(member)
  return rest and fields, rest or PLAIN, rest_broken
end
local ARGV = ARGV
local ran_ms, parts = tonumber(ARGV[2]), {}
for part in string.gmatch(ARGV[3], '[^,]+') do parts[#parts + 1] = tonumber(part) end
local now, now_us = now_ms()
local size = (#ARGV - 3) / 5
local answers, leases, words, held, said, late, members, spent_inputs, fading = {}, {}, {}, 0, 0, 0, {}, {}, {}
local served, NOTHING, USED = {}, {}, {'succeeded', 'failed', 'gpu_us', 'out_bytes'}
-- Failures that are nobody's last word: not the input's fault, and not said by the model.
local GIVEN_UP = {worker_lost = true, timeout = true, oom = true, internal = true}

-- A part of a pass as the record has it, in microseconds, so that what tenants had is the sum of their records.
local function in_us(spent)
  return math.floor(spent * 1000 + 0.5)
end

-- The sums of a group, and a tenant's of them; mostly those of the job before.
local last_ref, last_tier, last_outgrown, last_tenant, last_sum, last_share
local function sums_of(ref, tier, outgrown, tenant)
  if ref == last_ref and tier == last_tier and outgrown == last_outgrown and tenant == last_tenant then return last_sum, last_share end
  local group = group_of(ref, tier, outgrown)
  local sum = served[group] or {jobs = 0, wait_ms = 0, failed = 0, tenants = {}}
  local share = sum.tenants[tenant] or {jobs = 0, ms = 0, charged = 0, gpu_us = 0}
  served[group], sum.tenants[tenant] = sum, share
  last_ref, last_tier, last_outgrown, last_tenant, last_sum, last_share = ref, tier, outgrown, tenant, sum, share
  return sum, share
end

-- How long a job was ready before its pass began, whether it failed for another reason than its input, and what its tenant
-- had of the device, added up for each group; answers its tenant's sums.
local function note_served(fields, rest, tenant, begun, cause, part_ms)
  local sum, share = sums_of(fields[5], fields[6], rest[5], tenant)
  sum.jobs = sum.jobs + 1
  if cause ~= '' and cause ~= 'input' then sum.failed = sum.failed + 1 end
  sum.wait_ms = sum.wait_ms + math.max(0, begun - (rest[2] or fields[7]))
  share.jobs, share.ms, share.charged = share.jobs + 1, share.ms + part_ms, share.charged + (fields[8] or 0)
  return share
end

-- Counts must never stop a commit, so a key that is none of ours is passed over. What was lately is forgotten over half a
-- minute; what a tenant's jobs take each (ms:<tenant>) over a few batches.
local function count_served(group, sum)
  local names = {'ended', 'wait_ms', 'run_ms', 'lately', 'lately_wait_ms', 'at'}
  for tenant in pairs(sum.tenants) do names[#names + 1] = 'ms:' .. tenant end
  local counts = redis.pcall('HMGET', QUEUE .. group, unpack(names))
  if counts.err then return end
  for i = 1, #counts do counts[i] = tonumber(counts[i] or 0) or 0 end
  local keep, means = math.exp(math.min(0, counts[6] - now) / 30000), {}
  for i = 7, #names do
    local share = sum.tenants[string.sub(names[i], 4)]
    local mean, known = share.ms / share.jobs, counts[i]
    means[#means + 1] = names[i]
    means[#means + 1] = known > 0 and known + (mean - known) * share.jobs / (share.jobs + 16) or mean
  end
  redis.pcall('HSET', QUEUE .. group, 'ended', counts[1] + sum.jobs, 'wait_ms', counts[2] + sum.wait_ms,
    'run_ms', counts[3] + ran_ms * sum.jobs / size, 'lately', counts[4] * keep + sum.jobs,
    'lately_wait_ms', counts[5] * keep + sum.wait_ms, 'at', now, unpack(means))
  if sum.failed > 0 then count_failed(group, sum.failed) end
end

-- Inputs that are of no more use go together with those of the other jobs, and records get their time to live after that. One
-- whose end is to be told gets it when that is done (`settle_deliveries`), which mostly is a moment later; `sweep` looks after
-- those that nobody comes for.
local function let_go_later(member, state, rest, kept)
  if state == 'succeeded' then
    spent_inputs[#spent_inputs + 1] = INPUT .. member
    if rest ~= PLAIN then spent_inputs[#spent_inputs + 1] = CHECKPOINT .. member end
  else
    drop_input(member, state, kept)
  end
  if not rest[3] then
    local n = #fading
    fading[n + 1], fading[n + 2] = JOB .. member, kept
  end
end

-- As `finish` does, with numbers that are made text once a batch.
local told_ttl, at = string.format('%.0f', kept_s(ARGV[1], true)), string.format('%.0f', now)
local function end_as(member, state, rest, kept, ...)
  local hook = rest[3]
  if hook then post(end_of(member, hook), at) end
  redis.call('HSET', JOB .. member, 's', state, 'e', at, ...)
  let_go_later(member, state, rest, kept)
end

-- Whoever handed in a job and waits for it gets its end with the event: its record as it is now, and its output. So many
-- bytes an entry; what goes beyond is read by those who wait, as are ends that come another way.
local ends, room = {}, 32768
local function tell_end(member, body)
  if #body > room then return end
  local record = redis.call('HGETALL', JOB .. member)
  record[#record + 1] = body
  local told = cmsgpack.pack(record)
  room = room - #told
  if room < 0 then return end
  ends[#ends + 1], ends[#ends + 2] = member, told
end

-- What many jobs of a batch have alike is made text once: their parts, and when a pass began that was not told apart.
local equal_ms, spent_ms, spent, spent_us = ran_ms / size, nil, nil, nil
local is_watched = redis.call('TYPE', DEADLINES).ok == 'zset'
local began = math.floor(now - ran_ms)
local began_text, size_text = string.format('%.0f', began), string.format('%.0f', size)

for i = 4, #ARGV, 5 do
  local member, fence, state, cause, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local fields, rest, broken = read_all(member)
  local ours = fields and fields[2] == fence and fields[4]
  local ttl = rest[4] or ARGV[1]
  local kept = rest[3] and (rest[4] and kept_s(ttl, true) or told_ttl) or ttl
  local answer = '0'
  local part_ms = parts[(i + 1) / 5] or equal_ms
  if part_ms ~= spent_ms then
    spent_ms, spent = part_ms, string.format('%.2f', part_ms)
    spent_us = in_us(spent)
  end
  if broken then
    quarantine(member, now)
  elseif ours and (fields[1] == 'running' or fields[1] == 'queued') then
    redis.call('SET', OUTPUT .. member, body, 'EX', kept)
    if GIVEN_UP[cause] then bury(member, now_us) end
    local begun, why = rest[6] or 0, cause ~= '' and {'c', cause} or NOTHING
    if fields[1] == 'queued' then
      -- So short a pass that its start was not told apart.
      begun = began
      end_as(member, state, rest, kept, 'M', spent, 'a', fields[3] == '0' and '1' or fields[3] + 1, 'b', began_text, 'g', size_text, unpack(why))
    else
      end_as(member, state, rest, kept, 'M', spent, unpack(why))
    end
    local share = note_served(fields, rest, tenant_of(member), begun, cause, part_ms)
    share[state], share.gpu_us = (share[state] or 0) + 1, share.gpu_us + spent_us
    if state == 'succeeded' then share.out_bytes = (share.out_bytes or 0) + #body end
    if fields[9] then tell_end(member, body) end
    answer = '1'
  elseif ours and fields[1] == 'canceling' then
    end_as(member, 'canceled', rest, kept, 'M', spent)
    note_usage(tenant_of(member), fields[5] .. ':' .. fields[6], 'canceled', 1)
    note_usage(tenant_of(member), fields[5] .. ':' .. fields[6], 'gpu_us', spent_us)
    words[said + 1], words[said + 2], said = member, 'canceled', said + 2
  elseif ours and fields[1] == state then
    answer = '2'
  end
  if ours then
    held = held + 1
    leases[held] = member .. '#' .. fence
    if is_watched then members[held] = member end
  end
  if answer == '0' then
    if not ours then late = late + 1 end
  else
    words[said + 1], words[said + 2], said = member, state, said + 2
  end
  answers[(i + 1) / 5] = answer
end
for k = 1, #spent_inputs, 2000 do
  redis.call('DEL', unpack(spent_inputs, k, math.min(k + 1999, #spent_inputs)))
end
for k = 1, #fading, 2 do redis.call('EXPIRE', fading[k], fading[k + 1]) end
call_in_pieces('ZREM', DEADLINES, members)
call_in_pieces('ZREM', LEASES, leases)
say(words, ends)
if late > 0 then redis.pcall('HINCRBY', STATS, 'late_refused', late) end
for group, sum in pairs(served) do
  count_served(counted_in(group), sum)
  for tenant, share in pairs(sum.tenants) do
    local weight = redis.pcall('HGET', WEIGHTS, tenant)
    charge(group, tenant, virtual_ms(share.ms, weight) - share.charged)
    for _, what in ipairs(USED) do note_usage(tenant, group, what, share[what] or 0) end
  end
end
count_usage(now)
return table.concat(answers)
