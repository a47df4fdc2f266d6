  -- What is not as usual: jobs that have keys, names, or notes, whose end is told, that come later or expire, or of which it is
  -- not plain that all can be accepted. Each is decided by itself; a row is what is found out about one.
  local delayed, claimed_keys = nil, {}

  local function state_of(member)
    local fields = pcall('HMGET', JOB .. member, 's', 'i')
    if fields.err then return nil end
    return fields[1], fields[2]
  end

  -- What an earlier submission says to this one, and which job that made.
  local function replay_of(idem, request)
    local earlier = pcall('GET', idem)
    if type(earlier) == 'string' then
      local known, hash = string.match(earlier, '^(.-)|(.*)$')
      if hash ~= request then return 'mismatch', '' end
      return 'replayed', known
    end
  end

  local function namesake_of(member, request)
    local state, hash = state_of(member)
    if state then
      if hash ~= request then return 'mismatch', '' end
      return 'replayed', member
    end
    if call('EXISTS', NAMED .. member) == 1 then return 'gone', '' end
  end

  -- Whether a job in this state, nil if it is gone, stands for others with its key.
  local function stands(state, scope)
    if scope == 'window' then return ENDED[state] ~= nil end
    return ENDED[state] == false or (scope == 'content' and state == 'succeeded')
  end

  local function twin_of(key, scope)
    local twin = claimed_keys[key]
    if twin then return 'duplicate', twin end
    twin = pcall('GET', DEDUPE .. tenant .. ':' .. key)
    if type(twin) == 'string' and stands(state_of(twin), scope) then return 'duplicate', twin end
  end

  local function take_room(kind)
    kind.queue.depth = kind.queue.depth + 1
    if kind.is_later then
      delayed = delayed + 1
    else
      tenants_room, tenants_depth = tenants_room - 1, tenants_depth + 1
    end
  end

  local function decide(row)
    local member, kind, outcome, known = row.member, row.kind, nil, nil
    if row.idem ~= '' then outcome, known = replay_of(row.idem, row.request) end
    if not outcome and kind.is_named then outcome, known = namesake_of(member, row.request) end
    if outcome then return outcome, known end
    -- The same submission, sent again after its answer was lost.
    row.again = are_known and call('EXISTS', row.key) == 1
    if row.again then return 'accepted', member end
    if kind.twin ~= '' then outcome, known = twin_of(kind.twin, kind.scope) end
    if outcome then return outcome, known end
    if row.depth >= cap then return 'full', '' end
    if kind.is_later then
      delayed = delayed or call('ZCARD', DELAYED)
      if delayed >= cap then
        row.depth = cap
        return 'full', ''
      end
    elseif tenants_room < 1 then
      row.depth = tenants_depth
      return 'tenant_full', ''
    end
    if kind.twin ~= '' then claimed_keys[kind.twin] = member end
    take_room(kind)
    return 'accepted', member
  end

  -- A job whose submitter chose its id has no place by it.
  local came, came_text, last_id
  local function comes_at(number, member, is_named)
    if not last_id or is_named or member <= last_id then
      came = (now_us + number) / 1000
      came_text = format('%.3f', came)
    end
    last_id = not is_named and member or nil
  end

  local function score_of(kind)
    local rounds = not kind.is_later and kind.queue.rounds
    if kind.came ~= came or rounds then
      local arrival = kind.is_later and math.max(came, kind.not_before) or came
      local score = arrival + kind.offset
      if rounds then score = rounds.take(kind.flow, score) end
      -- A deadline moves a job forward within its tier, never past one that arrives now in the tier above.
      if kind.deadline > 0 then score = math.min(score, math.max(kind.deadline, arrival + kind.floor)) end
      kind.came, kind.score = came, format('%.3f', score)
    end
    return kind.score
  end

  -- Makes a job ready to be written; answers its score.
  local function accept(number, member, kind, input)
    local queue = kind.queue
    comes_at(number, member, kind.is_named)
    local score, n = score_of(kind), 2 * count
    count = count + 1
    index[n + 1], index[n + 2], inputs[n + 1], inputs[n + 2] = came_text, member, INPUT .. member, input
    queue.arrived, queue.bytes = queue.arrived + 1, queue.bytes + #input
    if not kind.is_later then
      local entries, k = queue.entries, #queue.entries
      entries[k + 1], entries[k + 2] = score, member
    end
    return score
  end

  local function answer(number, outcome, member, depth)
    local n = 3 * number
    reply[n - 1], reply[n], reply[n + 1] = outcome, member, depth
  end

  -- Where somebody has named a fairness key, all take turns: those without one share one. In an empty queue that is over.
  local stale = {}
  for _, kind in ipairs(kinds) do
    local queue, name = kind.queue, kind.group .. ':' .. tenant
    if not queue.rounds and (kind.flow ~= '' or are_known and call('EXISTS', ROUNDS .. name) == 1) then
      if kind.flow ~= '' or not queue.was_empty then queue.rounds = rounds_of(name) else stale[#stale + 1] = name end
    end
  end

  local rows, is_refused = {}, false
  local REFUSED = {full = true, tenant_full = true, mismatch = true, gone = true}
  for number, key in ipairs(keys) do
    local at = jobs_at + (number - 1) * WIDTH
    local kind = kinds[tonumber(ARGV[at + KIND_AT])]
    local row = {key = key, member = ARGV[at], input = ARGV[at + INPUT_AT], kind = kind, depth = kind.queue.depth}
    at = notes_at + (number - 1) * WIDTH
    row.idem, row.request, row.notes = ARGV[at] or '', ARGV[at + 1] or '', ARGV[at + 2] or ''
    row.outcome, row.known = decide(row)
    is_refused = is_refused or REFUSED[row.outcome]
    rows[number] = row
  end

  local keyed, further, owns = {}, {}, {}
  for number, row in ipairs(rows) do
    local kind = row.kind
    if row.outcome == 'accepted' then
      local has_notes = row.notes ~= ''
      if whole and is_refused and not row.again then
        row.outcome, row.known = 'withheld', ''
      elseif row.idem ~= '' or kind.is_named or kind.twin ~= '' then
        keyed[#keyed + 1] = row
      end
      if row.outcome == 'accepted' and not row.again then
        row.score = accept(number, row.member, kind, row.input)
        if has_notes or kind.expiry or kind.is_later or kind.hook ~= '' then further[#further + 1] = row end
        if has_notes or kind.is_named then
          owns[#owns + 1] = row
        else
          local k = #kind.keys + 1
          kind.keys[k], kind.scores[k] = row.key, row.score
        end
      end
    end
    answer(number, row.outcome, row.known, row.depth)
  end

  local function write_further()
    for _, name in ipairs(stale) do call('DEL', ROUNDS .. name, FLOWS .. name) end
    for _, queue in pairs(queues) do
      if queue.rounds then queue.rounds.write() end
    end
    for _, row in ipairs(further) do
      local member, kind = row.member, row.kind
      if kind.hook ~= '' then call('SET', HOOK .. member, kind.hook) end
      if row.notes ~= '' then call('SET', META .. member, row.notes) end
      if kind.expiry then call('ZADD', DEADLINES, kind.expiry, member) end
      if kind.is_later then call('ZADD', DELAYED, kind.not_before, member) end
    end
  end

  local function keep_own(row)
    local kind, more = row.kind, {unpack(row.kind.more)}
    if row.notes ~= '' then more[#more + 1], more[#more + 2] = 'x', 1 end
    if kind.is_named then more[#more + 1], more[#more + 2] = 'i', row.request end
    keep(row.key, kind, row.score, more)
  end

  local function write_last()
    for _, row in ipairs(owns) do keep_own(row) end
    for _, row in ipairs(keyed) do
      local member, kind, request = row.member, row.kind, row.request
      if kind.is_named then call('SET', NAMED .. member, request, 'EX', name_ttl) end
      if kind.twin ~= '' then call('SET', DEDUPE .. tenant .. ':' .. kind.twin, member, 'EX', kind.twin_s) end
      if row.idem ~= '' then call('SET', row.idem, member .. '|' .. request, 'EX', idem_ttl) end
    end
  end

  return write_further, write_last
