-- Claim models:published for a publication, unless a newer one has it.
--
-- KEYS[3] models:home, KEYS[4] models:format. ARGV[3..7] home id, count, manifest, settings id, format of the models.
-- Format 1 is that of a store without the key. What lies there in another format is written again, unless it is newer.
-- Answers BEGUN, RESUMED (it was being written), COMPLETE (it is already served), SUPERSEDED as_of generation,
-- CONFLICT (the same generation with another content; while it is written the count may change, as a wallet may be
-- erased), HOME id (another home's keys), FOREIGN key (not our keys).

local HOME, FORMAT = KEYS[3], KEYS[4]
local home_id, count, manifest, settings_id, format = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

for key, expected in pairs({[PUBLISHED] = 'hash', [UPDATES] = 'zset', [HOME] = 'string', [FORMAT] = 'string'}) do
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
local recounted = compared == 0 and held[4] ~= count
if compared == 0 and (held[5] ~= manifest or held[6] ~= settings_id) or recounted and held[3] == 'complete' then
  return {'CONFLICT'}
end

local other_format = (redis.call('GET', FORMAT) or '1') ~= format

-- First of all writes, so that a full server refuses before any key has changed: the record of the publication.
if compared < 0 then
  redis.call('HSET', PUBLISHED, 'as_of', AS_OF, 'generation', GENERATION, 'state', 'writing', 'count', count,
    'manifest', manifest, 'settings_id', settings_id)
elseif other_format or recounted then
  redis.call('HSET', PUBLISHED, 'state', 'writing', 'count', count)
  held[3] = 'writing'
end
if not owner then
  redis.call('SET', HOME, home_id)
end
if other_format and format == '1' then
  redis.call('DEL', FORMAT)
elseif other_format then
  redis.call('SET', FORMAT, format)
end
if compared < 0 then
  return {'BEGUN'}
end
return {held[3] == 'complete' and 'COMPLETE' or 'RESUMED'}
