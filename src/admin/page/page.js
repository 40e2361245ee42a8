// The page of one broker: asks how it is every two seconds, remembers ten minutes, and draws them.
// Whatever comes from clients is put into the page as text.
"use strict";

const POLL_MS = 2000;
const SLOWEST_POLL_MS = 10000;
const PATIENCE_MS = 8000;
const HISTORY_S = 600;
const SHORTEST_VIEW_S = 60;
/** Samples further apart than this are not joined by a line. */
const GAP_S = 11;
/** What is rare is averaged over this. */
const SLOW_WINDOW_S = 20;

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// ── numbers for people ───────────────────────────────────────────────────────────────────────

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function scaled(value, base, units) {
  let unit = 0;
  while (Math.abs(value) >= base && unit < units.length - 1) { value /= base; unit += 1; }
  const digits = unit === 0 || Math.abs(value) >= 100 ? plain : one;
  return [digits.format(value), units[unit]];
}
const join = ([number, unit]) => (unit ? `${number} ${unit}` : number);

/** 12,345 and 1.2 M. */
function count(value) {
  if (value === null) return "–";
  if (Math.abs(value) < 1e5) return (Math.abs(value) < 10 && value % 1 ? one : plain).format(value);
  return join(scaled(value, 1000, ["", "k", "M", "G", "T"]));
}
const bytes = (value) => (value === null ? "–" : join(scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"])));
function seconds(value) {
  if (value === null) return "–";
  if (value < 0.001) return `${plain.format(value * 1e6)} µs`;
  if (value < 1) return `${one.format(value * 1e3)} ms`;
  return span(value);
}
/** Of what took longer than the last bucket tells, nobody knows how long. */
const delay = (value) => (value !== null && value >= 10 ? "≥ 10 s" : seconds(value));
/** 42 s, 3 min, 2 h 5 min, 4 d 3 h. */
function span(value) {
  const s = Math.round(value);
  if (s < 10 && value % 1) return `${one.format(value)} s`;
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
function clock(unix) {
  const then = new Date(unix * 1000);
  const time = then.toLocaleTimeString("en-GB");
  return Date.now() / 1000 - unix < 43200 ? time : `${then.toISOString().slice(0, 10)} ${time.slice(0, 5)}`;
}

// ── what was seen ────────────────────────────────────────────────────────────────────────────

/** One for each answer, oldest first: what came, and the rates since the one before. */
let history = [];
const last = () => history[history.length - 1];

const sum = (table) => Object.values(table || {}).reduce((all, each) => all + each, 0);
/** How refusals are put together in the chart: what of `refused` belongs to each. */
const REFUSALS = [
  ["door", ["connections", "bans"]],
  ["logins", ["logins", "lock-outs"]],
  ["policy", ["policy"]],
  ["protocol", ["protocol"]],
  ["payloads", ["payloads"]],
  ["limits", ["limits"]],
];
const SEVERITIES = ["info", "notice", "warning", "critical"];

function totals(said) {
  const all = { ...said.counters };
  for (const [name, parts] of REFUSALS) all[name] = parts.reduce((s, part) => s + sum(said.refused[part]), 0);
  for (const severity of SEVERITIES) all[severity] = said.findings[severity] || 0;
  return all;
}

function remember(said) {
  const sample = { time: said.time, said, totals: totals(said), rate: {}, quantile: {}, slow: said.slowest.map((it) => it.messages) };
  const before = last();
  if (before && before.said.uptime_seconds > said.uptime_seconds) history = [];
  if (before && before.time >= said.time) return;
  const recent = last();
  if (recent && said.time - recent.time < GAP_S) {
    const earlier = history.find((it) => it.time >= said.time - SLOW_WINDOW_S);
    const slow = new Set([...REFUSALS.map(([name]) => name), ...SEVERITIES]);
    for (const key of Object.keys(sample.totals)) {
      const from = slow.has(key) ? earlier : recent;
      sample.rate[key] = Math.max(0, (sample.totals[key] - from.totals[key]) / (said.time - from.time));
    }
    const counts = said.delivery.counts.map((it, at) => it - (earlier.said.delivery.counts[at] || 0));
    for (const q of [0.5, 0.99]) sample.quantile[q] = quantile(q, said.delivery.bounds, counts);
  }
  // The text of lists is not needed again.
  if (recent) for (const list of ["alerts", "bans", "quarantines", "slowest", "away"]) delete recent.said[list];
  history.push(sample);
  history = history.filter((it) => it.time >= said.time - HISTORY_S);
}

/** Where in its bucket is not known: halfway is as good as anywhere, so the way there is taken to be straight. */
function quantile(q, bounds, counts) {
  const all = counts[counts.length - 1];
  if (!(all > 0)) return null;
  const rank = q * all;
  const at = counts.findIndex((it) => it >= rank);
  if (at >= bounds.length) return bounds[bounds.length - 1];
  const [low, below] = at === 0 ? [0, 0] : [bounds[at - 1], counts[at - 1]];
  return low + (bounds[at] - low) * ((rank - below) / (counts[at] - below || 1));
}

// ── charts ───────────────────────────────────────────────────────────────────────────────────

const now = (key) => (it) => it.said.gauges[key];
const rate = (key, times = 1) => (it) => (key in it.rate ? it.rate[key] * times : null);
const CHARTS = {
  connections: { format: count, series: [["clients", now("clients")], ["connections", now("connections")]] },
  messages: { format: count, series: [["in", rate("messages_in")], ["out", rate("messages_out")]] },
  latency: { format: seconds, value: delay, series: [["p50", (it) => it.quantile[0.5] ?? null], ["p99", (it) => it.quantile[0.99] ?? null]], logarithmic: true },
  refusals: { format: count, stacked: true, series: REFUSALS.map(([name]) => [name, rate(name, 60)]), nothing: "nothing refused" },
  findings: { format: count, stacked: true, series: SEVERITIES.map((name) => [name, rate(name, 60)]), colours: ["s6", "s1", "s2", "s7"], nothing: "nothing found" },
  sanctions: { format: count, series: [["banned", now("bans")], ["quarantined", now("quarantines")], ["slowed", now("tightened")]] },
  slow: { format: count, series: [["slowest", (it) => it.slow[0] || 0], ["ten slowest", (it) => it.slow.reduce((all, each) => all + each, 0)]] },
  traffic: { format: bytes, binary: true, series: [["in", rate("bytes_in")], ["out", rate("bytes_out")]] },
};
/** The sample that the reader points at, by its time; the last one where there is none. */
let pointed = null;

function shape(name, attributes, text) {
  const it = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
  if (text !== undefined) it.textContent = text;
  return it;
}

/** Round steps, three or four of them, up to at least `most`. */
function ticks(most, binary) {
  const base = binary ? 1024 ** Math.floor(Math.log(Math.max(most, 1)) / Math.log(1024)) : 1;
  const rough = most / base / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((it) => it * power >= rough) * power * base;
  const found = [];
  for (let at = 0; at <= Math.ceil(most / step - 1e-9); at += 1) found.push(at * step);
  return found;
}

/** Powers of ten around what is shown. */
function decades(values) {
  const logs = values.filter((it) => it > 0).map(Math.log10);
  const low = logs.length ? Math.floor(Math.min(...logs)) : -4;
  const high = Math.max(low + 1, logs.length ? Math.ceil(Math.max(...logs)) : -2);
  return Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at));
}

/** The end of what is drawn, and how many seconds of it. */
function viewed() {
  const { time } = last();
  return { time, view: Math.min(HISTORY_S, Math.max(SHORTEST_VIEW_S, time - history[0].time)) };
}

function draw(card) {
  const chart = CHARTS[card.dataset.chart];
  const svg = card.querySelector("svg");
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  if (!history.length || !width) return;
  const [left, right, top, bottom] = [54, 14, 8, 20];
  const { time: latest, view } = viewed();
  const rows = history.map((it) => chart.series.map(([, value]) => value(it)));
  const heights = rows.flatMap((row) => (chart.stacked ? [row.reduce((a, b) => a + (b ?? 0), 0)] : row.map((it) => it ?? 0)));
  const steps = chart.logarithmic ? decades(heights) : ticks(Math.max(1, ...heights), chart.binary);
  const x = (time) => left + ((time - latest + view) / view) * (width - left - right);
  const [lowest, highest] = [steps[0], steps[steps.length - 1]];
  const share = (value) => (chart.logarithmic ? Math.log(Math.max(value, lowest) / lowest) / Math.log(highest / lowest) : value / highest);
  const y = (value) => height - bottom - share(value) * (height - top - bottom);

  const parts = steps.flatMap((step) => [
    shape("line", { class: "grid", x1: left, x2: width - right, y1: y(step), y2: y(step) }),
    shape("text", { x: left - 8, y: y(step) + 4, "text-anchor": "end" }, chart.format(step)),
  ]);
  const ago = (part) => {
    const s = Math.round(view * part);
    return s ? `−${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}` : "now";
  };
  [["start", 1], ["middle", 0.5], ["end", 0]].forEach(([anchor, part]) => {
    parts.push(shape("text", { x: x(latest - view * part), y: height - 5, "text-anchor": anchor }, ago(part)));
  });
  parts.push(...(chart.stacked ? stacks(chart, rows, x, y) : lines(chart, rows, x, y)));
  if (pointed !== null) {
    const at = x(nearest(pointed).time);
    parts.push(shape("line", { class: "cross", x1: at, x2: at, y1: top, y2: height - bottom }));
  }
  svg.replaceChildren(...parts);
  legend(card, chart, svg);
}

const colour = (chart, at) => (chart.colours ? chart.colours[at] : `s${at + 1}`);

/** Runs of samples that follow one another and have a value. */
function runs(values) {
  const found = [];
  history.forEach((it, at) => {
    const joined = at > 0 && it.time - history[at - 1].time < GAP_S && values[at - 1] !== null;
    if (values[at] === null) return;
    if (joined) found[found.length - 1].push(at); else found.push([at]);
  });
  return found;
}

const path = (points) => points.map(([px, py], at) => `${at ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");

function lines(chart, rows, x, y) {
  return chart.series.flatMap((_, at) => runs(rows.map((row) => row[at])).flatMap((run) => {
    const points = run.map((it) => [x(history[it].time), y(rows[it][at])]);
    const floor = [[points[points.length - 1][0], y(0)], [points[0][0], y(0)]];
    const name = colour(chart, at);
    if (points.length === 1) return [shape("circle", { class: `dot ${name}`, cx: points[0][0], cy: points[0][1], r: 2 })];
    const line = shape("path", { class: `line ${name}`, d: path(points) });
    return at ? [line] : [shape("path", { class: `area ${name}`, d: `${path([...points, ...floor])}Z` }), line];
  }));
}

function stacks(chart, rows, x, y) {
  const below = rows.map(() => 0);
  return chart.series.flatMap((_, at) => {
    const from = [...below];
    rows.forEach((row, it) => { below[it] += row[at] ?? 0; });
    if (!rows.some((row) => row[at] > 0)) return [];
    return runs(rows.map((row) => row[at])).filter((run) => run.length > 1).map((run) => {
      const upper = run.map((it) => [x(history[it].time), y(below[it])]);
      const lower = run.map((it) => [x(history[it].time), y(from[it])]).reverse();
      return shape("path", { class: `stack ${colour(chart, at)}`, d: `${path([...upper, ...lower])}Z` });
    });
  });
}

function nearest(time) {
  return history.reduce((best, it) => (Math.abs(it.time - time) < Math.abs(best.time - time) ? it : best));
}

/** The values where the reader points, or those of now; they are the description for who does not see the chart. */
function legend(card, chart, svg) {
  const sample = pointed === null ? last() : nearest(pointed);
  const told = chart.value || chart.format;
  const entries = chart.series
    .map(([name, value], at) => ({ name, value: value(sample), colour: colour(chart, at), any: history.some((it) => value(it) > 0) }))
    .filter((it) => !chart.stacked || it.any);
  const items = entries.map((it) => {
    const item = element("li", "");
    const key = element("i", "", it.colour);
    item.append(key, `${it.name} `, element("b", told(it.value)));
    return item;
  });
  if (!items.length) items.push(element("li", chart.nothing));
  card.querySelector(".when").textContent = pointed === null ? "" : clock(sample.time);
  card.querySelector(".legend").replaceChildren(...items);
  const title = card.querySelector("h2").textContent;
  const unit = card.querySelector(".unit").textContent;
  const values = entries.map((it) => `${it.name} ${told(it.value)}`).join(", ") || chart.nothing;
  svg.setAttribute("aria-label", `${title}, ${unit}: ${values}`);
}

const drawAll = () => document.querySelectorAll(".chart").forEach(draw);

function point(svg, event) {
  if (!history.length) return;
  const box = svg.getBoundingClientRect();
  const { time: latest, view } = viewed();
  pointed = latest - view + ((event.clientX - box.left - 54) / (box.width - 68)) * view;
  drawAll();
}

function step(event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || !history.length) return;
  event.preventDefault();
  const at = pointed === null ? history.length - 1 : history.indexOf(nearest(pointed));
  pointed = history[Math.min(history.length - 1, Math.max(0, at + by))].time;
  drawAll();
}

function release() { pointed = null; drawAll(); }

// ── tiles and lists ──────────────────────────────────────────────────────────────────────────

function element(name, text, ...classes) {
  const it = document.createElement(name);
  it.textContent = text;
  it.classList.add(...classes.filter(Boolean));
  return it;
}

function tile(name, value, sub, unit) {
  const it = $(`t-${name}`);
  it.textContent = value;
  if (unit) it.append(" ", element("small", unit));
  $(`t-${name}-sub`).textContent = sub;
}

function showTiles({ said, totals: all, rate: rates, quantile: q }) {
  const { gauges } = said;
  const per = (key) => (key in rates ? rates[key] : null);
  const refused = REFUSALS.map(([name]) => name);
  const minute = refused.some((name) => name in rates) ? refused.reduce((s, name) => s + rates[name] * 60, 0) : null;
  tile("clients", count(gauges.clients), `${count(gauges.sessions)} sessions`);
  tile("in", count(per("messages_in")), `${count(all.messages_in)} in all`, "/ s");
  tile("out", count(per("messages_out")), `${count(all.messages_out)} in all`, "/ s");
  tile("latency", delay(q[0.99] ?? null), `p50 ${delay(q[0.5] ?? null)}`);
  tile("refused", count(minute), `${count(refused.reduce((s, name) => s + all[name], 0))} in all`, "/ min");
  tile("banned", count(gauges.bans), `${count(gauges.quarantines)} in quarantine`);
  tile("waiting", bytes(gauges.queued_memory_bytes + gauges.queued_disk_bytes), `${count(gauges.in_flight)} in flight`);
  tile("cpu", per("cpu_seconds") === null ? "–" : one.format(rates.cpu_seconds * 100), `${bytes(gauges.memory_bytes)} memory`, "%");
}

function row(...cells) {
  const it = document.createElement("tr");
  for (const cell of cells) {
    const [content, ...classes] = Array.isArray(cell) ? cell : [cell];
    const td = element("td", "", ...classes);
    td.append(...(Array.isArray(content) ? content : [content]));
    it.append(td);
  }
  return it;
}

function fill(id, rows, columns, nothing) {
  const empty = () => { const it = row([nothing, "empty"]); it.firstChild.colSpan = columns; return it; };
  $(id).replaceChildren(...(rows.length ? rows : [empty()]));
}

function showAlerts(alerts) {
  $("n-alerts").textContent = alerts.length ? `the last ${alerts.length}` : "";
  fill("alerts", alerts.map((it) => {
    const by = Object.entries(it.key || {}).map(([name, value]) => `${name} ${value}`).join(", ");
    const done = (it.responses || []).map((each) => `${each.response} ${each.subject || each.target}: ${each.outcome}`).join(", ");
    return row(
      [clock(Date.parse(it.time) / 1000), "time"],
      [[element("span", String(it.severity), "badge", SEVERITIES.includes(it.severity) && it.severity)]],
      [[element("b", String(it.rule)), element("small", String(it.about))]],
      [[by || "–", ...(it.client_id && !by.includes(it.client_id) ? [element("small", `client ${it.client_id}`)] : [])]],
      it.dry_run ? "tried only" : done || "told",
    );
  }), 5, "Nothing out of the ordinary has been found.");
}

function showSlowest({ slowest, away }) {
  fill("slowest", [...slowest, ...away].map((it) => row(
    [[element("b", it.client_id), element("small", `${it.principal}${it.connected ? "" : ", away"}`)]],
    [count(it.messages), "num"],
    [bytes(it.bytes), "num"],
    [it.seconds === null ? "–" : span(it.seconds), "num"],
  )), 4, "Nothing waits: all clients keep up.");
}

function showBans({ time, bans, quarantines }) {
  const all = [...bans.shown.map((it) => ["ban", it]), ...quarantines.shown.map((it) => ["quarantine", it])];
  $("n-bans").textContent = `${count(bans.of)} banned, ${count(quarantines.of)} in quarantine`;
  fill("bans", all.map(([kind, it]) => row(
    [[element("b", it.subject), element("small", kind)]],
    it.by,
    it.why || "–",
    [it.until === null ? "never" : `in ${span(Math.max(0, it.until - time))}`, "time"],
    [count(it.refused), "num"],
  )), 5, "Nobody is banned or in quarantine.");
}

function showReasons(sample) {
  const { refused } = sample.said;
  const first = history[0];
  $("n-reasons").textContent = `of late: ${span(sample.time - first.time)}`;
  const rows = Object.entries(refused).flatMap(([what, reasons]) => Object.entries(reasons).map(([reason, all]) => {
    const before = (first.said.refused[what] || {})[reason] || 0;
    return { what, reason, all, late: all - before };
  }));
  rows.sort((a, b) => b.late - a.late || b.all - a.all);
  fill("reasons", rows.map((it) => row(
    [[it.reason.replaceAll("_", " "), element("small", it.what)]], [count(it.late), "num"], [count(it.all), "num"],
  )), 3, "Nothing has been refused since the broker was started.");
}

function showParts(said) {
  const items = said.parts.map((it) => {
    const item = element("li", it.name.replaceAll("_", " "));
    item.append(element("span", it.condition, "badge", it.condition));
    if (it.why) item.append(element("small", it.why));
    if (it.name === "store") {
      const { store_bytes: all, store_live_bytes: live, store_waiting_bytes: waiting } = said.gauges;
      const state = Object.entries(said.store_state).find(([, is]) => is)?.[0] ?? "unknown";
      item.append(element("small", `disk ${state}, ${bytes(live)} live of ${bytes(all)}, ${bytes(waiting)} to be written`));
    }
    return item;
  });
  $("parts").replaceChildren(...items);
}

function show() {
  const sample = last();
  const { said } = sample;
  $("version").textContent = said.version;
  $("uptime").textContent = span(said.uptime_seconds);
  $("asof").textContent = clock(said.time);
  const ill = said.parts.some((it) => it.condition !== "ok");
  if (said.stopping) status("Stopping", "warn");
  else if (!said.ready) status("Not ready", "bad");
  else status(ill ? "Ready, less than well" : "Ready", ill ? "warn" : "good");
  showTiles(sample);
  showAlerts(said.alerts);
  showSlowest(said);
  showBans(said);
  showReasons(sample);
  showParts(said);
  drawAll();
}

// ── asking ───────────────────────────────────────────────────────────────────────────────────

function status(text, kind) {
  const pill = $("status");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${kind}`;
}

function banner(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
  document.body.classList.toggle("stale", Boolean(text));
}

const sinceWhen = () => (history.length ? ` What you see is of ${clock(last().time)}.` : "");
/** What ends the asking: more of it would only fail again, and count as guessing. */
const ENDS = {
  401: ["Logged out", "Your login is no longer good. Load this page again to log in."],
  403: ["Turned away", "The broker turns this page away. Load it again from the broker's own address."],
  404: ["Turned off", "This page has been turned off: `password_file` of [admin] is gone."],
  429: ["Locked out", "Too many logins have failed from here. Wait a while, then load this page again."],
};

let timer = null;
let failures = 0;
let is_over = false;
let is_asking = false;

async function ask() {
  const given_up = new AbortController();
  const patience = setTimeout(() => given_up.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(new URL("/api/overview", location.origin), {
      cache: "no-store", credentials: "same-origin", redirect: "error", signal: given_up.signal,
    });
    if (answer.ok) return { said: await answer.json() };
    return { code: answer.status };
  } catch {
    return {};
  } finally {
    clearTimeout(patience);
  }
}

async function poll() {
  clearTimeout(timer);
  if (is_over || is_asking || document.hidden) return;
  is_asking = true;
  const { said, code } = await ask();
  is_asking = false;
  if (said) {
    failures = 0;
    banner("");
    remember(said);
    show();
  } else if (code in ENDS) {
    is_over = true;
    const [word, sentence] = ENDS[code];
    status(word, "bad");
    banner(sentence + sinceWhen());
    return;
  } else {
    failures += 1;
    status(code ? "In trouble" : "Not reachable", "bad");
    banner((code ? `The broker answers with an error (${code}).` : "The broker does not answer.") + sinceWhen() + " Trying again.");
  }
  timer = setTimeout(poll, Math.min(SLOWEST_POLL_MS, POLL_MS * 2 ** Math.max(0, failures - 1)));
}

document.addEventListener("visibilitychange", () => {
  if (is_over) return;
  if (document.hidden) status("Paused", ""); else poll();
});
for (const svg of document.querySelectorAll(".chart svg")) {
  svg.addEventListener("pointermove", (event) => point(svg, event));
  svg.addEventListener("pointerleave", release);
  svg.addEventListener("keydown", step);
  svg.addEventListener("blur", release);
}
new ResizeObserver(drawAll).observe(document.querySelector(".charts"));
poll();
