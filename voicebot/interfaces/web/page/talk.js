// A conversation through this device's microphone and speaker.

import { socketUrl } from "./link.js";

const MOST_UNSENT_BYTES = 32_000; // one second; what does not fit is missing, and the numbers tell

export class Talk {
  // `changed` is called with the session's name once it runs, and with null and perhaps a reason when it is over;
  // `level` with the loudness of each frame, 0 to 1.
  constructor(changed, level) {
    this.changed = changed;
    this.level = level;
    this.parts = null;
  }

  get running() {
    return this.parts !== null;
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser gives its microphone only to localhost, or over TLS: configure a certificate.");
    }
    const parts = (this.parts = {});
    try {
      parts.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true },
      });
      parts.context = new AudioContext({ latencyHint: "interactive" });
      await parts.context.audioWorklet.addModule("worklet.js");
      parts.node = new AudioWorkletNode(parts.context, "voice", { outputChannelCount: [1] });
      parts.socket = new WebSocket(socketUrl("api/microphone"));
      parts.socket.binaryType = "arraybuffer";
      parts.socket.onmessage = (event) => this.received(parts, event.data);
      parts.socket.onclose = (event) => this.end(event.reason || (parts.begun ? "" : "It can't be talked to at present."));
    } catch (error) {
      this.end();
      throw error;
    }
  }

  received({ context, node, socket, stream }, data) {
    if (!this.running) return;
    if (typeof data !== "string") {
      node.port.postMessage(data, [data]);
      return;
    }
    this.parts.begun = true;
    node.port.onmessage = ({ data: frame }) => {
      const latency = context.outputLatency || context.baseLatency || 0;
      this.level(loudness(new Int16Array(frame, 8)));
      const head = new DataView(frame);
      head.setUint32(4, Math.max(0, head.getUint32(4, true) - Math.round(latency * 16_000)), true);
      if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < MOST_UNSENT_BYTES) socket.send(frame);
    };
    context.createMediaStreamSource(stream).connect(node).connect(context.destination);
    context.resume();
    this.changed(JSON.parse(data).session, "");
  }

  end(reason = "") {
    const { stream, context, socket } = this.parts ?? {};
    if (!this.parts) return;
    this.parts = null;
    stream?.getTracks().forEach((track) => track.stop());
    context?.close();
    socket?.close();
    this.level(0);
    this.changed(null, reason);
  }
}

function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / samples.length / 2 ** 30 + 1e-9);
  return Math.max(0, Math.min(1, (decibels + 60) / 50));
}
