#!lua flags=allow-oom
-- forget: give up finished jobs of a tenant, the oldest first, before their time to live is over: Redis holds a window of
-- what has ended, bounded in bytes. A job whose webhook is not told yet stays.
-- touches  INDEX<tenant> (read by rank, removed from), JOB<m>, INPUT<m>, OUTPUT<m>, HOOK<m>, META<m>, PAST<m>, CHECKPOINT<m>
--          (deleted), DEAD<tenant> (removed from), OUTBOX (looked at), STATS
-- ARGV     tenant, first rank, how many to look at
-- reply    {next rank or 0 at the end, forgotten}
-- The index is left last, so `sweep` finds what a stop half-way leaves.
local read = reader('s', 'h')
local tenant, first, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local members = redis.call('ZRANGE', INDEX .. tenant, first, first + limit - 1)
local gone = {}
for _, member in ipairs(members) do
  local fields = read(member)
  local is_over = fields and ENDED[fields[1]]
  if is_over and not (fields[2] and redis.call('ZSCORE', OUTBOX, end_of(member, fields[2]))) then
    redis.call('DEL', OUTPUT .. member, INPUT .. member, HOOK .. member, META .. member, PAST .. member, CHECKPOINT .. member,
      JOB .. member)
    gone[#gone + 1] = member
  end
end
if #gone > 0 then
  redis.pcall('HINCRBY', STATS, 'forgotten', #gone)
  redis.pcall('ZREM', DEAD .. tenant, unpack(gone))
  redis.call('ZREM', INDEX .. tenant, unpack(gone))
end
return {#members < limit and 0 or first + limit - #gone, #gone}
