#!lua flags=allow-oom
-- Gives a device back, if it is still this worker's.
-- KEYS[1]  what the keys of devices begin with   ARGV[1]  worker   ARGV[2]  device
-- Answers 1 if it was.
local key = KEYS[1] .. ARGV[2]
if redis.call('GET', key) ~= ARGV[1] then return 0 end
return redis.call('DEL', key)
