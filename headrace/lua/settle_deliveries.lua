#!lua flags=allow-oom
-- settle_deliveries: note what came of attempts, each only under its own fence. What is delivered or given up leaves the
-- outbox, and if it was the end of its job, that is kept for its time from now on. What was not attempted is given back
-- and charged nothing.
-- touches  DELIVERY<d> hash (state s, outcome o, attempts a, fence f; time to live), OUTBOX, JOB<m>, INPUT<m>, OUTPUT<m> and HOOK<m> (time to
--          live), STATS
-- ARGV     ttl s, (d, fence, pending | delivered | failed, outcome or '' if not attempted, ms until the next attempt)*
-- reply    one character a delivery: 1 noted, 0 refused
-- The row leaves last: whatever stops this, `claim_deliveries` finds the delivery again, settled or to be tried once more.
local ttl, answers, now, now_us = ARGV[1], {}, now_ms()
for i = 2, #ARGV, 5 do
  local id, fence, state, outcome, delay = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  local known = redis.pcall('HMGET', DELIVERY .. id, 's', 'f', 'a', 'k')
  local ours = not known.err and known[2] == fence and (known[1] == 'pending' or known[1] == state)
  if ours and outcome == '' then
    redis.call('HSET', DELIVERY .. id, 's', 'pending', 'a', known[3] - 1, 'f', next_fence(fence, now_us))
  elseif ours then
    redis.call('HSET', DELIVERY .. id, 's', state, 'o', outcome)
  end
  if ours and state == 'pending' then
    redis.call('ZADD', OUTBOX, now + delay, id)
  elseif ours then
    local member = string.match(id, '^(.*):%d+$')
    if known[4] then
      mend_end(member, now)
      redis.call('EXPIRE', DELIVERY .. id, ttl)
    else
      local own = redis.pcall('HGET', JOB .. member, 'T')
      for _, key in ipairs({DELIVERY .. id, JOB .. member, INPUT .. member, OUTPUT .. member, HOOK .. member}) do
        redis.call('EXPIRE', key, tonumber(type(own) == 'string' and own or nil) or ttl)
      end
    end
    if known[1] == 'pending' then redis.pcall('HINCRBY', STATS, 'hooks_' .. state, 1) end
    redis.call('ZREM', OUTBOX, id)
  end
  answers[#answers + 1] = ours and '1' or '0'
end
return table.concat(answers)
