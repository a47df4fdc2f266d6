#!lua flags=allow-oom
-- settle_deliveries: note what came of attempts, each only under its own fence. What is delivered or given up leaves the
-- outbox, and its job is kept for the usual time from now on.
-- touches  DELIVERY<d> hash (state s, outcome o; time to live), OUTBOX, JOB<m>, INPUT<m>, OUTPUT<m> and HOOK<m> (time to
--          live), STATS
-- ARGV     ttl s, (d, fence, pending | delivered | failed, outcome, ms until the next attempt)*
-- reply    one character a delivery: 1 noted, 0 refused
-- The row leaves last: whatever stops this, `claim_deliveries` finds the delivery again, settled or to be tried once more.
local ttl, now, answers = ARGV[1], now_ms(), {}
for i = 2, #ARGV, 5 do
  local id, fence, state, outcome, delay = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  local known = redis.pcall('HMGET', DELIVERY .. id, 's', 'f')
  local ours = not known.err and known[2] == fence and (known[1] == 'pending' or known[1] == state)
  if ours then redis.call('HSET', DELIVERY .. id, 's', state, 'o', outcome) end
  if ours and state == 'pending' then
    redis.call('ZADD', OUTBOX, now + delay, id)
  elseif ours then
    local member = string.match(id, '^(.*):%d+$')
    for _, key in ipairs({DELIVERY .. id, JOB .. member, INPUT .. member, OUTPUT .. member, HOOK .. member}) do
      redis.call('EXPIRE', key, ttl)
    end
    if known[1] == 'pending' then redis.pcall('HINCRBY', STATS, 'hooks_' .. state, 1) end
    redis.call('ZREM', OUTBOX, id)
  end
  answers[#answers + 1] = ours and '1' or '0'
end
return table.concat(answers)
