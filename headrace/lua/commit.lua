#!lua flags=allow-oom
-- commit: finish a batch. Each job only if its lease is still ours; a job whose cancellation was asked for ends canceled.
-- touches  OUTPUT<m> string (set, time to live), JOB<m> (state, end, time to live), INPUT<m> (deleted, or kept for a
--          failed job), LEASES, DEADLINES, EVENTS (one entry), STATS, QUEUE<group> hash (what was done), OUTBOX with
--          COURIERS, DEAD<tenant> zset of jobs given up
-- ARGV     ttl s, ms that the forward pass took, (member, fence, succeeded | failed, cause or '', body)*
-- reply    one character a job: 1 kept, 2 already kept by the same commit sent before, 0 refused
-- The output comes before the state: a job never looks finished without its result. Sent again after a lost answer it
-- says the event again, for waiters that missed it.
local read = reader('s', 'f', 'a', 'w', 'd', 'y', 'm', 't', 'q', 'o', 'b', 'h')
local ttl, ran_ms = ARGV[1], tonumber(ARGV[2])
local now, now_us = now_ms()
local size = (#ARGV - 2) / 5
local answers, leases, words, late = {}, {}, {}, 0
local served, NOTHING = {}, {}
-- Failures that are nobody's last word: not the input's fault, and not said by the model.
local GIVEN_UP = {worker_lost = true, timeout = true, oom = true, internal = true}

-- How long a job was ready before its pass began, and whether it failed for another reason than its input, added up for
-- each group.
local function note_served(group, ready_since, begun, cause)
  local sum = served[group]
  if not sum then
    sum = {jobs = 0, wait_ms = 0, failed = 0}
    served[group] = sum
  end
  sum.jobs = sum.jobs + 1
  if cause ~= '' and cause ~= 'input' then sum.failed = sum.failed + 1 end
  sum.wait_ms = sum.wait_ms + math.max(0, begun - ready_since)
end

-- Counts must never stop a commit, so a key that is none of ours is passed over. What was lately is forgotten over half a
-- minute.
local function count_served(group, jobs, wait_ms, failed)
  local counts = redis.pcall('HMGET', QUEUE .. group, 'ended', 'wait_ms', 'run_ms', 'lately', 'lately_wait_ms', 'at')
  if counts.err then return end
  for i = 1, #counts do counts[i] = tonumber(counts[i] or 0) or 0 end
  local keep = math.exp(math.min(0, counts[6] - now) / 30000)
  redis.pcall('HSET', QUEUE .. group, 'ended', counts[1] + jobs, 'wait_ms', counts[2] + wait_ms,
    'run_ms', counts[3] + ran_ms * jobs / size, 'lately', counts[4] * keep + jobs,
    'lately_wait_ms', counts[5] * keep + wait_ms, 'at', now)
  if failed > 0 then count_failed(group, failed) end
end

for i = 3, #ARGV, 5 do
  local member, fence, state, cause, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local fields, broken = read(member)
  local ours = fields and fields[2] == fence and fields[4]
  local answer = '0'
  if broken then
    quarantine(member, now)
  elseif ours and (fields[1] == 'running' or fields[1] == 'queued') then
    redis.call('SET', OUTPUT .. member, body, 'EX', kept_s(ttl, fields[12]))
    if GIVEN_UP[cause] then bury(member, now_us) end
    local begun, why = tonumber(fields[11] or 0), cause ~= '' and {'c', cause} or NOTHING
    if fields[1] == 'queued' then
      -- So short a pass that its start was not told apart.
      begun = math.floor(now - ran_ms)
      finish(member, state, now, ttl, fields[12], 'a', fields[3] + 1, 'b', begun, 'g', size, unpack(why))
    else
      finish(member, state, now, ttl, fields[12], unpack(why))
    end
    note_served(fields[7] .. ':' .. fields[8], tonumber(fields[10] or fields[9]), begun, cause)
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
    if fields[5] or fields[6] then redis.call('ZREM', DEADLINES, member) end
  end
  if answer == '0' then
    if not ours then late = late + 1 end
  else
    words[#words + 1] = member
    words[#words + 1] = state
  end
  answers[#answers + 1] = answer
end
call_in_pieces('ZREM', LEASES, leases)
say(words)
if late > 0 then redis.pcall('HINCRBY', STATS, 'late_refused', late) end
for group, sum in pairs(served) do count_served(group, sum.jobs, sum.wait_ms, sum.failed) end
return table.concat(answers)
