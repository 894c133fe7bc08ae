// What was said, turn by turn, and where each conversation stands.

import { byId, element, milliseconds } from "./element.js";

const MOST_TURNS = 50;
const WORDS = {
  idle: "Ready",
  listening: "Listening",
  pending: "Listening",
  thinking: "Thinking",
  speaking: "Speaking",
  overlap: "Speaking",
  paused: "Listening",
  weighing: "Listening",
  muted: "Microphone off",
  closed: "No session",
};

export class Conversation {
  constructor() {
    this.turns = new Map();
    this.states = new Map();
    this.partials = new Map();
    this.chosen = null;
    this.muted = false;
  }

  reset(turns) {
    this.turns.clear();
    this.partials.clear();
    byId("log").replaceChildren();
    for (const turn of turns) this.ended(turn);
  }

  status(status) {
    this.muted = status.muted;
    this.states = new Map(Object.entries(status.sessions).map(([name, session]) => [name, session.state]));
    this.drawPresence();
  }

  stateChanged({ session, state }) {
    if (state === "muted" || state === "unmuted") this.muted = state === "muted";
    else if (state === "closed") this.states.delete(session);
    else this.states.set(session, state);
    if (state === "idle" || state === "closed") this.partials.delete(session);
    this.drawPresence();
  }

  get session() {
    if (this.states.has(this.chosen)) return this.chosen;
    return this.states.has("local") ? "local" : [...this.states.keys()][0] ?? null;
  }

  choose(session) {
    this.chosen = session;
    this.drawPresence();
  }

  partiallyTranscribed({ session, text }) {
    this.partials.set(session, text);
    this.drawPartial();
  }

  transcribed(event) {
    const turn = this.turn(event);
    Object.assign(turn, { user: event.text, clauses: [], committed: false });
    this.draw(turn);
  }

  committed(event) {
    const turn = this.turn(event);
    turn.committed = true;
    this.draw(turn);
  }

  clause(event) {
    const turn = this.turn(event);
    if (turn.final) return;
    turn.clauses.push(event.text);
    this.draw(turn);
  }

  audible(event) {
    const turn = this.turn(event);
    turn.audible = true;
    this.draw(turn);
  }

  discarded(event) {
    const key = `${event.session}/${event.turn}`;
    this.turns.get(key)?.item.remove();
    this.turns.delete(key);
  }

  ended(event) {
    const turn = this.turn(event);
    Object.assign(turn, { ...event, final: true });
    this.draw(turn);
  }

  turn(event) {
    const key = `${event.session}/${event.turn}`;
    if (!this.turns.has(key)) {
      const turn = { session: event.session, user: "", reply: "", heard: "", clauses: [], item: element("li") };
      this.turns.set(key, turn);
      byId("log").append(turn.item);
      while (this.turns.size > MOST_TURNS) this.discarded(this.turns.values().next().value);
    }
    return this.turns.get(key);
  }

  draw(turn) {
    const log = byId("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    turn.item.replaceChildren(
      ...(turn.user ? [element("p", { className: turn.final || turn.committed ? "user" : "user provisional", textContent: turn.user })] : []),
      ...reply(turn),
    );
    if (atEnd) log.scrollTop = log.scrollHeight;
    if (!turn.final) this.partials.set(turn.session, turn.audible ? "" : turn.user);
    this.drawPartial();
  }

  drawPartial() {
    byId("partial").textContent = this.partials.get(this.session) ?? "";
  }

  drawPresence() {
    this.drawPartial();
    const state = this.muted ? "muted" : this.states.get(this.session) ?? "closed";
    byId("orb").dataset.state = state;
    byId("state").textContent = WORDS[state] ?? state;
    const chips = [...this.states].map(([name, own]) => {
      const chip = element("button", { type: "button", className: "chip", data: { state: own }, textContent: name });
      chip.setAttribute("aria-pressed", String(name === this.session));
      chip.title = WORDS[own] ?? own;
      chip.onclick = () => this.choose(name);
      return chip;
    });
    byId("sessions").replaceChildren(...(chips.length > 1 ? chips : []));
  }
}

function reply(turn) {
  if (!turn.final) {
    if (!turn.clauses.length) return [];
    return [element("p", { className: turn.audible ? "reply" : "reply provisional", textContent: turn.clauses.join(" ") })];
  }
  const heard = turn.reply.startsWith(turn.heard) ? turn.heard : turn.reply;
  const unheard = turn.reply.slice(heard.length);
  const words = [heard, unheard && element("span", { className: "unheard", title: "never heard", textContent: unheard })];
  const facts = [
    turn.voice_to_voice_ms === null ? null : milliseconds(turn.voice_to_voice_ms),
    turn.source === "slm" ? null : turn.source,
    turn.interrupted ? "interrupted" : null,
    turn.error,
    turn.session === "local" ? null : turn.session,
  ].filter(Boolean);
  return [
    turn.reply ? element("p", { className: "reply" }, ...words) : null,
    element("p", { className: turn.error ? "facts error" : "facts", textContent: facts.join(" · ") }),
  ].filter(Boolean);
}
