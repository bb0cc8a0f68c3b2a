// Audio comes in: a file, or the microphone.

import { UserError } from "./errors.js";
import { sampleRateOf } from "./sample_rate.js";

/**
 * @param {File} file
 * @returns {Promise<{samples: Float32Array, rate: number}>} all of it, mono, at its own rate
 */
export async function decode(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const rate = sampleRateOf(bytes);
  let decoded;
  try {
    decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer);
  } catch {
    throw new UserError("is no audio that this browser can read");
  }
  const mono = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
    const samples = decoded.getChannelData(channel);
    for (let n = 0; n < mono.length; n++) mono[n] += samples[n] / decoded.numberOfChannels;
  }
  return { samples: mono, rate };
}

const PROBLEMS = {
  NotAllowedError:
    "The microphone is not allowed: allow it for this page, in the browser and in the system, " +
    "and press Listen again.",
  NotFoundError: "There is no microphone.",
  NotReadableError: "The microphone does not answer: another program may be using it.",
};

export class Microphone {
  /** Use `Microphone.open`. */
  constructor(stream, context, port) {
    [this.stream, this.context, this.port] = [stream, context, port];
    this.rate = context.sampleRate;
  }

  /**
   * Ask for the microphone and start it. Blocks of samples, at `rate` Hz, come through `port`.
   *
   * @param {() => void} onend the device went away
   */
  static async open(onend) {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) {
      throw new UserError("The microphone needs https:// or localhost, and a browser of today.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        // All three are made for speech, and take music for noise.
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new UserError(PROBLEMS[error.name] ?? `The microphone does not start (${error}).`);
    }
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
      const recorder = new AudioWorkletNode(context, "recorder", {
        numberOfOutputs: 0,
        channelCount: 1, // mixes down
        channelCountMode: "explicit",
      });
      context.createMediaStreamSource(stream).connect(recorder);
      await context.resume();
      stream.getAudioTracks()[0].addEventListener("ended", onend);
      return new Microphone(stream, context, recorder.port);
    } catch (error) {
      close(stream, context);
      throw error;
    }
  }

  close() {
    close(this.stream, this.context);
  }
}

function close(stream, context) {
  for (const track of stream.getTracks()) track.stop();
  context.close();
}
