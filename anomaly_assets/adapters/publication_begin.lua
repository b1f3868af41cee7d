-- Claim models:published for a publication, unless a newer one has it.
--
-- KEYS[3] models:home. ARGV[3..6] home id, count, manifest, settings id.
-- Answers BEGUN, RESUMED (it was being written), COMPLETE (it is already served), SUPERSEDED as_of generation,
-- CONFLICT (the same generation with another content), HOME id (another home's keys), FOREIGN key (not our keys).

local HOME = KEYS[3]
local home_id, count, manifest, settings_id = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

for key, expected in pairs({[PUBLISHED] = 'hash', [UPDATES] = 'zset', [HOME] = 'string'}) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= expected then
    return {'FOREIGN', key}
  end
end

local owner = redis.call('GET', HOME)
if owner and owner ~= home_id then
  return {'HOME', owner}
end

local held = redis.call('HMGET', PUBLISHED, 'as_of', 'generation', 'state', 'count', 'manifest', 'settings_id')
local compared = -1
if redis.call('EXISTS', PUBLISHED) == 1 then
  if not held[1] or not tonumber(held[2]) then
    return {'FOREIGN', PUBLISHED}
  end
  compared = order(held[1], held[2])
end
if compared > 0 then
  return {'SUPERSEDED', held[1], held[2]}
end
if compared == 0 and (held[4] ~= count or held[5] ~= manifest or held[6] ~= settings_id) then
  return {'CONFLICT'}
end

if not owner then
  redis.call('SET', HOME, home_id)
end
if compared == 0 then
  return {held[3] == 'complete' and 'COMPLETE' or 'RESUMED'}
end
redis.call('HSET', PUBLISHED, 'as_of', AS_OF, 'generation', GENERATION, 'state', 'writing', 'count', count,
  'manifest', manifest, 'settings_id', settings_id)
return {'BEGUN'}
