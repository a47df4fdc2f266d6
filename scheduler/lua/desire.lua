#!lua flags=allow-oom
-- Writes how many workers of each class there should be, if the writer still leads.
-- KEYS[1]  string "scheduler#fence": who leads
-- ARGV[1]  hash: worker class -> count
-- ARGV[2]  scheduler#fence   ARGV[3…]  class, count, class, count, …
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('DEL', ARGV[1])
if #ARGV > 2 then redis.call('HSET', ARGV[1], unpack(ARGV, 3)) end
return 1
