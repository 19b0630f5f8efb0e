// Reads MP4 files, fragmented and progressive, by ISO/IEC 14496-12, -14 and -15
// alone, so that it shares no mistake with our own code.  Anything that the
// standard forbids is an error, with a sentence that says where.

/** The content of one box, read from its start. */
class Box {
  constructor(file, type, at, head, end, path) {
    Object.assign(this, {
      file,
      type,
      offset: at,
      size: end - at,
      body: at + head,
      at: at + head,
      end,
      path: path ? `${path}/${type}` : type,
    });
  }

  fail(why) { throw new Error(`${this.path} at ${this.offset}: ${why}`); }

  need(condition, why) { if (!condition) this.fail(typeof why === 'function' ? why() : why); }

  take(n) {
    this.need(
      this.at + n <= this.end,
      () => `ends before its fields do (${n} bytes wanted at ${this.at}, it ends at ${this.end})`,
    );
    this.at += n;
    return this.at - n;
  }

  u8() { return this.file[this.take(1)]; }
  u16() { return this.file.readUInt16BE(this.take(2)); }
  u24() { return this.file.readUIntBE(this.take(3), 3); }
  u32() { return this.file.readUInt32BE(this.take(4)); }
  s32() { return this.file.readInt32BE(this.take(4)); }
  wide() { return this.#number(this.file.readBigUInt64BE(this.take(8))); }
  signedWide() { return this.#number(this.file.readBigInt64BE(this.take(8))); }
  name() { return this.file.latin1Slice(this.take(4), this.at); }
  bytes(n) { const from = this.take(n); return this.file.subarray(from, from + n); }

  #number(value) {
    this.need(
      value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER,
      () => `holds ${value}, beyond 2^53`,
    );
    return Number(value);
  }

  /** version and flags of a full box */
  full(...versions) {
    const version = this.u8();
    this.need(versions.includes(version), () => `is of version ${version}, expected ${versions.join(' or ')}`);
    return { version, flags: this.u24() };
  }

  done() { this.need(this.at === this.end, () => `has ${this.end - this.at} bytes behind its fields`); }

  /** The boxes that fill the rest of it. */
  children() {
    const list = [];
    while (this.at < this.end) {
      const box = boxAt(this.file, this.at, this.end, this.path);
      this.at = box.end;
      list.push(box);
    }
    return new Children(this, list);
  }
}

class Children {
  constructor(parent, list) { Object.assign(this, { parent, list }); }

  all(...types) { return this.list.filter((box) => types.includes(box.type)); }

  one(...types) {
    const found = this.all(...types);
    this.parent.need(found.length === 1, () => `has ${found.length} of ${types.join(' or ')}, expected one`);
    return found[0];
  }

  maybe(...types) {
    const found = this.all(...types);
    this.parent.need(found.length <= 1, () => `has ${found.length} of ${types.join(' or ')}, expected at most one`);
    return found[0];
  }
}

/** 4.2 */
function boxAt(file, at, end, path) {
  const where = `${path || 'file'}: box at ${at}`;
  if (end - at < 8) throw new Error(`${where}: only ${end - at} bytes are left for its header`);
  let size = file.readUInt32BE(at);
  const type = file.latin1Slice(at + 4, at + 8);
  let head = 8;
  if (!/^[ -~\xa9]{4}$/.test(type)) throw new Error(`${where}: its type ${JSON.stringify(type)} is no name`);
  if (size === 1) {
    if (end - at < 16) throw new Error(`${where}: ${type} ends in its header`);
    size = Number(file.readBigUInt64BE(at + 8));
    head = 16;
  } else if (size === 0) {
    if (path) throw new Error(`${where}: ${type} has size 0 inside of another box`);
    size = end - at;
  }
  if (size < head) throw new Error(`${where}: ${type} has size ${size}, less than its header`);
  if (at + size > end) throw new Error(`${where}: ${type} has size ${size}, but only ${end - at} bytes are left`);
  return new Box(file, type, at, head, at + size, path);
}

// --- codec configurations ---

/** 14496-1, 8.3.3: a descriptor as {tag, end}; the reader stands at its content. */
function descriptor(box, tag, end) {
  const found = box.u8();
  box.need(found === tag, () => `has descriptor ${found} where ${tag} is expected`);
  let size = 0;
  let byte = 0x80;
  for (let i = 0; i < 4 && byte & 0x80; i++) {
    byte = box.u8();
    size = size * 128 + (byte & 0x7f);
  }
  box.need(!(byte & 0x80), `has a descriptor size of more than four bytes`);
  box.need(
    box.at + size <= end,
    () => `has descriptor ${tag} of ${size} bytes, which goes over the end of what it stands in`,
  );
  return box.at + size;
}

function readEsds(box) {
  box.full(0);
  const end = descriptor(box, 3, box.end);
  box.need(end === box.end, 'has bytes behind its ES_Descriptor');
  box.u16();
  box.need(box.u8() === 0, 'has optional fields, expected none');
  const decoder = descriptor(box, 4, end);
  const kind = box.u8();
  box.need(kind === 0x40, () => `says object type ${kind}, expected 64 (ISO/IEC 14496-3)`);
  const stream = box.u8();
  box.need(stream >> 2 === 5 && (stream & 1) === 1, () => `says stream type byte ${stream}, expected an audio stream`);
  box.take(11);
  const info = descriptor(box, 5, decoder);
  const config = box.bytes(info - box.at);
  box.need(box.at === decoder, 'has bytes behind the DecoderSpecificInfo');
  const sl = descriptor(box, 6, end);
  box.need(sl === end && box.u8() === 2, 'has no SLConfigDescriptor of an MP4 file');
  box.need(config.length >= 2, 'has no AudioSpecificConfig');
  return config;
}

/** 14496-15, 5.3.3.1.2: all parameter sets lie in the record. */
function checkAvcC(box) {
  const config = box.bytes(box.end - box.at);
  box.need(config.length >= 7 && config[0] === 1, 'is not of version 1');
  box.need((config[4] & 3) !== 2, 'has NAL lengths of three bytes');
  let at = 6;
  for (let [kind, count] = [7, config[5] & 31]; kind <= 8; kind++) {
    box.need(count > 0, `has no parameter set of NAL type ${kind}`);
    for (; count > 0; count--) {
      box.need(at + 2 <= config.length, 'is cut in its parameter sets');
      const size = config.readUInt16BE(at);
      box.need(at + 2 + size <= config.length, 'is cut in its parameter sets');
      box.need(
        size > 0 && (config[at + 2] & 31) === kind,
        () => `has NAL type ${config[at + 2] & 31} among those of type ${kind}`,
      );
      at += 2 + size;
    }
    if (kind === 7) {
      box.need(at < config.length, 'ends behind its SPS');
      count = config[at++];
    }
  }
  return config;
}

/** 14496-15, 8.3.3.1.2; 8.4: an hvc1 has all parameter sets here. */
function checkHvcC(box) {
  const config = box.bytes(box.end - box.at);
  box.need(config.length >= 23 && config[0] === 1, 'is not of version 1');
  const kinds = new Set();
  let at = 23;
  for (let arrays = config[22]; arrays > 0; arrays--) {
    box.need(at + 3 <= config.length, 'is cut in its arrays');
    const kind = config[at] & 0x3f;
    let count = config.readUInt16BE(at + 1);
    at += 3;
    for (; count > 0; count--) {
      box.need(at + 2 <= config.length, 'is cut in its arrays');
      const size = config.readUInt16BE(at);
      box.need(at + 2 + size <= config.length, 'is cut in its arrays');
      box.need(
        size > 2 && config[at + 2] >> 1 === kind,
        () => `has a NAL unit of type ${config[at + 2] >> 1} in the array of ${kind}`,
      );
      at += 2 + size;
    }
    kinds.add(kind);
  }
  box.need(at === config.length, () => `has ${config.length - at} bytes behind its arrays`);
  for (const kind of [32, 33, 34]) box.need(kinds.has(kind), `has no parameter set of NAL type ${kind}`);
  return config;
}

// --- moov ---

function readSampleEntry(entry, kind, references) {
  entry.take(6);
  const reference = entry.u16();
  entry.need(reference >= 1 && reference <= references, () => `uses data reference ${reference} of ${references}`);
  const codec = entry.type;
  if (kind === 'video') {
    entry.need(['avc1', 'hvc1', 'hev1'].includes(codec), 'is no video sample entry that we know');
    entry.take(16);
    const width = entry.u16();
    const height = entry.u16();
    entry.take(14);
    entry.need(entry.file[entry.at] <= 31, 'has a compressor name longer than its 31 bytes');
    entry.take(32);
    entry.take(2);
    entry.need(entry.u16() === 0xffff, 'has no -1 where 12.1.3 wants it');
    const inner = entry.children();
    const config = codec === 'avc1' ? checkAvcC(inner.one('avcC')) : checkHvcC(inner.one('hvcC'));
    return { codec, width, height, config };
  }
  entry.need(codec === 'mp4a', 'is no audio sample entry that we know');
  entry.take(8);
  const channels = entry.u16();
  entry.take(6);
  const sampleRate = entry.u16();
  entry.take(2);
  return { codec, channels, sampleRate, config: readEsds(entry.children().one('esds')) };
}

function readTkhd(box) {
  const { version } = box.full(0, 1);
  box.take(version ? 16 : 8);
  const id = box.u32();
  box.need(id !== 0, 'has track id 0');
  box.take(4);
  const duration = version ? box.wide() : box.u32();
  box.take(8 + 2 + 2 + 2 + 2 + 36);
  const width = box.u32() / 65536;
  const height = box.u32() / 65536;
  box.done();
  return { id, duration, width, height };
}

function readMdhd(box) {
  const { version } = box.full(0, 1);
  box.take(version ? 16 : 8);
  const timescale = box.u32();
  box.need(timescale > 0, 'has timescale 0');
  const duration = version ? box.wide() : box.u32();
  box.take(4);
  box.done();
  return { timescale, duration };
}

function readHdlr(box) {
  box.full(0);
  box.take(4);
  const type = box.name();
  box.take(12);
  box.need(box.end > box.at && box.file[box.end - 1] === 0, 'has a name that no zero ends');
  const kind = { vide: 'video', soun: 'audio' }[type];
  box.need(kind, `is of handler ${type}, expected vide or soun`);
  return kind;
}

function readElst(box) {
  const { version } = box.full(0, 1);
  const edits = Array.from({ length: box.u32() }, () => {
    const duration = version ? box.wide() : box.u32();
    const time = version ? box.signedWide() : box.s32();
    box.need(time >= -1, () => `has media time ${time}`);
    const rate = box.u32();
    box.need(rate === 0x10000 || rate === 0, () => `has rate ${rate / 65536}, expected 1 or 0`);
    return { duration, time };
  });
  box.done();
  return edits;
}

/** A table of a full box: `read` for each of its entries. */
function table(box, versions, read) {
  const { version } = box.full(...versions);
  const list = Array.from({ length: box.u32() }, () => read(version));
  box.done();
  return list;
}

function readSizes(box) {
  if (box.type === 'stz2') box.fail('has compact sizes, which we never write');
  box.full(0);
  const same = box.u32();
  const count = box.u32();
  const sizes = Array.from({ length: count }, () => (same ? same : box.u32()));
  box.done();
  return sizes;
}

/** Runs of [count, value] spread over all samples. */
function spread(box, runs, count) {
  const values = runs.flatMap(([n, value]) => {
    box.need(n > 0, 'has a run of no samples');
    return Array(n).fill(value);
  });
  box.need(values.length === count, () => `is for ${values.length} samples, stsz has ${count}`);
  return values;
}

/** 8.7.4: which chunk, and which description, each sample has. */
function placeSamples(stbl, box, offsets, sizes, descriptions) {
  const runs = table(box, [0], () => ({ first: box.u32(), n: box.u32(), description: box.u32() }));
  box.need(sizes.length === 0 || runs[0]?.first === 1, 'does not begin with chunk 1');
  const placed = [];
  runs.forEach(({ first, n, description }, i) => {
    const next = runs[i + 1]?.first ?? offsets.length + 1;
    box.need(next > first, () => `goes from chunk ${first} to ${next}; ${offsets.length} chunks are there`);
    box.need(n > 0, () => `has chunks of no samples from chunk ${first}`);
    box.need(
      description >= 1 && description <= descriptions,
      () => `uses sample description ${description} of ${descriptions}`,
    );
    for (let chunk = first; chunk < next; chunk++) {
      let at = offsets[chunk - 1];
      for (let k = 0; k < n; k++) {
        box.need(placed.length < sizes.length, () => `has more samples than the ${sizes.length} of stsz`);
        const size = sizes[placed.length];
        placed.push({ offset: at, size, description });
        at += size;
      }
    }
  });
  box.need(placed.length === sizes.length, () => `has ${placed.length} samples, stsz has ${sizes.length}`);
  return placed;
}

/** 8.5 to 8.7: samples as {dts, cts, duration, size, key, offset, description}. */
function readTables(stbl, boxes, descriptions, kind) {
  const sizes = readSizes(boxes.one('stsz', 'stz2'));
  const stco = boxes.one('stco', 'co64');
  const offsets = table(stco, [0], () => (stco.type === 'co64' ? stco.wide() : stco.u32()));
  const placed = placeSamples(stbl, boxes.one('stsc'), offsets, sizes, descriptions);

  const stts = boxes.one('stts');
  const durations = spread(stts, table(stts, [0], () => [stts.u32(), stts.u32()]), sizes.length);

  const ctts = boxes.maybe('ctts');
  const shifts = ctts
    ? spread(
        ctts,
        table(ctts, [0, 1], (version) => [ctts.u32(), version ? ctts.s32() : ctts.u32()]),
        sizes.length,
      )
    : Array(sizes.length).fill(0);

  const stss = boxes.maybe('stss');
  const keys = stss && table(stss, [0], () => stss.u32());
  keys?.forEach((key, i) => stss.need(key > (keys[i - 1] ?? 0) && key <= sizes.length,
    () => `names sample ${key} behind ${keys[i - 1] ?? 0}; there are ${sizes.length}`));
  if (stss && kind === 'audio') stss.fail('stands in a track of sound, all of whose samples are keys');
  const isKey = keys && new Set(keys);

  let dts = 0;
  return placed.map((place, i) => {
    const sample = { dts, cts: shifts[i], duration: durations[i], key: isKey ? isKey.has(i + 1) : true, ...place };
    stts.need(sample.duration > 0 || i === placed.length - 1, () => `gives sample ${i + 1} no duration`);
    dts += sample.duration;
    return sample;
  });
}

function readTrak(trak) {
  const boxes = trak.children();
  const head = readTkhd(boxes.one('tkhd'));
  const mdia = boxes.one('mdia').children();
  const { timescale, duration } = readMdhd(mdia.one('mdhd'));
  const kind = readHdlr(mdia.one('hdlr'));
  const minf = mdia.one('minf').children();
  minf.one(kind === 'video' ? 'vmhd' : 'smhd').full(0);

  const dref = minf.one('dinf').children().one('dref');
  dref.full(0);
  const count = dref.u32();
  const references = dref.children().list;
  dref.need(references.length === count && count > 0, () => `says ${count} references and has ${references.length}`);
  for (const url of references)
    url.need(url.type === 'url ' && url.full(0).flags === 1, 'is no reference to this very file');

  const stbl = minf.one('stbl');
  const tables = stbl.children();
  const stsd = tables.one('stsd');
  stsd.full(0);
  const entries = stsd.u32();
  const descriptions = stsd.children().list.map((entry) => readSampleEntry(entry, kind, count));
  stsd.need(
    descriptions.length === entries && entries > 0,
    () => `says ${entries} entries and has ${descriptions.length}`,
  );

  const samples = readTables(stbl, tables, descriptions.length, kind);
  const edts = boxes.maybe('edts');
  const edits = edts ? readElst(edts.children().one('elst')) : [];
  for (const edit of edits)
    edts.need(edit.time <= duration || samples.length === 0, () => `begins at ${edit.time} in a track of ${duration}`);

  const [first] = descriptions;
  const track = {
    id: head.id,
    kind,
    timescale,
    ...first,
    descriptions,
    edits,
    movieDuration: head.duration,
    duration,
    samples,
  };
  if (kind === 'video') {
    trak.need(head.width === first.width && head.height === first.height,
      () => `is ${head.width}x${head.height} in tkhd and ${first.width}x${first.height} in its sample entry`);
  }
  const sum = samples.reduce((n, sample) => n + sample.duration, 0);
  trak.need(
    samples.length === 0 || duration === sum,
    () => `has duration ${duration} in mdhd, its samples have ${sum}`,
  );
  return track;
}

function readMoov(moov) {
  const boxes = moov.children();
  const mvhd = boxes.one('mvhd');
  const { version } = mvhd.full(0, 1);
  mvhd.take(version ? 16 : 8);
  const timescale = mvhd.u32();
  mvhd.need(timescale > 0, 'has timescale 0');
  const duration = version ? mvhd.wide() : mvhd.u32();
  mvhd.take(4 + 2 + 10 + 36 + 24);
  const next = mvhd.u32();
  mvhd.done();

  const tracks = boxes.all('trak').map(readTrak);
  moov.need(tracks.length > 0, 'has no track');
  tracks.forEach((track, i) => {
    moov.need(tracks.findIndex((t) => t.id === track.id) === i, `has track ${track.id} twice`);
    mvhd.need(track.id < next, `says that track ${next} is next, but there is ${track.id}`);
    moov.need(track.samples.length === 0 || track.movieDuration <= duration,
      () => `has duration ${duration}, its track ${track.id} ${track.movieDuration}`);
  });

  const mvex = boxes.maybe('mvex');
  return { timescale, duration, tracks, ...(mvex ? readMvex(mvex, tracks) : { defaults: null }) };
}

/** 8.8.1 to 8.8.3 */
function readMvex(mvex, tracks) {
  const boxes = mvex.children();
  const mehd = boxes.maybe('mehd');
  let fragmentDuration;
  if (mehd) {
    fragmentDuration = mehd.full(0, 1).version ? mehd.wide() : mehd.u32();
    mehd.done();
  }
  const defaults = new Map();
  for (const trex of boxes.all('trex')) {
    trex.full(0);
    const id = trex.u32();
    trex.need(tracks.some((track) => track.id === id), `is of track ${id}, which is not there`);
    trex.need(!defaults.has(id), `is the second of track ${id}`);
    defaults.set(id, { description: trex.u32(), duration: trex.u32(), size: trex.u32(), flags: trex.u32() });
    trex.done();
  }
  for (const { id } of tracks) mvex.need(defaults.has(id), `has no trex of track ${id}`);
  return { defaults, fragmentDuration };
}

// --- fragments ---

const NON_SYNC = 0x10000;

/** 8.8.7 */
function readTfhd(box, movie) {
  const { flags } = box.full(0);
  const id = box.u32();
  const track = movie.tracks.find((t) => t.id === id);
  box.need(track, `is of track ${id}, which is not there`);
  box.need(!(flags & ~0x03003b), () => `has flags ${flags.toString(16)}, some of which mean nothing`);
  const preset = movie.defaults.get(id);
  const found = { track, baseIsMoof: (flags & 0x20000) !== 0, empty: (flags & 0x10000) !== 0 };
  found.base = flags & 1 ? box.wide() : undefined;
  box.need(found.base === undefined || !found.baseIsMoof, 'has both a base offset and default-base-is-moof');
  found.description = flags & 2 ? box.u32() : preset.description;
  box.need(found.description >= 1 && found.description <= track.descriptions.length,
    () => `uses sample description ${found.description} of ${track.descriptions.length}`);
  found.duration = flags & 8 ? box.u32() : preset.duration;
  found.size = flags & 0x10 ? box.u32() : preset.size;
  found.flags = flags & 0x20 ? box.u32() : preset.flags;
  box.done();
  return found;
}

/** 8.8.8; `at` is where the data go on when it does not say. */
function readTrun(box, head, base, at, dts) {
  const { version, flags } = box.full(0, 1);
  box.need(!(flags & ~0xf05), () => `has flags ${flags.toString(16)}, some of which mean nothing`);
  box.need(!(flags & 4) || !(flags & 0x400), 'has flags of the first sample and of each');
  const count = box.u32();
  let offset = flags & 1 ? base + box.s32() : at;
  const first = flags & 4 ? box.u32() : undefined;
  const samples = [];
  for (let i = 0; i < count; i++) {
    const duration = flags & 0x100 ? box.u32() : head.duration;
    const size = flags & 0x200 ? box.u32() : head.size;
    const is = flags & 0x400 ? box.u32() : (i === 0 && first !== undefined ? first : head.flags);
    let cts = 0;
    if (flags & 0x800) cts = version ? box.s32() : box.u32();
    box.need(size > 0, () => `has sample ${i + 1} of no bytes`);
    box.need(duration > 0, () => `has sample ${i + 1} of no duration`);
    samples.push({ dts, cts, duration, size, key: !(is & NON_SYNC), offset, description: head.description });
    dts += duration;
    offset += size;
  }
  box.done();
  return { samples, offset, dts };
}

function readTraf(traf, moof, movie, state, at) {
  const boxes = traf.children();
  traf.need(boxes.list[0]?.type === 'tfhd', 'does not begin with tfhd');
  const head = readTfhd(boxes.one('tfhd'), movie);
  const { id } = head.track;
  const base = head.base ?? (head.baseIsMoof || at === undefined ? moof.offset : at);
  let expected = state.ends.get(id);
  let dts = expected ?? 0;
  const tfdt = boxes.maybe('tfdt');
  if (tfdt) {
    dts = tfdt.full(0, 1).version ? tfdt.wide() : tfdt.u32();
    tfdt.done();
    tfdt.need(expected === undefined || dts >= expected,
      () => `goes back: track ${id} begins at ${dts}, but what was before it ends at ${expected}`);
  }
  const start = dts;
  const samples = [];
  const truns = boxes.all('trun');
  traf.need(truns.length > 0 || head.empty, 'has no run of samples');
  for (const trun of truns) {
    tfdt?.need(trun.offset > tfdt.offset, 'stands behind a trun');
    const run = readTrun(trun, head, base, at ?? base, dts);
    samples.push(...run.samples);
    ({ dts, offset: at } = run);
  }
  state.ends.set(id, dts);
  return { id, at, part: { dts: start, samples } };
}

/** A moof and the mdat behind it. */
function readFragment(moof, mdat, movie, state) {
  moof.need(mdat?.type === 'mdat', () => `is followed by ${mdat?.type ?? 'the end'}, expected mdat`);
  const boxes = moof.children();
  moof.need(boxes.list[0]?.type === 'mfhd', 'does not begin with mfhd');
  const mfhd = boxes.one('mfhd');
  mfhd.full(0);
  const sequence = mfhd.u32();
  mfhd.done();
  mfhd.need(sequence > state.sequence, () => `has sequence ${sequence} behind ${state.sequence}`);
  state.sequence = sequence;

  const tracks = {};
  let at;
  for (const traf of boxes.all('traf')) {
    const read = readTraf(traf, moof, movie, state, at);
    traf.need(!tracks[read.id], `is the second of track ${read.id}`);
    tracks[read.id] = read.part;
    at = read.at;
  }
  moof.need(Object.keys(tracks).length > 0, 'has no track');
  const covered = checkPlaces([mdat], Object.entries(tracks));
  moof.need(
    covered === mdat.end - mdat.body,
    () => `has samples of ${covered} bytes, its mdat has ${mdat.end - mdat.body}`,
  );
  return { offset: moof.offset, size: mdat.end - moof.offset, moofSize: moof.size, sequence, tracks };
}

/** Every sample lies in one mdat and none in another's bytes.  Returns how many bytes they are. */
function checkPlaces(mdats, tracks) {
  const places = tracks.flatMap(([id, { samples }]) => samples.map(({ offset, size }) => ({ id, offset, size })))
    .sort((a, b) => a.offset - b.offset);
  let end = 0;
  let i = 0;
  for (const { id, offset, size } of places) {
    const what = `a sample of track ${id}, ${size} bytes at ${offset},`;
    while (i < mdats.length && mdats[i].end <= offset) i++;
    const mdat = mdats[i];
    if (!mdat || offset < mdat.body || offset + size > mdat.end) throw new Error(`${what} is outside of every mdat`);
    if (offset < end) throw new Error(`${what} begins in the sample before it, which ends at ${end}`);
    end = offset + size;
  }
  return places.reduce((sum, place) => sum + place.size, 0);
}

// --- files ---

function readFtyp(box) {
  const brands = { major: box.name(), minor: box.u32(), compatible: [] };
  while (box.at < box.end) brands.compatible.push(box.name());
  return brands;
}

/** The boxes of a file; with `partial` those that are whole. */
function topBoxes(file, partial) {
  const list = [];
  for (let at = 0; at < file.length; at = list[list.length - 1].end) {
    try {
      list.push(boxAt(file, at, file.length, ''));
    } catch (error) {
      if (!partial) throw error;
      break;
    }
  }
  if (partial && list[list.length - 1]?.type === 'moof') list.pop();
  return list;
}

/**
 * {brands, fragmented, timescale, durationMs, initSize, end, tracks, fragments, unreferenced}
 *   tracks     {id, kind, codec, timescale, width, height, channels, sampleRate, config, descriptions, edits, samples}
 *   fragments  {offset, size, moofSize, sequence, tracks: {ID: {dts, samples}}}
 *   samples    {dts, cts, duration, size, key, offset, description}   in the track's timescale; of all fragments, or of
 *   the tables
 * A file that is still growing is read up to its last whole fragment with
 * `partial`; `end` says up to where.
 */
export function readMp4(file, { partial = false } = {}) {
  const boxes = topBoxes(file, partial);
  if (boxes[0]?.type !== 'ftyp') throw new Error(`file: begins with ${boxes[0]?.type ?? 'nothing'}, expected ftyp`);
  const moovs = boxes.filter((box) => box.type === 'moov');
  if (moovs.length !== 1) throw new Error(`file: has ${moovs.length} of moov, expected one`);
  const [moov] = moovs;
  const movie = readMoov(moov);
  const mdats = boxes.filter((box) => box.type === 'mdat');

  const state = { sequence: -1, ends: new Map() };
  const fragments = [];
  boxes.forEach((box, i) => {
    if (box.type !== 'moof') return;
    if (!movie.defaults) box.fail('stands in a file whose moov has no mvex');
    if (box.offset < moov.offset) box.fail('stands before moov');
    fragments.push(readFragment(box, boxes[i + 1], movie, state));
  });
  const inTables = checkPlaces(mdats, movie.tracks.map((track) => [track.id, track]));
  for (const track of movie.tracks) {
    track.samples = track.samples.concat(fragments.flatMap((fragment) => fragment.tracks[track.id]?.samples ?? []));
  }
  const inFragments = fragments.reduce((sum, { tracks }) => sum
    + Object.values(tracks).reduce((n, part) => n + part.samples.reduce((k, sample) => k + sample.size, 0), 0), 0);

  return {
    brands: readFtyp(boxes[0]),
    fragmented: movie.defaults !== null,
    timescale: movie.timescale,
    durationMs: ((movie.defaults ? movie.fragmentDuration ?? 0 : movie.duration) * 1000) / movie.timescale,
    initSize: moov.end,
    end: boxes[boxes.length - 1].end,
    tracks: movie.tracks,
    fragments,
    unreferenced: mdats.reduce((sum, mdat) => sum + mdat.end - mdat.body, 0) - inTables - inFragments,
  };
}
