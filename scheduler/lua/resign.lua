#!lua flags=allow-oom
-- Gives the lead back, if it is still held under this fence.
-- KEYS[1]  string "scheduler#fence": who leads
-- ARGV[1]  scheduler#fence
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
