"use strict";
// The page of one balancer: it reads ./workloads and ./workloads/NAMESPACE/KIND/NAME, and draws what they say.
// Every text comes in by textContent: names are not trusted.

const LIST_EVERY_MS = 2000;
const DETAIL_EVERY_MS = 1000;
const SVG = "http://www.w3.org/2000/svg";
/** The bars reach from no load to twice the mean; what is above that is cut, and its number says so. */
const WIDEST = 2;
const WITHHELD = {
  instructed: "in force",
  starting: "starting: waiting for first reports",
  few_pods: "off: fewer than two pods take traffic",
  reports_missing: "off: more than a third of the pods do not report",
  exhausted: "off: no instruction can be made",
};

const $ = (id) => document.getElementById(id);
const number = (value, digits = 1) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** The fragment `#/NAMESPACE/KIND/NAME` names a workload; others are places in the page. */
const fragment = (workload) => `#/${workload.split("/").map(encodeURIComponent).join("/")}`;
const named = () => (location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : null);

let chosen = named() ?? "";
let paused = false;

function element(name, attributes = {}, text) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function ago(seconds) {
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

async function read(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!response.ok && response.status !== 404) throw new Error(`the balancer answers ${response.status}`);
  return response.ok ? response.json() : null;
}

function notice(text) {
  const place = $("notice");
  // A screen reader speaks when it changes, and only then.
  if (place.textContent !== text) place.textContent = text;
  place.hidden = text === "";
}

/** Keeps the rows of a table whose keys are still there, in order: focus and scroll position stay. */
function rows(body, items, key, make, update) {
  const before = new Map([...body.children].map((row) => [row.dataset.key, row]));
  items.forEach((item, place) => {
    const name = key(item);
    let row = before.get(name);
    if (row) before.delete(name);
    else {
      row = make(item);
      row.dataset.key = name;
    }
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
    update(row, item);
  });
  for (const row of before.values()) row.remove();
}

function cells(row, texts) {
  texts.forEach((text, place) => {
    if (text !== null && row.children[place].textContent !== text) row.children[place].textContent = text;
  });
}

function listRow(workload) {
  const row = element("tr");
  const head = row.appendChild(element("td"));
  head.appendChild(element("a", { href: fragment(workload.workload) }, workload.workload));
  for (const kind of ["n", "n", "n", ""]) row.appendChild(element("td", kind ? { class: kind } : {}));
  return row;
}

function level(workload) {
  if (workload.level === null) return "no load";
  return workload.level ? "level" : "uneven";
}

function drawList(answer) {
  const filter = $("filter").value.trim().toLowerCase();
  const shown = answer.workloads.filter((workload) => workload.workload.toLowerCase().includes(filter));
  rows($("workloads").tBodies[0], shown, (w) => w.workload, listRow, (row, w) => {
    cells(row, [null, `${w.settledPods}`, number(w.requestsPerSecond), number(w.peakToMean, 2), w.state === "instructed" ? level(w) : w.state]);
    row.lastChild.className = w.state === "instructed" && w.level !== false ? "ok" : "off";
    row.classList.toggle("chosen", w.workload === chosen);
    const link = row.querySelector("a");
    if (w.workload === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
  $("none").hidden = answer.workloads.length > 0 || !answer.leads;
  $("bytes").textContent = `${number(answer.historyBytes / 1024, 0)} KiB`;
  const unknown = answer.unknownPods > 0 ? `, ${answer.unknownPods} pods have not reported yet` : "";
  $("status").textContent = `${answer.workloads.length} ${answer.workloads.length === 1 ? "workload" : "workloads"}${unknown}${paused ? ", paused" : ""}`;
  notice(answer.leads ? "" : "This replica of the balancer does not lead, and knows no workload. Connect to the other one: evenkeel dashboard does.");
  if (chosen === "" && answer.workloads.length > 0) choose(answer.workloads[0].workload);
}

function bar(pod, tolerance) {
  const svg = element("svg:svg", { class: "bar", viewBox: "0 0 200 14", preserveAspectRatio: "none", role: "img" });
  const scale = 200 / WIDEST;
  svg.appendChild(element("svg:rect", { class: "band", x: 0, y: 0, width: (1 + tolerance) * scale, height: 14 }));
  svg.appendChild(element("svg:rect", { class: "value", y: 2, height: 10 }));
  svg.appendChild(element("svg:line", { class: "axis", x1: scale, x2: scale, y1: 0, y2: 14 }));
  return svg;
}

function drawBar(svg, pod, tolerance) {
  const scale = 200 / WIDEST;
  const share = Math.min(pod.share ?? 1, WIDEST);
  const [band, value] = svg.children;
  band.setAttribute("width", (1 + tolerance) * scale);
  value.setAttribute("x", Math.min(share, 1) * scale);
  value.setAttribute("width", Math.max(Math.abs(share - 1) * scale, pod.share === null ? 0 : 1));
  value.setAttribute("class", `value ${share > 1 + tolerance ? "above" : share < 1 ? "below" : "even"}`);
  svg.setAttribute("aria-label", pod.share === null ? "no load" : `${number(pod.share, 2)} times the mean`);
}

function podRow(pod) {
  const row = element("tr");
  row.appendChild(element("th", { scope: "row" }, pod.name));
  row.appendChild(element("td")).appendChild(bar(pod, 0));
  for (const kind of ["n", "n", "n", ""]) row.appendChild(element("td", kind ? { class: kind } : {}));
  return row;
}

function podState(pod) {
  if (!pod.reporting) return "does not report";
  if (!pod.settled) return "not in traffic yet";
  return pod.marked > 0 ? `${pod.state}, ${pod.marked} marked` : pod.state;
}

function drawPods(workload) {
  const pods = [...workload.pods].sort((a, b) => b.requestsPerSecond - a.requestsPerSecond || a.name.localeCompare(b.name));
  const band = workload.tolerance;
  rows($("pods").querySelector("tbody"), pods, (pod) => pod.name, podRow, (row, pod) => {
    drawBar(row.querySelector("svg"), pod, band);
    cells(row, [null, null, number(pod.share, 2), number(pod.requestsPerSecond), `${pod.connections}`, podState(pod)]);
    row.className = pod.reporting ? "" : "silent";
  });
}

/** One curve over the time that is shown, with retired connections as bars from below and scale events as dashed lines. */
function chart(title, values, unit, extra) {
  const points = extra.span;
  const highest = Math.max(...values.map((value) => value ?? 0), extra.least ?? 0.001);
  const box = element("div");
  const now = values.findLast((value) => value !== null);
  const head = box.appendChild(element("div", { class: "charts-title" }));
  head.append(element("span", {}, title), element("span", {}, `now ${number(now, extra.digits ?? 1)}${unit}, highest ${number(highest, extra.digits ?? 1)}${unit}`));
  const svg = element("svg:svg", { class: "chart", viewBox: `0 0 ${points} 100`, preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", `${title}: now ${number(now, extra.digits ?? 1)}${unit}, highest ${number(highest, extra.digits ?? 1)}${unit}`);
  const x = (place) => points - values.length + place;
  const y = (value) => 96 - (value / highest) * 90;
  if (extra.line) svg.appendChild(element("svg:line", { class: "axis", x1: 0, x2: points, y1: y(extra.line), y2: y(extra.line) }));
  for (const event of extra.events) {
    const at = points - 1 + (extra.into - event.secondsAgo) / extra.resolution;
    if (event.level) {
      const width = Math.max((event.lastedSeconds + event.level.afterSeconds) / extra.resolution, 1);
      svg.appendChild(element("svg:rect", { class: "until", x: at, y: 0, width, height: 100 }));
    }
    svg.appendChild(element("svg:line", { class: "scale", x1: at, x2: at, y1: 0, y2: 100 }));
  }
  const most = Math.max(...extra.retired.map((count) => count ?? 0), 1);
  extra.retired.forEach((count, place) => {
    if (count > 0) svg.appendChild(element("svg:rect", { class: "retired", x: x(place), y: 100 - (count / most) * 25, width: 1, height: (count / most) * 25 }));
  });
  let path = "";
  values.forEach((value, place) => {
    if (value !== null) path += `${place > 0 && values[place - 1] !== null ? "L" : "M"}${x(place)} ${y(value).toFixed(1)} h.8`;
  });
  svg.appendChild(element("svg:path", { class: "curve", d: path }));
  box.appendChild(svg);
  return box;
}

function drawHour(answer) {
  const { points, scaleEvents, resolutionSeconds, secondsIntoPoint } = answer;
  // The shortest of these that shows all there is: ten seconds of levelling are a dot in an hour.
  const minutes = [5, 15, 60].find((length) => points.pods.length * resolutionSeconds <= length * 60) ?? 60;
  const extra = { events: scaleEvents, retired: points.retired, resolution: resolutionSeconds, into: secondsIntoPoint, span: (minutes * 60) / resolutionSeconds };
  $("hour-title").textContent = minutes === 60 ? "The last hour" : `The last ${minutes} minutes`;
  $("charts").replaceChildren(
    chart("Busiest pod against the mean", points.peakToMean, " ×", { ...extra, line: 1, least: 1.5, digits: 2 }),
    chart("Requests per second", points.requestsPerSecond, "/s", extra),
    chart("Connections", points.connections, "", { ...extra, digits: 0 }),
    chart("Pods that take traffic", points.pods, "", { ...extra, digits: 0 }),
  );
  $("legend").textContent = `Left: ${minutes} minutes ago; right: now. Dashed line: pods changed. Shaded: until load was level. Bars from below: connections that balancing retired in ${resolutionSeconds} s.`;
  const events = [...scaleEvents].reverse();
  rows($("events").tBodies[0], events, (event) => `${event.before}-${event.after}-${events.indexOf(event)}`,
    () => {
      const row = element("tr");
      for (const kind of ["", "", "n", "", "n"]) row.appendChild(element("td", kind ? { class: kind } : {}));
      return row;
    },
    (row, event) => cells(row, [ago(event.secondsAgo), `${event.before} → ${event.after}`, number(event.peakToMean, 2), levelled(event), `${event.retired}`]));
}

function levelled(event) {
  if (event.level) return `after ${event.level.afterSeconds} s, at ${number(event.level.peakToMean, 2)} × mean`;
  return event.peakToMean === null ? "no load" : "not yet";
}

function drawDetail(answer) {
  const gone = answer === null || answer.workload === undefined;
  $("detail").hidden = answer === null;
  if (answer === null) return;
  $("name").textContent = chosen;
  const w = answer;
  $("detail").dataset.level = gone ? "gone" : level(w);
  $("summary").textContent = gone
    ? "This workload has no balanced pods now; what follows is its past."
    : `Balancing ${WITHHELD[w.state] ?? w.state}; load is ${level(w)}: the busiest pod has ${number(w.peakToMean, 2)} × the mean of ${number(w.mean)} requests/s. ` +
      `${w.settledPods} pods take traffic, ${w.reportingPods} of them report; ${w.connections} connections, ${w.marked} marked.`;
  const last = w.lastScaleEvent;
  $("event").textContent = last
    ? `Last scale event: ${last.before} → ${last.after} pods, ${ago(last.secondsAgo)}; level: ${levelled(last)}.`
    : "No scale event since this balancer leads.";
  if (!gone) drawPods(w);
  else $("pods").querySelector("tbody").replaceChildren();
  drawHour(answer);
}

function choose(workload) {
  chosen = workload;
  history.replaceState(null, "", fragment(workload));
  refreshDetail();
}

const address = (workload) => `workloads/${workload.split("/").map(encodeURIComponent).join("/")}`;

async function refreshDetail() {
  const of = chosen;
  if (of === "") return;
  const answer = await read(address(of));
  if (of === chosen) drawDetail(answer);
}

/** Polls for as long as the page is visible; one question at a time. */
async function poll(every, refresh) {
  for (;;) {
    if (!paused && !document.hidden) {
      try {
        await refresh();
      } catch (error) {
        notice(`The balancer cannot be reached: ${error.message}. What is shown is old.`);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

let lastList = null;
$("filter").addEventListener("input", () => lastList && drawList(lastList));
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", `${paused}`);
  if (lastList) drawList(lastList);
});
window.addEventListener("hashchange", () => {
  const workload = named();
  if (workload === null) return;
  chosen = workload;
  if (lastList) drawList(lastList);
  refreshDetail().catch((error) => notice(error.message));
  $("detail").focus();
});
poll(LIST_EVERY_MS, async () => {
  lastList = await read("workloads?pods=false");
  if (lastList === null) throw new Error("it has no such page");
  drawList(lastList);
});
poll(DETAIL_EVERY_MS, refreshDetail);
