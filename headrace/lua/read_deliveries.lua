#!lua flags=no-writes
-- read_deliveries: how far deliveries are.
-- touches  HOOK<m>, DELIVERY<d>, OUTBOX (all read only)
-- ARGV     d*
-- reply    {URL or false, {field, value, …}, due ms or false} for each
local reply = {}
for i, id in ipairs(ARGV) do
  local url = redis.pcall('GET', HOOK .. string.match(id, '^(.*):'))
  local record = redis.pcall('HGETALL', DELIVERY .. id)
  if type(url) ~= 'string' then url = false end
  reply[i] = {url, record.err and {} or record, redis.call('ZSCORE', OUTBOX, id)}
end
return reply
