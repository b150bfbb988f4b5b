// The conversation as it happens: who said what, what was heard of it, and where each turn's time went.

// A stage is a bar from one stamp to another; the first stamp that is there counts.
const STAGES = [
  { name: "Pause noticed", from: ["speech_end"], to: "pause", kind: "wait" },
  { name: "Transcript", from: ["pause", "speech_end"], to: "transcript", kind: "model" },
  { name: "End of turn", from: ["pause", "speech_end"], to: "confirmed", kind: "wait", tick: "score" },
  { name: "Knowledge", from: ["transcript"], to: "context", kind: "model" },
  { name: "First word", from: ["context", "transcript"], to: "first_token", kind: "model" },
  { name: "First audio", from: ["first_token", "context"], to: "first_audio", kind: "model" },
  { name: "Released", from: ["confirmed"], to: "released", kind: "engine", after: "first_audio" },
  { name: "On the wire", from: ["released"], to: "first_byte", kind: "engine" },
];
const GOOD_MS = 500;
const FAIR_MS = 1000;

export class Transcript {
  /** `list` (ol) gets a turn each; `summary` a line about all of them; `empty` shows while there are none. */
  constructor(list, summary, empty) {
    Object.assign(this, { list, summary, empty });
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.summary.textContent = "";
    this.turns = new Map();
    this.times = new Map();
    this.empty.hidden = false;
  }

  user({ turn, text }) {
    const view = this.view(turn);
    view.user.textContent = text;
    view.userRow.hidden = !text;
    this.follow();
  }

  agent({ turn, piece, text, kind }) {
    const view = this.view(turn);
    if (kind) view.kind = kind;
    view.pieces.set(piece, text);
    this.drawAgent(view);
  }

  heard({ turn, text, interrupted }) {
    const view = this.view(turn);
    view.heard = text;
    view.interrupted = Boolean(interrupted);
    this.drawAgent(view);
  }

  turn({ turn, user, agent, kind, stamps, tokens, served }) {
    const view = this.view(turn);
    if (user) this.user({ turn, text: user });
    if (agent && view.pieces.size === 0) view.pieces.set(0, agent);
    if (kind) view.kind = kind;
    this.drawAgent(view);
    const total = voiceToVoice(stamps);
    if (total !== null) this.times.set(turn, total);
    view.timing.replaceChildren(...waterfall(stamps ?? {}, total, notes(view.kind, tokens, served)));
    this.drawSummary();
    this.follow();
  }

  drawAgent(view) {
    const text = [...view.pieces].sort(([a], [b]) => a - b).map(([, piece]) => piece.trim()).join(" ");
    const heard = view.interrupted ? (view.heard ?? "") : text;
    const rest = view.interrupted && text.startsWith(heard) ? text.slice(heard.length) : "";
    view.agent.replaceChildren(heard);
    if (rest) view.agent.append(element("s", "unheard", rest));
    if (view.interrupted) view.agent.append(" ", element("span", "tag", "interrupted"));
    view.agentRow.hidden = !text && !heard;
    this.follow();
  }

  drawSummary() {
    const times = [...this.times.values()].sort((a, b) => a - b);
    if (times.length === 0) return;
    const middle = times[Math.floor((times.length - 1) / 2)];
    const turns = times.length === 1 ? "1 answer" : `${times.length} answers`;
    this.summary.textContent = `${turns} · median ${Math.round(middle)} ms`;
  }

  view(turn) {
    const known = this.turns.get(turn);
    if (known) return known;
    const item = element("li", "turn");
    const [userRow, user] = message("caller", "You");
    const [agentRow, agent] = message("agent", "Agent");
    const timing = element("div", "timing");
    timing.setAttribute("aria-live", "off");
    item.append(userRow, agentRow, timing);
    this.list.append(item);
    this.empty.hidden = true;
    const view = { user, userRow, agent, agentRow, timing, pieces: new Map(), heard: null, interrupted: false, kind: "" };
    this.turns.set(turn, view);
    return view;
  }

  follow() {
    const scroller = this.list.parentElement;
    scroller.scrollTop = scroller.scrollHeight;
  }
}

function voiceToVoice(stamps) {
  const { speech_end: from, first_byte: to } = stamps ?? {};
  return Number.isFinite(from) && Number.isFinite(to) && to > from ? to - from : null;
}

function waterfall(stamps, total, note) {
  const stages = STAGES.map((stage) => span(stage, stamps)).filter(Boolean);
  if (stages.length === 0) return note ? [element("p", "note", note)] : [];
  const begin = stamps.speech_end ?? Math.min(...stages.map(({ from }) => from));
  const length = Math.max(1, Math.max(...stages.map(({ to }) => to)) - begin);
  const details = element("details", "waterfall");
  details.open = true;
  const title = element("summary", "");
  const grade = total === null ? "" : total <= GOOD_MS ? "good" : total <= FAIR_MS ? "fair" : "slow";
  title.append(element("span", `figure ${grade}`, total === null ? "–" : `${Math.round(total)} ms`), element("span", "caption", "voice to voice"));
  const chart = element("div", "chart");
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", stages.map(({ name, from, to }) => `${name}: ${Math.round(to - from)} ms`).join(", "));
  for (const stage of stages) chart.append(...row(stage, begin, length));
  details.append(title, chart);
  return note ? [details, element("p", "note", note)] : [details];
}

function span({ name, from, to, kind, tick, after }, stamps) {
  let start = stamps[from.find((stamp) => Number.isFinite(stamps[stamp]))];
  const end = stamps[to];
  if (after && Number.isFinite(stamps[after])) start = Math.max(start, stamps[after]);
  if (!Number.isFinite(start) || !Number.isFinite(end) || end < start) return null;
  return { name, from: start, to: end, kind, tick: stamps[tick] };
}

function row({ name, from, to, kind, tick }, begin, length) {
  const track = element("span", "track");
  const bar = element("span", `bar ${kind}`);
  const percent = (value) => `${Math.max(0, Math.min(100, (100 * value) / length))}%`;
  bar.style.left = percent(from - begin);
  bar.style.width = percent(to - from);
  track.append(bar);
  if (Number.isFinite(tick)) {
    const mark = element("span", "tick");
    mark.style.left = percent(tick - begin);
    track.append(mark);
  }
  return [element("span", "stage", name), track, element("span", "value", `${Math.round(to - from)} ms`)];
}

function notes(kind, tokens, served) {
  const parts = [];
  if (kind && kind !== "reply") parts.push(kind);
  if (Number.isFinite(tokens)) parts.push(`${tokens} tokens`);
  else if (tokens && typeof tokens === "object") parts.push(pairs(tokens));
  if (typeof served === "string") parts.push(served);
  else if (served && typeof served === "object") parts.push(pairs(served));
  return parts.filter(Boolean).join(" · ");
}

function pairs(object) {
  return Object.entries(object)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name} ${value}`)
    .join(" · ");
}

function message(who, label) {
  const row = element("div", `message ${who}`);
  const text = element("p", "text");
  row.append(element("span", "who", label), text);
  row.hidden = true;
  return [row, text];
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
