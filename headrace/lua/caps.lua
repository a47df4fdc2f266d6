#!lua flags=no-writes
-- caps: how many jobs tenants may have waiting and running.
-- touches  WAITING_CAPS and RUNNING_CAPS hashes (read only)
-- ARGV     none
-- reply    {(tenant, cap)* of waiting jobs, (tenant, cap)* of running ones}
-- What lies there and is none of ours limits nobody.
local reply = {}
for i, key in ipairs({WAITING_CAPS, RUNNING_CAPS}) do
  local found = redis.pcall('HGETALL', key)
  reply[i] = found.err and {} or found
end
return reply
