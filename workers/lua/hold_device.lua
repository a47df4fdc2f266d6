#!lua flags=allow-oom
-- Takes the first free device of a list for a worker, or keeps the one that it has.
-- KEYS[1]  what the keys of devices begin with; each is a string, the worker that has it, gone when that one is silent
-- ARGV[1]  worker   ARGV[2]  milliseconds until a silent worker loses its device   ARGV[3...]  devices
-- Answers the place in the list, 0 if others have them all.
for place = 3, #ARGV do
  local key = KEYS[1] .. ARGV[place]
  local holder = redis.call('GET', key)
  if not holder or holder == ARGV[1] then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    return place - 2
  end
end
return 0
