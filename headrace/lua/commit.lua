#!lua flags=allow-oom
-- commit: finish a batch. Each job only if its lease is still ours; a job whose cancellation was asked for ends canceled.
-- touches  OUTPUT<m> string (set, time to live), JOB<m> (state, end, time to live), INPUT<m> (deleted, or kept for a
--          failed job), LEASES, DEADLINES, EVENTS (one entry), STATS
-- ARGV     ttl s, ms that the forward pass took, (member, fence, succeeded | failed, cause or '', body)*
-- reply    one character a job: 1 kept, 2 already kept by the same commit sent before, 0 refused
-- The output comes before the state: a job never looks finished without its result. Sent again after a lost answer it
-- says the event again, for waiters that missed it.
local ttl, ran_ms, now = ARGV[1], tonumber(ARGV[2]), now_ms()
local size = (#ARGV - 2) / 5
local answers, leases, words, late = {}, {}, {}, 0
for i = 3, #ARGV, 5 do
  local member, fence, state, cause, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local fields, broken = read(member, 's', 'f', 'a', 'w', 'd', 'y')
  local ours = fields and fields[2] == fence and fields[4]
  local answer = '0'
  if broken then
    quarantine(member, now)
  elseif ours and (fields[1] == 'running' or fields[1] == 'queued') then
    redis.call('SET', OUTPUT .. member, body, 'EX', ttl)
    local extra = {}
    if cause ~= '' then extra = {'c', cause} end
    if fields[1] == 'queued' then
      -- So short a pass that its start was not told apart.
      extra = {'a', fields[3] + 1, 'b', now - ran_ms, 'g', size, unpack(extra)}
    end
    finish(member, state, now, ttl, unpack(extra))
    answer = '1'
  elseif ours and fields[1] == 'canceling' then
    finish(member, 'canceled', now, ttl)
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
if late > 0 then redis.call('HINCRBY', STATS, 'late_refused', late) end
return table.concat(answers)
