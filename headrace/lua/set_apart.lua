#!lua flags=allow-oom
-- set_apart: what somebody else put where ours belongs. A key of another type is renamed, so that ours can be made anew; of a
-- message its beginning is kept. Both are listed and counted, and neither can stop anybody any more.
-- touches  the keys it is given (renamed to ASIDE<ms>:<key>, with a time to live), STRAYS list of JSON (the newest 100), STATS
-- ARGV     s that they are kept, (key or queue, type that belongs there or '' for a message, why, how it begins)*
-- reply    which of the rows were set apart, from 1
local now, moved = redis.call('TIME')[1] * 1000, {}
for i = 2, #ARGV, 4 do
  local where, kind, why, head = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local found = kind ~= '' and redis.call('TYPE', where).ok or kind
  if kind == '' or (found ~= kind and found ~= 'none') then
    if kind ~= '' then
      why, head = 'a ' .. found .. ' where a ' .. kind .. ' belongs', ASIDE .. now .. ':' .. where
      redis.call('RENAME', where, head)
      redis.call('EXPIRE', head, ARGV[1])
    end
    -- Whatever lies at these two keys must not keep the rest from being set right.
    redis.pcall('LPUSH', STRAYS, cjson.encode({at = now, where = where, why = why, head = head}))
    redis.pcall('LTRIM', STRAYS, 0, 99)
    redis.pcall('HINCRBY', STATS, 'strays', 1)
    moved[#moved + 1] = (i + 2) / 4
  end
end
return moved
