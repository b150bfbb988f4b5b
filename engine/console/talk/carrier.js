// The carrier's side of a Twilio media stream, spoken by a browser: one socket, one stream.

const MAX_BACKLOG_BYTES = 64 * 1024; // about 4 s of audio that the network has not taken
const FRAME_MS = 20;

export class CarrierStream {
  /** `url`: a WebSocket's, or a path on the page's own server. `on`: {open, media(ulaw), mark(name), clear, event(object), close(code, opened)}, each optional. */
  constructor(url, callId, on) {
    this.callId = callId;
    this.on = on;
    this.streamSid = `MZ${hex(16)}`;
    this.sequence = 0;
    this.chunk = 0;
    this.opened = false;
    this.socket = new WebSocket(new URL(url, location.href.replace(/^http/, "ws")));
    this.socket.onopen = () => this.start();
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = ({ code }) => this.on.close?.(code, this.opened);
  }

  start() {
    this.opened = true;
    this.write({ event: "connected", protocol: "Call", version: "1.0.0" });
    this.send("start", {
      streamSid: this.streamSid,
      accountSid: "browser",
      callSid: this.callId,
      tracks: ["inbound"],
      customParameters: { caller: "browser" },
      mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
    });
    this.on.open?.();
  }

  /** One 20 ms frame of mu-law. A frame that the network cannot take is left out, its number is not. */
  media(ulaw) {
    if (!this.isOpen) return;
    this.chunk += 1;
    if (this.socket.bufferedAmount > MAX_BACKLOG_BYTES) return;
    const payload = btoa(String.fromCharCode(...ulaw));
    const timestamp = String((this.chunk - 1) * FRAME_MS);
    this.send("media", { track: "inbound", chunk: String(this.chunk), timestamp, payload });
  }

  digit(digit) {
    this.send("dtmf", { track: "inbound_track", digit });
  }

  mark(name) {
    this.send("mark", { name });
  }

  /** Hang up: tell the server, then close. */
  stop() {
    this.send("stop", { accountSid: "browser", callSid: this.callId });
    this.socket.close(1000);
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(event, body) {
    this.sequence += 1;
    this.write({ event, sequenceNumber: String(this.sequence), streamSid: this.streamSid, [event]: body });
  }

  write(message) {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
  }

  receive(data) {
    const message = JSON.parse(data);
    switch (message.event) {
      case "media":
        this.on.media?.(Uint8Array.from(atob(message.media.payload), (letter) => letter.charCodeAt(0)));
        break;
      case "mark":
        this.on.mark?.(message.mark.name);
        break;
      case "clear":
        this.on.clear?.();
        break;
      case "parley":
        this.on.event?.(message.parley);
        break;
    }
  }
}

function hex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (value) => value.toString(16).padStart(2, "0")).join("");
}
