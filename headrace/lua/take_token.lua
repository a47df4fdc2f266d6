#!lua flags=allow-oom
-- take_token: count one request against the rates of its tenant and its key, each a bucket that fills steadily up to a
-- burst: a token of each, or of none if one of them has none.
-- touches  RATE<bucket> hash (tokens t, at millisecond m), with a time to live of as long as it takes to be full
-- ARGV     for each bucket: its name, tokens a second, most tokens
-- reply    for each: {1 it had a token | 0 it had none, whole tokens that are left, ms until there is another}
local now, buckets, taken = now_ms(), {}, 1
for at = 1, #ARGV, 3 do
  local key, rate, burst = RATE .. ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local known = redis.pcall('HMGET', key, 't', 'm')
  local tokens, since = tonumber(known[1] or nil) or burst, tonumber(known[2] or nil) or now
  tokens = math.min(burst, tokens + math.max(0, now - since) * rate / 1000)
  if tokens < 1 then taken = 0 end
  buckets[#buckets + 1] = {key = key, rate = rate, burst = burst, tokens = tokens}
end
local reply = {}
for i, bucket in ipairs(buckets) do
  local left = bucket.tokens - taken
  if type(redis.pcall('HSET', bucket.key, 't', left, 'm', now)) == 'table' then
    -- Somebody else's value there limits nobody.
    reply[i] = {1, bucket.burst - 1, 0}
  else
    redis.call('PEXPIRE', bucket.key, math.ceil(bucket.burst / bucket.rate * 1000) + 1000)
    local next_ms = math.max(0, math.ceil((1 - left) / bucket.rate * 1000))
    reply[i] = {bucket.tokens >= 1 and 1 or 0, math.floor(left), next_ms}
  end
end
return reply
