// Runs in the audio thread: hands the microphone's samples on, some at a time.

const BLOCK = 2048; // samples: 43 ms at 48 kHz

class Recorder extends AudioWorkletProcessor {
  block = new Float32Array(BLOCK);
  filled = 0;

  process([[samples]]) {
    // No channel: nothing is connected, as before the start and after the end.
    if (!samples) return true;
    // BLOCK is a multiple of the 128 samples that come at a time.
    this.block.set(samples, this.filled);
    this.filled += samples.length;
    if (this.filled === BLOCK) {
      this.port.postMessage(this.block, [this.block.buffer]);
      this.block = new Float32Array(BLOCK);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
