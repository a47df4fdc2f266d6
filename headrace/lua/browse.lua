#!lua flags=no-writes
-- browse: a stretch of a tenant's jobs, the newest first, with what was noted beside them.
-- touches  INDEX<tenant>, JOB<m>, META<m> (all read only)
-- ARGV     tenant, score from which on (and older), member after which to go on or '', how many
-- reply    (m, score, record, metadata or false)*
-- A member that is no longer there is gone on from by its score: some jobs may come twice then, and none is left out.
local tenant, from, after, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local index = INDEX .. tenant
local rank = after ~= '' and redis.call('ZREVRANK', index, after)
local first = rank and rank + 1 or redis.call('ZCOUNT', index, '(' .. from, '+inf')
local found, reply = redis.call('ZREVRANGE', index, first, first + limit - 1, 'WITHSCORES'), {}
for i = 1, #found, 2 do
  local record = redis.pcall('HGETALL', JOB .. found[i])
  local notes = redis.pcall('GET', META .. found[i])
  local n = #reply
  reply[n + 1], reply[n + 2] = found[i], found[i + 1]
  reply[n + 3] = record.err and {} or record
  reply[n + 4] = type(notes) == 'string' and notes
end
return reply
