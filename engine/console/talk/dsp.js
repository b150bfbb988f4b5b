// Telephone audio: G.711 mu-law and sample rate conversion. No browser API, so that worklets and tests share it.

export const PHONE_RATE_HZ = 8000;

const LOBES = 24; // of the sinc on each side, at the lower of both rates: 3 ms of delay
const KAISER_BETA = 7; // about 70 dB of stop band
const CUTOFF = 0.925; // of the lower Nyquist frequency: 3.7 kHz at 8 kHz

/** Converts a stream of samples from one integer rate to another by a polyphase windowed sinc. */
export class Resampler {
  constructor(fromHz, toHz) {
    const divisor = gcd(fromHz, toHz);
    this.step = fromHz / divisor;
    this.phases = toHz / divisor;
    const scale = Math.min(1, toHz / fromHz); // of the filter's band to the input's
    this.half = Math.ceil(LOBES / scale);
    this.filters = Array.from({ length: this.phases }, (_, phase) =>
      polyphaseFilter(this.half, phase / this.phases, scale * CUTOFF),
    );
    this.reset();
  }

  /** Forget everything heard, as before the first sample. */
  reset() {
    this.history = new Float32Array(2 * this.half - 1);
    this.time = 0; // of the next output sample: in input samples / phases, from the history's middle
  }

  /** The output that `input` (Float32Array) makes possible; what is missing comes with the next input. */
  process(input) {
    const taps = 2 * this.half;
    const samples = new Float32Array(this.history.length + input.length);
    samples.set(this.history);
    samples.set(input, this.history.length);
    const last = samples.length - taps;
    const count = last < 0 ? 0 : Math.max(0, Math.floor((last * this.phases + this.phases - 1 - this.time) / this.step) + 1);
    const output = new Float32Array(count);
    for (let n = 0; n < count; n++) {
      const start = Math.floor(this.time / this.phases);
      const filter = this.filters[this.time % this.phases];
      let sum = 0;
      for (let k = 0; k < taps; k++) sum += samples[start + k] * filter[k];
      output[n] = sum;
      this.time += this.step;
    }
    const consumed = samples.length - (taps - 1);
    this.time -= consumed * this.phases;
    this.history = samples.slice(consumed);
    return output;
  }
}

function polyphaseFilter(half, fraction, cutoff) {
  const filter = new Float32Array(2 * half);
  let sum = 0;
  for (let k = 0; k < 2 * half; k++) {
    const offset = k - (half - 1) - fraction;
    const position = offset / half;
    const window = Math.abs(position) < 1 ? bessel(KAISER_BETA * Math.sqrt(1 - position * position)) : 0;
    filter[k] = window * (offset === 0 ? 1 : Math.sin(Math.PI * cutoff * offset) / (Math.PI * cutoff * offset));
    sum += filter[k];
  }
  return filter.map((tap) => tap / sum);
}

/** The modified Bessel function of order zero, by its series. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-9; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}

const BIAS = 0x84;
const CLIP = 32635;
const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + BIAS) << ((bits & 0x70) >> 4)) - BIAS;
  return (bits & 0x80 ? -magnitude : magnitude) / 32768;
});

/** Samples of -1 to 1 -> mu-law bytes. */
export function encodeUlaw(samples) {
  const codes = new Uint8Array(samples.length);
  for (let n = 0; n < samples.length; n++) {
    const value = Math.round(samples[n] * 32768);
    const magnitude = Math.min(Math.abs(value), CLIP) + BIAS;
    const exponent = 31 - Math.clz32(magnitude) - 7;
    const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    codes[n] = ~((value < 0 ? 0x80 : 0) | (exponent << 4) | mantissa);
  }
  return codes;
}

/** Mu-law bytes -> samples of -1 to 1. */
export function decodeUlaw(codes) {
  return Float32Array.from(codes, (code) => DECODED[code]);
}

/** Root mean square of samples, 0 to 1. */
export function rms(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length === 0 ? 0 : Math.sqrt(sum / samples.length);
}
