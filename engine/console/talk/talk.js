// The page's phone: a call from Call to Hang up, with one way back when the connection is lost.

import { Refusal } from "./account.js";
import { CarrierStream } from "./carrier.js";
import { Chooser } from "./chooser.js";
import { Transcript } from "./transcript.js";

const RECONNECT_AFTER_MS = [0, 400, 1000, 1800]; // within the 4 s for which the server keeps a call
const GOODBYE_MS = 5000; // how long the server may take to close after it said that the call ended
const QUIET_DB = -60;
const LOUD_DB = -12;
const STATES = {
  idle: "Ready",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  listening: "Listening",
  hearing: "Listening",
  thinking: "Thinking…",
  speaking: "Speaking",
  paused: "Listening",
  ended: "Call ended",
};
const MICROPHONE = {
  NotAllowedError: "The microphone was refused. Allow it for this page in your browser, then call again.",
  NotFoundError: "No microphone was found. Connect one, then call again.",
  NotReadableError: "The microphone is in use by another program. Close that program, then call again.",
};

const page = Object.fromEntries(
  ["call", "call-label", "mute", "keypad-toggle", "keypad", "state", "orb", "agent", "timer", "error", "notice"]
    .concat(["turns", "summary", "empty", "level-you", "level-agent"])
    .concat(["account", "sign-in", "sign-in-button", "email", "password"])
    .concat(["who", "who-email", "sign-out", "choice", "company-field", "company", "agents"])
    .map((id) => [id, document.getElementById(id)]),
);
const transcript = new Transcript(page.turns, page.summary, page.empty);
let call = null;
let line = null; // whom the next call calls, and how

/** Microphone and loudspeaker of one call. */
class Audio {
  static async open(onFrame, onPlayed) {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) {
      throw new Refusal("This browser cannot use the microphone here. Open the page over https, or at http://127.0.0.1, in a current browser.");
    }
    const context = new AudioContext({ latencyHint: "interactive" });
    const audio = new Audio(context);
    try {
      audio.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      await Promise.all(["microphone", "player"].map((name) => context.audioWorklet.addModule(`/talk/${name}-worklet.js`)));
      await context.resume();
    } catch (error) {
      await audio.close();
      if (error instanceof DOMException && error.name in MICROPHONE) throw new Refusal(MICROPHONE[error.name]);
      throw error;
    }
    audio.connect(onFrame, onPlayed);
    return audio;
  }

  constructor(context) {
    this.context = context;
    this.stream = null;
  }

  connect(onFrame, onPlayed) {
    const microphone = new AudioWorkletNode(this.context, "microphone", { channelCount: 1, channelCountMode: "explicit" });
    this.player = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    microphone.port.onmessage = ({ data }) => {
      showLevel(page["level-you"], data.level);
      onFrame(data.ulaw);
    };
    this.player.port.onmessage = ({ data }) => {
      if (data.mark !== undefined) onPlayed(data.mark);
      else showLevel(page["level-agent"], data.level);
    };
    this.context.createMediaStreamSource(this.stream).connect(microphone);
    microphone.connect(this.context.destination); // silent, but what is connected is sure to run
    this.player.connect(this.context.destination);
  }

  play(message) {
    this.player.port.postMessage(message);
  }

  mute(muted) {
    for (const track of this.stream.getAudioTracks()) track.enabled = !muted;
  }

  async close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context.state !== "closed") await this.context.close();
    for (const meter of [page["level-you"], page["level-agent"]]) showLevel(meter, 0);
  }
}

/** One call: its audio, its current socket, and what to do when either fails. */
class Call {
  constructor(line) {
    this.line = line;
    this.id = null;
    this.audio = null;
    this.carrier = null;
    this.over = false;
    this.endReason = null;
    this.startedAt = null;
  }

  async start() {
    showState("connecting");
    const audio = await Audio.open(
      (ulaw) => this.carrier?.media(ulaw),
      (name) => this.carrier?.mark(name),
    );
    if (this.over) return audio.close();
    this.audio = audio;
    await this.connect(await this.session());
  }

  /** Where to connect; once the call has an id, to go on with it. */
  async session() {
    try {
      return await this.line.session(this.id);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status === 0) throw error;
      const refused = error.status === 503 ? "The server cannot take the call now" : "The call was refused";
      throw new Refusal(`${refused}: ${error.message}`, error.status);
    }
  }

  /** Resolves when the socket is open. */
  connect({ url, call_id: id }) {
    this.id = id;
    return new Promise((resolve, reject) => {
      if (this.over) return resolve();
      const carrier = new CarrierStream(url, id, {
        open: () => {
          if (this.over) return carrier.stop();
          this.carrier = carrier;
          this.startedAt ??= Date.now();
          showState("connected");
          resolve();
        },
        media: (ulaw) => this.audio.play({ ulaw }),
        mark: (mark) => this.audio.play({ mark }),
        clear: () => this.audio.play({ clear: true }),
        event: (event) => this.onEvent(event),
        close: (code, opened) => {
          if (!opened) reject(new Refusal("The server did not take the call: it may be full or still starting. Try again in a moment."));
          else if (this.carrier === carrier) this.onClose(code);
        },
      });
    });
  }

  onEvent(event) {
    switch (event.type) {
      case "call":
        page.agent.textContent = typeof event.agent === "string" && event.agent ? event.agent : "Agent";
        break;
      case "state":
        showState(event.state);
        break;
      case "ended":
        this.endReason = event.reason || "the agent hung up";
        setTimeout(() => this.finish(), GOODBYE_MS);
        break;
      case "user":
      case "agent":
      case "heard":
      case "turn":
        transcript[event.type](event);
        break;
    }
  }

  onClose(code) {
    this.carrier = null;
    if (this.over) return;
    if (this.endReason !== null || code === 1000) this.finish();
    else this.reconnect().catch((error) => this.finish(error));
  }

  async reconnect() {
    showState("reconnecting");
    this.audio.play({ clear: true });
    for (const delay of RECONNECT_AFTER_MS) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (this.over) return;
      try {
        return await this.connect(await this.session());
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
    }
    throw new Refusal("The connection was lost and the call could not be resumed. Call again.");
  }

  hangUp() {
    this.carrier?.stop();
    this.endReason ??= "you hung up";
    this.finish();
  }

  finish(error) {
    if (this.over) return;
    this.over = true;
    this.carrier?.stop();
    this.audio?.close();
    call = null;
    showCall(false);
    page.call.disabled = line === null;
    showState(this.startedAt ? "ended" : "idle");
    if (error) showError(error);
    else if (this.endReason) page.notice.textContent = `Call ended: ${this.endReason}.`;
  }
}

function showState(state) {
  page.state.textContent = STATES[state] ?? state;
  page.orb.dataset.state = state in STATES ? state : "connected";
}

function showCall(active) {
  page.call.classList.toggle("active", active);
  page["call-label"].textContent = active ? "Hang up" : "Call";
  page.mute.disabled = !active;
  page.mute.setAttribute("aria-pressed", "false");
  for (const key of page.keypad.querySelectorAll("button")) key.disabled = !active;
  chooser.lock(active);
}

function showLine(chosen) {
  line = chosen;
  page.call.disabled = line === null && call === null; // it hangs up, too
  page.agent.textContent = line?.name ?? "Nobody to call yet";
}

function showError(error) {
  if (!(error instanceof Refusal)) console.error(error);
  page.error.textContent = error instanceof Refusal ? error.message : "Something went wrong in this page. Reload it and call again.";
  page.error.hidden = false;
}

function clearMessages() {
  page.error.hidden = true;
  page.notice.textContent = "";
}

function showLevel(meter, level) {
  const db = 20 * Math.log10(Math.max(level, 1e-6));
  const value = Math.max(0, Math.min(1, (db - QUIET_DB) / (LOUD_DB - QUIET_DB)));
  meter.firstElementChild.style.transform = `scaleX(${value.toFixed(3)})`;
  meter.setAttribute("aria-valuenow", String(Math.round(100 * value)));
}

function showTime() {
  if (!call?.startedAt) return;
  const seconds = Math.floor((Date.now() - call.startedAt) / 1000);
  page.timer.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function toggleCall() {
  if (call) return call.hangUp();
  clearMessages();
  page.timer.textContent = "";
  transcript.clear();
  const started = new Call(line);
  call = started;
  showCall(true);
  started.start().catch((error) => started.finish(error));
}

function press(digit) {
  if (!call?.carrier) return;
  call.carrier.digit(digit);
  const key = page.keypad.querySelector(`[data-digit="${CSS.escape(digit)}"]`);
  key?.classList.add("pressed");
  setTimeout(() => key?.classList.remove("pressed"), 150);
}

page.call.addEventListener("click", toggleCall);
page.mute.addEventListener("click", () => {
  const muted = page.mute.getAttribute("aria-pressed") !== "true";
  call?.audio?.mute(muted);
  page.mute.setAttribute("aria-pressed", String(muted));
});
page["keypad-toggle"].addEventListener("click", () => {
  page.keypad.hidden = !page.keypad.hidden;
  page["keypad-toggle"].setAttribute("aria-expanded", String(!page.keypad.hidden));
});
page.keypad.addEventListener("click", ({ target }) => {
  const key = target.closest("button");
  if (key) press(key.dataset.digit);
});
document.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
  if (!ctrlKey && !metaKey && !altKey && /^[0-9*#]$/.test(key)) press(key);
});
const chooser = new Chooser(page, { line: showLine, refused: showError, cleared: clearMessages });
chooser.open();
window.addEventListener("pagehide", () => call?.hangUp());
setInterval(showTime, 250);
