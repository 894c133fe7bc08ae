// Puts the page together: events go to the parts that show them, and what is pressed goes to the assistant.

import { drawBox, drawWorkers } from "./box.js";
import { Conversation } from "./conversation.js";
import { byId } from "./element.js";
import { Link, LoginNeeded, post } from "./link.js";
import { Talk } from "./talk.js";
import { Waterfall } from "./waterfall.js";

const NOTICE_MS = 8000;
const CONNECTION = { live: "live", lost: "connection lost, trying again", login: "locked" };

const conversation = new Conversation();
const waterfall = new Waterfall();
const talk = new Talk(talkChanged, (level) => byId("talk").style.setProperty("--level", level.toFixed(2)));
const link = new Link(heard, (state) => {
  byId("connection").textContent = CONNECTION[state];
  document.body.dataset.connection = state;
  if (state === "login" && !byId("login").open) byId("login").showModal();
});

const HANDLERS = {
  hello(message) {
    conversation.reset(message.turns);
    waterfall.reset(message.turns);
  },
  status({ status }) {
    conversation.status(status);
    drawBox(status);
    drawWorkers(status);
    drawSwitches(status.muted, status.volume);
  },
  state_changed(event) {
    conversation.stateChanged(event);
    drawSwitches(conversation.muted);
  },
  partially_transcribed: (event) => conversation.partiallyTranscribed(event),
  transcribed: (event) => conversation.transcribed(event),
  turn_committed: (event) => conversation.committed(event),
  clause_synthesised: (event) => conversation.clause(event),
  reply_audible: (event) => conversation.audible(event),
  turn_discarded: (event) => conversation.discarded(event),
  turn_ended(event) {
    conversation.ended(event);
    waterfall.add(event);
  },
  turn_energy: (event) => waterfall.energy(event),
  volume_changed: ({ percent }) => drawSwitches(conversation.muted, percent),
};

function heard(message) {
  HANDLERS[message.event]?.(message);
}

function drawSwitches(muted, volume) {
  byId("mute").setAttribute("aria-checked", String(!muted));
  byId("mute").textContent = muted ? "Microphone off" : "Microphone on";
  if (volume !== undefined && document.activeElement !== byId("volume")) byId("volume").value = volume;
}

let noticeTimer = 0;
function notice(text) {
  clearTimeout(noticeTimer);
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
  if (text) noticeTimer = setTimeout(() => notice(""), NOTICE_MS);
}

async function act(path, body) {
  try {
    return await post(path, body);
  } catch (error) {
    if (error instanceof LoginNeeded) byId("login").showModal();
    else notice(error.message);
    return null;
  }
}

function talkChanged(session, reason) {
  byId("talk").setAttribute("aria-pressed", String(session !== null));
  conversation.choose(session);
  notice(reason);
}

byId("mute").onclick = () => act("api/mute", { muted: !conversation.muted });
byId("stop").onclick = () => act("api/stop", {});
byId("volume").onchange = (event) => act("api/volume", { percent: Number(event.target.value) });
byId("talk").onclick = async () => {
  if (talk.running) talk.end();
  else await talk.start().catch((error) => notice(error.message));
};
byId("composer").onsubmit = async (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!text) return;
  byId("text").value = "";
  await act(`api/${event.submitter?.value || "ask"}`, { text, session: conversation.session });
};
byId("login-form").onsubmit = async (event) => {
  event.preventDefault();
  try {
    await post("api/login", { token: byId("token").value });
    byId("token").value = "";
    byId("login-error").hidden = true;
    byId("login").close();
    link.open();
  } catch (error) {
    byId("login-error").textContent = error.message;
    byId("login-error").hidden = false;
  }
};

link.open();
