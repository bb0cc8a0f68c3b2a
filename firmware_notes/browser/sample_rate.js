// The sample rate that a file says it has.
//
// Browsers resample whatever they decode, with short filters that dull the highest bands, to the
// rate that they are asked for. Asked for the file's own rate, they leave the samples alone.

const ANY = 48_000; // what most other formats have; a wrong guess costs quality alone
const MP3_RATES = {
  0: [11_025, 12_000, 8000],
  2: [22_050, 24_000, 16_000],
  3: [44_100, 48_000, 32_000],
};

/**
 * @param {Uint8Array} bytes of an audio file
 * @returns {number} Hz
 */
export function sampleRateOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let rate;
  try {
    rate = { RIFF: wav, fLaC: flac, OggS: ogg }[text(bytes, 0)]?.(view, bytes);
    rate ??= mp4(view, bytes) ?? mp3(view, bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the file ends before it says
  }
  return rate >= 8000 && rate <= 192_000 ? rate : ANY;
}

function text(bytes, at, length = 4) {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

function wav(view, bytes) {
  for (let at = 12; ; at += 8 + view.getUint32(at + 4, true)) {
    if (text(bytes, at) === "fmt ") return view.getUint32(at + 12, true);
  }
}

/** STREAMINFO comes first; 20 bits. */
function flac(view, _, at = 0) {
  return view.getUint32(at + 18) >>> 12;
}

function ogg(view, bytes) {
  const packet = 27 + view.getUint8(26); // behind the first page's header
  if (text(bytes, packet + 1, 6) === "vorbis") return view.getUint32(packet + 12, true);
  if (text(bytes, packet + 1) === "FLAC") return flac(view, bytes, packet + 9);
  return undefined; // Opus is always decoded to 48 kHz
}

/** The sample description of AAC: a 16.16 number. */
function mp4(view, bytes) {
  if (text(bytes, 4) !== "ftyp") return undefined;
  const [m, p, four, a] = [..."mp4a"].map((letter) => letter.charCodeAt(0));
  for (let at = bytes.indexOf(m); at >= 0; at = bytes.indexOf(m, at + 1)) {
    const found = bytes[at + 1] === p && bytes[at + 2] === four && bytes[at + 3] === a;
    if (found) return view.getUint16(at + 28);
  }
  return undefined;
}

function mp3(view, bytes) {
  let at = 0;
  if (text(bytes, 0, 3) === "ID3") {
    at = 10 + [6, 7, 8, 9].reduce((size, k) => size * 128 + view.getUint8(k), 0);
  }
  const header = view.getUint32(at);
  return header >>> 21 === 0x7ff
    ? MP3_RATES[(header >>> 19) & 3]?.[(header >>> 10) & 3]
    : undefined;
}
