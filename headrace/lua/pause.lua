#!lua flags=allow-oom
-- pause: no worker claims from a queue any more; jobs are still accepted for it, and wait. One that is paused stays so since
-- then, for the new reason if there is one.
-- touches  PAUSED hash queue to "ms since when, why"
-- ARGV     queue (name@version:tier, also for what has outgrown a size), why or ''
-- reply    what is kept of it
local queue, why = ARGV[1], ARGV[2]
local was = redis.call('HGET', PAUSED, queue)
local since, before = string.match(was or '', '^(%d+) ?(.*)$')
if not since then since, before = string.format('%.0f', now_ms()), '' end
local said = since .. ' ' .. (why ~= '' and why or before)
redis.call('HSET', PAUSED, queue, said)
return said
