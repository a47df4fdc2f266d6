#!lua flags=allow-oom
-- renew: push the expiry of held leases. The member carries the fence, so a stale worker can never extend its
-- successor's lease.
-- touches  LEASES
-- ARGV     lease ms, "m#fence"*
-- reply    those that are no longer held
local expiry, lost = now_ms() + tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  if redis.call('ZSCORE', LEASES, ARGV[i]) then
    redis.call('ZADD', LEASES, 'XX', 'GT', expiry, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
