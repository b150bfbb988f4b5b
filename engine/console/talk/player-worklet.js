// Mu-law at 8 kHz -> loudspeaker, on the audio thread, with a jitter buffer.
// Takes {ulaw}, {mark} and {clear}; posts {mark} when everything before it was played (or cleared) and {level}.

import { PHONE_RATE_HZ, Resampler, decodeUlaw, rms } from "./dsp.js";

const START_DELAY_S = 0.06; // how long the first audio after silence waits for more
const MAX_QUEUED_SAMPLES = 60 * PHONE_RATE_HZ;
const FEED_SAMPLES = 32;
const LEVEL_EVERY_S = 0.05;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(PHONE_RATE_HZ, Math.round(sampleRate));
    this.queue = []; // {samples, offset} and {mark}, in the order they arrived
    this.queued = 0;
    this.ready = new Float32Array(0);
    this.playFrom = null; // frame number at which queued audio starts; null: nothing plays
    this.levelAt = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take({ ulaw, mark, clear }) {
    if (clear) this.clear();
    if (mark !== undefined) this.queue.push({ mark });
    if (ulaw && this.queued + ulaw.length <= MAX_QUEUED_SAMPLES) {
      this.queue.push({ samples: decodeUlaw(ulaw), offset: 0 });
      this.queued += ulaw.length;
      this.playFrom ??= currentFrame + START_DELAY_S * sampleRate;
    }
  }

  clear() {
    for (const { mark } of this.queue) if (mark !== undefined) this.port.postMessage({ mark });
    this.queue = [];
    this.queued = 0;
    this.ready = new Float32Array(0);
    this.resampler.reset();
    this.playFrom = null;
  }

  process(_inputs, outputs) {
    const [output] = outputs[0];
    const playing = this.playFrom !== null && currentFrame >= this.playFrom;
    if (playing || this.queued === 0) this.fill(output.length);
    const count = Math.min(this.ready.length, output.length);
    output.set(this.ready.subarray(0, count));
    this.ready = this.ready.slice(count);
    if (currentFrame >= this.levelAt) {
      this.levelAt = currentFrame + LEVEL_EVERY_S * sampleRate;
      this.port.postMessage({ level: rms(output) });
    }
    return true;
  }

  /** Make `count` output samples ready, as far as there is audio, and report the marks on the way. */
  fill(count) {
    while (this.queue.length > 0 && (this.ready.length < count || this.queue[0].mark !== undefined)) {
      const item = this.queue[0];
      if (item.mark !== undefined) {
        this.port.postMessage({ mark: item.mark });
        this.queue.shift();
        continue;
      }
      const end = Math.min(item.offset + FEED_SAMPLES, item.samples.length);
      this.append(this.resampler.process(item.samples.subarray(item.offset, end)));
      this.queued -= end - item.offset;
      item.offset = end;
      if (end === item.samples.length) this.queue.shift();
    }
    if (this.queue.length === 0 && this.playFrom !== null) {
      this.append(this.resampler.process(new Float32Array(FEED_SAMPLES))); // the filter's tail
      this.resampler.reset();
      this.playFrom = null;
    }
  }

  append(samples) {
    const joined = new Float32Array(this.ready.length + samples.length);
    joined.set(this.ready);
    joined.set(samples, this.ready.length);
    this.ready = joined;
  }
}

registerProcessor("player", Player);
