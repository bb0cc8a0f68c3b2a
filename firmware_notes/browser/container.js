// Texts inside a model file, as edge/model/container.py writes them: a .tflite file carries them in a zip
// archive behind the flatbuffer, an .onnx file in its metadata_props.

import { UserError } from "./errors.js";

const DAMAGED = "the file is damaged or incomplete";

/**
 * @param {Uint8Array} bytes a whole model file
 * @returns {"tflite" | "onnx" | null} null for any other file
 */
export function kindOf(bytes) {
  if (String.fromCharCode(...bytes.subarray(4, 8)) === "TFL3") return "tflite";
  try {
    const numbers = new Set([...fields(bytes)].map(({ number }) => number));
    // ModelProto: 1 is the IR version, 7 the graph; its highest field is 26.
    return numbers.has(1) && numbers.has(7) && Math.max(...numbers) <= 26 ? "onnx" : null;
  } catch {
    return null;
  }
}

/**
 * @param {Uint8Array} bytes a TFLite or ONNX file
 * @returns {Promise<Map<string, string>>} the texts by their names
 */
export async function texts(bytes) {
  try {
    return kindOf(bytes) === "onnx" ? properties(bytes) : await archive(bytes);
  } catch {
    throw new UserError(DAMAGED);
  }
}

function properties(bytes) {
  const found = new Map();
  for (const { number, payload } of fields(bytes)) {
    if (number !== 14) continue; // metadata_props: StringStringEntryProto(1 key, 2 value)
    const entry = new Map([...fields(payload)].map((field) => [field.number, field.payload]));
    found.set(text(entry.get(1)), text(entry.get(2)));
  }
  return found;
}

/** Walk over the fields of one protobuf message. */
function* fields(bytes) {
  let position = 0;
  const varint = () => {
    // Not with shifts, which have 32 bits; lengths are below 2 ** 53.
    for (let value = 0, unit = 1; ; unit *= 128) {
      if (position >= bytes.length) throw new RangeError();
      const byte = bytes[position++];
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
    }
  };
  while (position < bytes.length) {
    const tag = varint();
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    let start = position;
    if (wire === 0) varint();
    else if (wire === 1) position += 8;
    else if (wire === 5) position += 4;
    else if (wire === 2) {
      const length = varint();
      start = position;
      position += length;
    } else throw new RangeError();
    if (number === 0 || position > bytes.length) throw new RangeError();
    yield { number, payload: bytes.subarray(start, position) };
  }
}

async function archive(bytes) {
  const found = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOfArchive(view);
  if (end < 0) return found;
  const count = view.getUint16(end + 10, true);
  const [size, offset] = [view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  // Offsets count from the archive's own start, or from the file's: the directory ends here.
  const base = end - size - offset;
  let entry = end - size;
  for (let index = 0; index < count; index++) {
    if (view.getUint32(entry, true) !== 0x02014b50) throw new RangeError();
    const [method, packed] = [view.getUint16(entry + 10, true), view.getUint32(entry + 20, true)];
    const lengths = [28, 30, 32].map((at) => view.getUint16(entry + at, true));
    const name = text(bytes.subarray(entry + 46, entry + 46 + lengths[0]));
    const local = base + view.getUint32(entry + 42, true);
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const content = bytes.subarray(data, data + packed);
    found.set(name, text(method === 8 ? await inflate(content) : content));
    entry += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return found;
}

/** Where the end record of a zip archive is; -1 if there is none. */
function endOfArchive(view) {
  const last = view.byteLength - 22;
  for (let at = last; at >= Math.max(0, last - 0xffff); at--) {
    if (view.getUint32(at, true) === 0x06054b50) return at;
  }
  return -1;
}

async function inflate(content) {
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function text(bytes) {
  return new TextDecoder().decode(bytes);
}
