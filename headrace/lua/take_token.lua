#!lua flags=allow-oom
-- take_token: count one request of a tenant against its rate: a bucket that fills steadily up to a burst.
-- touches  RATE<tenant> hash (tokens t, at millisecond m), with a time to live of as long as it takes to be full
-- ARGV     tenant, tokens a second, most tokens
-- reply    {1 taken | 0 refused, whole tokens that are left, ms until there is another}
local rate, burst, now = tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms()
local known = redis.pcall('HMGET', RATE .. ARGV[1], 't', 'm')
local tokens, at = tonumber(known[1] or nil) or burst, tonumber(known[2] or nil) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000)
local taken = tokens >= 1 and 1 or 0
tokens = tokens - taken
-- Somebody else's value there limits nobody.
if type(redis.pcall('HSET', RATE .. ARGV[1], 't', tokens, 'm', now)) == 'table' then return {1, burst - 1, 0} end
redis.call('PEXPIRE', RATE .. ARGV[1], math.ceil(burst / rate * 1000) + 1000)
return {taken, math.floor(tokens), math.max(0, math.ceil((1 - tokens) / rate * 1000))}
