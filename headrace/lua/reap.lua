#!lua flags=allow-oom
-- reap: take jobs back whose lease ran out: a new fence at once, so that the silent worker's result will be refused, then
-- the old place in the queue, or failed if no attempt is left, or none may be repeated for this. A job that was leased but
-- never begun is charged nothing; but that its worker was lost is counted, and `claim` tells it, so that a job that takes its
-- workers along runs alone.
-- touches  LEASES, JOB<m>, INPUT<m>, OUTPUT<m> (error document), READY with TURN, PAID (refunded) and BELL, DEADLINES, EVENTS, STATS,
--          PAST<m> (an attempt noted), QUEUE<group> hash (failures counted), OUTBOX with COURIERS, DEAD<tenant> zset of jobs given up,
--          USAGE with USAGE_DAYS
-- ARGV     at most, ttl s
-- reply    {requeued, ended}
local read = reader('s', 'f', 'a', 'n', 'w', 'm', 't', 'z', 'h', 'k', 'j', 'T', 'b', 'g', 'B', 'R')
local now, now_us = now_ms()
local requeued, ended, words = 0, 0, {}
for _, lease in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local member, fence = string.match(lease, '^(.*)#(%d+)$')
  local fields, broken
  if member then fields, broken = read(member) end
  if broken then quarantine(member, now) end
  local held = fields and fields[2] == fence and (fields[5] or fields[1] ~= 'queued')
  local state, ttl = held and fields[1], fields and fields[12] or ARGV[2]
  local is_final = held and fields[16] and not string.find(fields[16], ',worker_lost,', 1, true)
  if state == 'canceling' then
    finish(member, 'canceled', now, ttl, fields[9])
    redis.call('ZREM', DEADLINES, member)
    note_usage(tenant_of(member), fields[6] .. ':' .. fields[7], 'canceled', 1)
    words[#words + 1] = member .. ' canceled'
    ended = ended + 1
  elseif state == 'running' and (is_final or tonumber(fields[3]) >= tonumber(fields[4])) then
    local detail = is_final and 'its worker was lost, and its retry_on does not name worker_lost'
      or 'its worker was lost during the last attempt'
    redis.call('SET', OUTPUT .. member, '{"cause":"worker_lost","detail":"' .. detail .. '","retryable":true}', 'EX',
      kept_s(ttl, fields[9]))
    bury(member, now_us)
    finish(member, 'failed', now, ttl, fields[9], 'c', 'worker_lost', 'f', next_fence(fence, now_us))
    count_failed(fields[6] .. ':' .. fields[7], 1)
    note_usage(tenant_of(member), fields[6] .. ':' .. fields[7], 'failed', 1)
    redis.call('ZREM', DEADLINES, member)
    words[#words + 1] = member .. ' failed'
    ended = ended + 1
  elseif state == 'running' or state == 'queued' then
    local group = group_of(fields[6], fields[7], fields[15])
    enter_ready(group, member, fields[8])
    redis.call('HSET', JOB .. member, 's', 'queued', 'f', next_fence(fence, now_us), 'r', 'worker_lost', 'w', '', 'l', '',
      'k', (fields[10] or 0) + 1, 'j', '')
    if state == 'running' then note_attempt(member, fields[5], fields[13], now, fields[14], 'worker_lost') end
    charge(group, tenant_of(member), -(fields[11] or 0))
    requeued = requeued + 1
  end
  redis.call('ZREM', LEASES, lease)
end
count_usage(now)
say(words)
if requeued > 0 then redis.pcall('HINCRBY', STATS, 'rescued', requeued) end
return {requeued, ended}
