// Microphone -> 20 ms frames of mu-law at 8 kHz, on the audio thread. Posts {ulaw, level} to the page.

import { PHONE_RATE_HZ, Resampler, encodeUlaw, rms } from "./dsp.js";

const FRAME_SAMPLES = 160;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(Math.round(sampleRate), PHONE_RATE_HZ);
    this.frame = new Float32Array(FRAME_SAMPLES);
    this.filled = 0;
  }

  process(inputs) {
    const channel = inputs[0][0];
    if (!channel) return true;
    for (const sample of this.resampler.process(channel)) {
      this.frame[this.filled++] = sample;
      if (this.filled === FRAME_SAMPLES) this.flush();
    }
    return true;
  }

  flush() {
    const ulaw = encodeUlaw(this.frame);
    this.port.postMessage({ ulaw, level: rms(this.frame) }, [ulaw.buffer]);
    this.filled = 0;
  }
}

registerProcessor("microphone", Microphone);
