// The machine: how fast its cores are, how hot it is, and how its workers do.

import { byId, element, figures } from "./element.js";

const STAGES = { asr: "Recognition", slm: "Language model", tts: "Voice", turn: "End of turn" };
const HOT_C = 75;
const WARM_C = 60;

export function drawBox(status) {
  const cpu = status.cpu ?? {};
  const clusters = cpu.clusters ?? [];
  const zones = Object.entries(cpu.temperatures_c ?? {});
  const energy = cpu.energy ?? {};
  byId("clusters").replaceChildren(
    ...(clusters.length ? clusters.map(cluster) : [element("p", { className: "empty", textContent: "This box does not tell its frequencies." })]),
  );
  byId("zones").replaceChildren(...zones.map(([name, celsius]) =>
    element("span", { className: "chip", data: { heat: heat(celsius) }, textContent: `${name} ${Math.round(celsius)} °C` })));
  figures(byId("power"), [
    ["idle", energy.idle_w == null ? null : `${energy.idle_w.toFixed(1)} W`],
    ["a turn", energy.turns ? `${(energy.turn_joules / energy.turns).toFixed(1)} J` : null],
    ["pressure", cpu.ladder?.pressure ? `${Math.round(100 * cpu.ladder.pressure)} %` : null],
  ]);
}

export function drawWorkers(status) {
  const workers = Object.entries(status.workers ?? {});
  const sessions = Object.values(status.sessions ?? {});
  byId("workers").replaceChildren(
    ...(workers.length ? workers.map(worker) : [element("li", { className: "empty", textContent: "No stage has a worker of its own." })]),
  );
  figures(byId("totals"), [
    ["turns", status.turns],
    ["sessions", sessions.length],
    ["frames lost", sessions.reduce((sum, session) => sum + session.dropped_frames, 0)],
  ]);
}

const heat = (celsius) => (celsius >= HOT_C ? "hot" : celsius >= WARM_C ? "warm" : "cool");
const gigahertz = (khz) => (khz == null ? "–" : `${(khz / 1e6).toFixed(2)} GHz`);

function cluster(one) {
  const top = one.highest_khz ?? Math.max(one.ceiling_khz ?? 0, one.khz ?? 0, one.wanted?.ceiling_khz ?? 0);
  const share = (khz) => `${top ? (100 * (khz ?? 0)) / top : 0}%`;
  const cpus = one.cpus.length > 1 ? `cores ${one.cpus[0]}–${one.cpus.at(-1)}` : `core ${one.cpus[0]}`;
  return element("div", { className: "cluster", title: `${one.name}, ${one.governor ?? "no governor"}` },
    element("span", { textContent: cpus }),
    element("div", { className: "gauge" },
      element("i", { className: "range", style: { left: share(one.floor_khz), right: `calc(100% - ${share(one.ceiling_khz)})` } }),
      element("i", { className: "level", style: { width: share(one.khz) } }),
    ),
    element("b", { textContent: gigahertz(one.khz) }),
  );
}

function worker([stage, one]) {
  const restarts = one.deaths === 1 ? "1 restart" : `${one.deaths} restarts`;
  return element("li", { data: { state: one.state } },
    element("b", { textContent: STAGES[stage] ?? stage }),
    element("span", { textContent: one.state }),
    element("small", { textContent: [one.pid ? `pid ${one.pid}` : null, one.deaths ? restarts : null].filter(Boolean).join(" · ") }),
  );
}
