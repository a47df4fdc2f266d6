#!lua flags=allow-oom
-- Writes how many workers of each class there should be, why, and what they leave to other classes, if the writer still leads.
-- KEYS[1]  string "scheduler#fence": who leads
-- ARGV[1]  hash: worker class -> count   ARGV[2]  string: the report, JSON
-- ARGV[3]  stream of about 1000 entries: changes of a count, JSON in field `change`
-- ARGV[4]  scheduler#fence   ARGV[5]  report
-- ARGV[6]  string with a time to live: what is left to others, JSON   ARGV[7]  that, empty if nothing is   ARGV[8]  ms to live
-- ARGV[9]  how many changes follow, then those
-- ARGV[…]  class, count, class, count, …
if redis.call('GET', KEYS[1]) ~= ARGV[4] then return 0 end
local first = 10 + tonumber(ARGV[9])
redis.call('DEL', ARGV[1], ARGV[6])
if #ARGV >= first then redis.call('HSET', ARGV[1], unpack(ARGV, first)) end
if ARGV[7] ~= '' then redis.call('SET', ARGV[6], ARGV[7], 'PX', ARGV[8]) end
redis.call('SET', ARGV[2], ARGV[5])
for i = 10, first - 1 do
  redis.call('XADD', ARGV[3], 'MAXLEN', '~', 1000, '*', 'change', ARGV[i])
end
return 1
