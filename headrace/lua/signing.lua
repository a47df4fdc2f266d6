#!lua flags=allow-oom
-- signing: the secrets that sign a tenant's webhooks; one is made if there is none, or if the newest is to be replaced.
-- touches  SIGNING<tenant> hash (newest secret s, the one before o, until when that signs u)
-- ARGV     tenant, a fresh secret, for how many s the one that it replaces goes on signing (-1: replace none)
-- reply    {newest, the one before?}
local tenant, fresh, keep_s, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local known = redis.call('HMGET', SIGNING .. tenant, 's', 'o', 'u')
if not known[1] then
  redis.call('HSET', SIGNING .. tenant, 's', fresh)
  return {fresh}
elseif keep_s >= 0 then
  redis.call('HSET', SIGNING .. tenant, 's', fresh, 'o', known[1], 'u', now + keep_s * 1000)
  return {fresh, keep_s > 0 and known[1] or nil}
end
return {known[1], tonumber(known[3] or 0) > now and known[2] or nil}
