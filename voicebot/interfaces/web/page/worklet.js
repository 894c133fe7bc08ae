// Runs where the browser's audio runs: cuts the microphone into frames of 20 ms at 16 kHz, and plays those that come.
//
// Both sides share the clock of this thread, so each frame can say how much had been played when it began.

const RATE_HZ = 16_000;
const FRAME = 320;
const HEAD_BYTES = 8;
const READY_FRAMES = 2; // gathered before playing begins, and again after it ran dry
const WANTED_FRAMES = 5; // what waits beyond that is dropped where it is silent
const MOST_FRAMES = 25;

// Band-limited interpolation: a sinc in a Hann window, of which the fractions of a sample are tabulated.
class Resampler {
  static PHASES = 480;

  constructor(fromHz, toHz) {
    const cutoff = 0.94 * Math.min(1, toHz / fromHz);
    this.step = fromHz / toHz;
    this.half = Math.ceil(16 / cutoff);
    this.taps = 2 * this.half;
    this.table = new Float32Array((Resampler.PHASES + 1) * this.taps);
    for (let phase = 0; phase <= Resampler.PHASES; phase += 1) {
      for (let tap = 0; tap < this.taps; tap += 1) {
        const t = tap - this.half + 1 - phase / Resampler.PHASES;
        const sinc = t === 0 ? 1 : Math.sin(Math.PI * cutoff * t) / (Math.PI * cutoff * t);
        const hann = Math.abs(t) >= this.half ? 0 : 0.5 + 0.5 * Math.cos((Math.PI * t) / this.half);
        this.table[phase * this.taps + tap] = cutoff * sinc * hann;
      }
    }
    this.kept = new Float32Array(this.taps);
    this.at = this.half;
  }

  process(input) {
    const all = new Float32Array(this.kept.length + input.length);
    all.set(this.kept);
    all.set(input, this.kept.length);
    const out = [];
    for (; this.at + this.half < all.length; this.at += this.step) {
      const whole = Math.floor(this.at);
      const row = Math.round((this.at - whole) * Resampler.PHASES) * this.taps;
      const first = whole - this.half + 1;
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap += 1) sum += all[first + tap] * this.table[row + tap];
      out.push(sum);
    }
    const done = Math.max(0, Math.floor(this.at) - this.half);
    this.kept = all.slice(done);
    this.at -= done;
    return out;
  }
}

class Voice extends AudioWorkletProcessor {
  constructor() {
    super();
    this.down = new Resampler(sampleRate, RATE_HZ);
    this.up = new Resampler(RATE_HZ, sampleRate);
    this.frame = null;
    this.number = 0;
    this.filled = 0;
    this.waiting = [];
    this.sounding = [];
    this.taken = 0; // samples of what came that are played, dropped or about to be
    this.playing = false;
    this.port.onmessage = ({ data }) => this.waiting.push(new Int16Array(data));
  }

  process([input], [[output]]) {
    const played = Math.max(0, Math.round(this.taken - (this.sounding.length * RATE_HZ) / sampleRate));
    this.play(output);
    for (const sample of this.down.process(input[0] ?? new Float32Array(output.length))) this.hear(sample, played);
    return true;
  }

  hear(sample, played) {
    if (this.filled === 0) this.frame = this.newFrame(played);
    const level = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
    this.frame.setInt16(HEAD_BYTES + 2 * this.filled, level, true);
    this.filled += 1;
    if (this.filled === FRAME) {
      this.filled = 0;
      this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
    }
  }

  newFrame(played) {
    const frame = new DataView(new ArrayBuffer(HEAD_BYTES + 2 * FRAME));
    frame.setUint32(0, this.number, true);
    frame.setUint32(4, played, true);
    this.number += 1;
    return frame;
  }

  play(output) {
    const surplus = () => this.waiting.length > WANTED_FRAMES && this.waiting[0].every((sample) => sample === 0);
    while (this.waiting.length > MOST_FRAMES || surplus()) this.take();
    this.playing ||= this.waiting.length >= READY_FRAMES;
    while (this.playing && this.sounding.length < output.length) {
      const pcm = this.waiting.length ? this.take() : null;
      if (pcm === null) this.playing = false;
      else for (const sample of this.up.process(Float32Array.from(pcm, (level) => level / 32768))) this.sounding.push(sample);
    }
    const ready = Math.min(output.length, this.sounding.length);
    for (let index = 0; index < ready; index += 1) output[index] = this.sounding[index];
    this.sounding.splice(0, ready);
  }

  take() {
    this.taken += FRAME;
    return this.waiting.shift();
  }
}

registerProcessor("voice", Voice);
