#!lua flags=allow-oom
-- note_health: note how a registered receiver has been, unless it was deleted or something else was noted of it since.
-- touches  ENDPOINTS<tenant> hash (looked at), HEALTH<tenant> hash id to JSON, STATS
-- ARGV     tenant, id, what was noted when it was read ('' if nothing), what is to be noted, '1' if it is told nothing more
-- reply    1 noted, 0 not
local tenant, id = ARGV[1], ARGV[2]
local noted = redis.call('HGET', HEALTH .. tenant, id)
if redis.call('HEXISTS', ENDPOINTS .. tenant, id) == 0 or (noted or '') ~= ARGV[3] then return 0 end
redis.call('HSET', HEALTH .. tenant, id, ARGV[4])
if ARGV[5] == '1' then redis.pcall('HINCRBY', STATS, 'endpoints_stopped', 1) end
return 1
