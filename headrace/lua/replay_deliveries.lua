#!lua flags=allow-oom
-- replay_deliveries: have deliveries made again that are over, from the first attempt on; and at once those that wait.
-- An event before the end is kept by itself, and told as long as its job is kept, unless it was for a receiver that was
-- replaced (`amend`).
-- touches  JOB<m>, HOOK<m> and OUTPUT<m> (read; time to live), INPUT<m> (time to live), DELIVERY<d> hash (state s,
--          attempts a; time to live), OUTBOX with COURIERS
-- ARGV     ttl s, d*
-- reply    one character a delivery: 1 due now, 0 there is nothing to tell any more, or not yet
-- The job is kept first, then the row is there, the state comes last: a row whose delivery is over is dropped by
-- `claim_deliveries`, so whatever stops this, the delivery is as it was or goes out again.
local read, ttl, now, answers = reader('s', 'h', 'T'), ARGV[1], now_ms(), {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local member = string.match(id, '^([^/]+/.*):%d+$')
  local fields = member and read(member)
  local known = redis.pcall('HMGET', DELIVERY .. id, 's', 'k', 'o')
  local hook = fields and not known.err and redis.call('EXISTS', HOOK .. member) == 1 and fields[2]
  local is_end = hook and ENDED[fields[1]] and id == end_of(member, hook)
  local is_told = is_end or (hook and known[1] and known[2] and known[3] ~= 'withdrawn')
  local own = fields and fields[3]
  if is_told then
    redis.call('EXPIRE', DELIVERY .. id, kept_s(own or ttl, true))
    for _, key in ipairs(is_end and {JOB .. member, INPUT .. member, OUTPUT .. member, HOOK .. member} or {}) do
      redis.call('EXPIRE', key, kept_s(own or ttl, true))
    end
    post(id, now)
    if known[1] and known[1] ~= 'pending' then redis.call('HSET', DELIVERY .. id, 's', 'pending', 'a', 0) end
  end
  answers[#answers + 1] = is_told and '1' or '0'
end
return table.concat(answers)
