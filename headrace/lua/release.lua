#!lua flags=allow-oom
-- release: give held jobs back to their old places, charging nothing (shutdown, preemption). The fence changes, so whatever
-- the giver still sends is refused.
-- touches  JOB<m> (state, fence, worker, reason if there is one), READY, TURN, PAID (refunded), BELL, LEASES,
--          PAST<m> (an attempt noted), STATS
-- ARGV     reason or '', (member, fence)*
-- reply    how many went back
local read = reader('s', 'f', 'a', 'w', 'm', 't', 'z', 'j', 'b', 'g')
local now, now_us = now_ms()
local why = ARGV[1] ~= '' and {'r', ARGV[1]} or {}
local released = 0
for i = 2, #ARGV, 2 do
  local member, fence = ARGV[i], ARGV[i + 1]
  local fields = read(member)
  if fields and fields[2] == fence and fields[4] and (fields[1] == 'queued' or fields[1] == 'running') then
    local attempts = fields[1] == 'running' and fields[3] - 1 or fields[3]
    enter_ready(fields[5] .. ':' .. fields[6], member, fields[7])
    redis.call('HSET', JOB .. member, 's', 'queued', 'f', next_fence(fence, now_us), 'a', attempts, 'w', '', 'l', '',
      'j', '', unpack(why))
    if fields[1] == 'running' then
      note_attempt(member, fields[4], fields[9], now, fields[10], ARGV[1] ~= '' and ARGV[1] or 'given_back')
    end
    charge(fields[5] .. ':' .. fields[6], tenant_of(member), -(fields[8] or 0))
    redis.call('ZREM', LEASES, member .. '#' .. fence)
    released = released + 1
  end
end
if ARGV[1] == 'preempted' and released > 0 then redis.pcall('HINCRBY', STATS, 'preempted', released) end
return released
