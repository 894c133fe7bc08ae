// Each of the latest turns: when every stage worked, from the user's last sound to the reply's first, against the budget.

import { byId, element, figures, milliseconds } from "./element.js";

const MOST_TURNS = 6;
const STAGES = [
  { name: "endpoint", label: "end of turn", from: null, to: "committed" },
  { name: "asr", label: "recognition", from: "soft_end", to: "asr_final" },
  { name: "slm", label: "language model", from: "asr_final", to: "slm_first_clause" },
  { name: "tts", label: "voice", from: "slm_first_clause", to: "tts_first_audio" },
];

export class Waterfall {
  constructor() {
    this.turns = [];
    byId("legend").replaceChildren(
      ...STAGES.map((stage) => element("span", { data: { stage: stage.name }, textContent: stage.label })),
      element("span", { className: "audible-key", textContent: "first sound" }),
      element("span", { className: "budget-key", textContent: "budget" }),
    );
    this.draw();
  }

  reset(turns) {
    this.turns = turns.filter((turn) => Object.keys(turn.marks_ms).length > 1);
    this.draw();
  }

  add(turn) {
    if (Object.keys(turn.marks_ms).length < 2) return;
    this.turns = [...this.turns, turn].slice(-50);
    this.draw();
  }

  energy({ session, turn, joules }) {
    const found = this.turns.find((one) => one.session === session && one.turn === turn);
    if (!found) return;
    found.energy_j = Number(joules.toFixed(1));
    this.draw();
  }

  draw() {
    this.summarize();
    const shown = this.turns.slice(-MOST_TURNS).reverse();
    const scale = scaleOf(shown);
    byId("waterfall").replaceChildren(
      ...(shown.length
        ? [...shown.map((turn) => row(turn, scale)), axis(scale)]
        : [element("li", { className: "empty", textContent: "No turn yet. Say something, or type a question." })]),
    );
  }

  summarize() {
    const waits = this.turns.map((turn) => turn.voice_to_voice_ms).filter((wait) => wait !== null).sort((a, b) => a - b);
    const inTime = this.turns.filter((turn) => turn.voice_to_voice_ms !== null && turn.voice_to_voice_ms <= turn.budget_ms);
    figures(byId("summary"), waits.length
      ? [
          ["median", milliseconds(percentile(waits, 0.5))],
          ["p95", milliseconds(percentile(waits, 0.95))],
          ["in budget", `${inTime.length} of ${waits.length}`],
        ]
      : []);
  }
}

const percentile = (sorted, share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];

function scaleOf(turns) {
  const budget = turns[0]?.budget_ms ?? 700;
  const longest = Math.max(...turns.flatMap((turn) => Object.values(turn.marks_ms)), 1.2 * budget);
  const most = Math.min(longest * 1.04, 4 * budget);
  const step = [50, 100, 200, 250, 500, 1000].find((one) => most / one <= 7) ?? 2000;
  return { most, step, budget };
}

const place = (ms, scale) => `${(100 * Math.max(0, Math.min(ms, scale.most))) / scale.most}%`;

function row(turn, scale) {
  const waited = turn.voice_to_voice_ms;
  const late = waited !== null && waited > turn.budget_ms;
  return element("li", { className: "turn" },
    element("div", { className: "turn-text" },
      element("b", { textContent: milliseconds(waited), className: late ? "late" : "" }),
      element("span", { textContent: turn.user || turn.reply, title: turn.user || turn.reply }),
      element("small", { textContent: remark(turn) }),
    ),
    element("div", { className: "track" },
      ...STAGES.map((stage) => lane(turn, stage, scale)),
      element("i", { className: "budget", style: { left: place(turn.budget_ms, scale) }, title: `budget ${turn.budget_ms} ms` }),
      waited === null ? null : element("i", { className: "audible", style: { left: place(waited, scale) }, title: `first sound ${milliseconds(waited)}` }),
    ),
  );
}

function lane(turn, stage, scale) {
  const begin = stage.from === null ? 0 : turn.marks_ms[stage.from];
  const end = turn.marks_ms[stage.to];
  if (begin === undefined || end === undefined) return element("div", { className: "lane" });
  const missed = turn.missed[stage.name];
  const bar = element("i", {
    className: missed ? "bar missed" : "bar",
    data: { stage: stage.name },
    style: { left: place(begin, scale), right: `calc(100% - ${place(Math.max(end, begin), scale)})` },
    title: `${stage.label}: ${milliseconds(end - begin)}${missed ? `, late: ${missed}` : ""}`,
  });
  return element("div", { className: "lane" }, bar);
}

function remark(turn) {
  if (turn.error) return turn.error;
  const slowest = STAGES.find((stage) => stage.name === turn.missed.total);
  const late = slowest ? [`late: ${slowest.label}`, turn.missed[slowest.name]] : [];
  const ladder = Object.entries(turn.ladder).map(([name, rung]) => `${name} ${rung}`);
  const energy = turn.energy_j === null ? [] : [`${turn.energy_j} J`];
  return [...late, ...ladder, ...energy].filter(Boolean).join(" · ");
}

function axis(scale) {
  const ticks = [];
  for (let at = 0; at <= scale.most; at += scale.step) {
    ticks.push(element("span", { textContent: at ? `${at}` : "0 ms", style: { left: place(at, scale) } }));
  }
  return element("li", { className: "turn axis", "aria-hidden": "true" }, element("div", { className: "turn-text" }),
    element("div", { className: "ticks" }, ...ticks));
}
