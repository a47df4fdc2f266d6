#!lua flags=allow-oom
-- resume: workers claim from a queue again.
-- touches  PAUSED hash queue to why, GROUPS zset (read), TURN<group> (looked at), BELL<group> stream
-- ARGV     queue (name@version:tier, also for what has outgrown a size)
-- reply    1 if it was paused
-- Nobody else rings for what has waited meanwhile. The bells come first: if this stops between them, the queue is still
-- paused, and whoever asks again rings all of them.
local queue = ARGV[1]
for _, group in ipairs(redis.call('ZRANGE', GROUPS, 0, -1)) do
  if counted_in(group) == queue and redis.call('EXISTS', TURN .. group) == 1 then tell(BELL .. group, 1, '*', 'r', 1) end
end
return redis.call('HDEL', PAUSED, queue)
