#!lua flags=allow-oom
-- release: give held jobs back to their old places, charging nothing (shutdown, preemption). The fence changes, so whatever
-- the giver still sends is refused. How far its pass was may be kept for the next worker: it comes first, so that the job is
-- never taken without it; what was kept before stays if nothing newer is given.
-- touches  CHECKPOINT<m> string (set, a week to live), JOB<m> (state, fence, worker, reason and outgrown memory if there are),
--          READY, TURN, PAID (refunded), BELL, LEASES, GROUPS, PAST<m> (an attempt noted), STATS
-- ARGV     reason or '', bytes of memory that the jobs have outgrown or '', (member, fence, how far it is or '')*
-- reply    how many went back
local read = reader('s', 'f', 'a', 'w', 'm', 't', 'z', 'j', 'b', 'g', 'B')
local now, now_us = now_ms()
local outgrown = ARGV[2] ~= '' and ARGV[2]
local changes = ARGV[1] ~= '' and {'r', ARGV[1]} or {}
if outgrown then
  changes[#changes + 1] = 'B'
  changes[#changes + 1] = outgrown
end
local released = 0
for i = 3, #ARGV, 3 do
  local member, fence, kept = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local fields = read(member)
  if fields and fields[2] == fence and fields[4] and (fields[1] == 'queued' or fields[1] == 'running') then
    local attempts = fields[1] == 'running' and fields[3] - 1 or fields[3]
    if kept ~= '' then
      redis.call('SET', CHECKPOINT .. member, kept, 'EX', 604800)
      redis.call('HSET', JOB .. member, 'C', 1)
    end
    local group = group_of(fields[5], fields[6], outgrown or fields[11])
    if outgrown then redis.call('ZADD', GROUPS, now, group) end
    enter_ready(group, member, fields[7])
    redis.call('HSET', JOB .. member, 's', 'queued', 'f', next_fence(fence, now_us), 'a', attempts, 'w', '', 'l', '',
      'j', '', unpack(changes))
    if fields[1] == 'running' then
      note_attempt(member, fields[4], fields[9], now, fields[10], ARGV[1] ~= '' and ARGV[1] or 'given_back')
    end
    charge(group_of(fields[5], fields[6], fields[11]), tenant_of(member), -(fields[8] or 0))
    redis.call('ZREM', LEASES, member .. '#' .. fence)
    released = released + 1
  end
end
if ARGV[1] == 'preempted' and released > 0 then redis.pcall('HINCRBY', STATS, 'preempted', released) end
return released
